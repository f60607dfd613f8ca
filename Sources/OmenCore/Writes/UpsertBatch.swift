/// Vectors to insert or replace, in columns; the last of equal ids in one batch wins.
package struct UpsertBatch: Equatable, Sendable {
    package var collection: String
    /// Type of every element in `vectors`.
    package var element: ElementType
    package var dim: Int
    package var ids: [RecordID]
    /// Little-endian elements, row after row without padding; shape `[ids.count][dim]`.
    package var vectors: [UInt8]
    /// JSON text of each record's metadata object; empty when no record has any, else one per id,
    /// where an empty array means none.
    package var metadata: [[UInt8]]

    package init(
        collection: String,
        element: ElementType,
        dim: Int,
        ids: [RecordID],
        vectors: [UInt8],
        metadata: [[UInt8]] = []
    ) {
        self.collection = collection
        self.element = element
        self.dim = dim
        self.ids = ids
        self.vectors = vectors
        self.metadata = metadata
    }
}

extension UpsertBatch {
    /// The rows at `indices`, in that order.
    package func selecting(_ indices: [Int]) -> UpsertBatch {
        let rowByteCount = dim * element.byteCount
        var rows: [UInt8] = []
        rows.reserveCapacity(indices.count * rowByteCount)
        for index in indices {
            rows.append(contentsOf: vectors[index * rowByteCount..<(index + 1) * rowByteCount])
        }
        return UpsertBatch(
            collection: collection,
            element: element,
            dim: dim,
            ids: indices.map { ids[$0] },
            vectors: rows,
            metadata: metadata.isEmpty ? [] : indices.map { metadata[$0] }
        )
    }

    /// Whether every id is a number above the one before it, as the ids of most large batches are.
    private var hasAscendingNumbers: Bool {
        var least: UInt64 = 0
        for index in ids.indices {
            guard case .number(let number) = ids[index], number >= least, number < .max else {
                return false
            }
            least = number + 1
        }
        return true
    }

    /// The batch without rows whose id comes again later: the last of equal ids wins.
    package func keepingLastOfEqualIDs() -> UpsertBatch {
        if hasAscendingNumbers { return self }
        var seen = Set<RecordID>(minimumCapacity: ids.count)
        var kept: [Int] = []
        for index in ids.indices.reversed() where seen.insert(ids[index]).inserted {
            kept.append(index)
        }
        return kept.count == ids.count ? self : selecting(kept.reversed())
    }
}
