package import OmenCore
internal import OmenIndex

/// The full vectors of a collection where they lie.
///
/// Rows never change, and the memory stays until this goes, also when the collection is built anew
/// or dropped meanwhile.
package struct StoredVectors: Sendable {
    package let element: ElementType
    package let dim: Int
    /// Bytes from one row to the next.
    package let stride: Int
    /// Rows there are, dead ones included.
    package let rowCount: Int
    private let region: ReservedRegion

    init(_ region: ReservedRegion, schema: CollectionSchema, stride: Int, rowCount: Int) {
        self.region = region
        element = schema.element
        dim = schema.dim
        self.stride = stride
        self.rowCount = rowCount
    }

    /// The first row.
    package var base: UnsafeRawPointer { UnsafeRawPointer(region.base) }
}

extension ShardCollection {
    package var storedVectors: StoredVectors {
        StoredVectors(
            index.vectorRegion,
            schema: schema,
            stride: index.vectorStride,
            rowCount: index.rowCount
        )
    }

    /// Ids of the live records and their rows, ascending by row.
    ///
    /// - Complexity: O(rows).
    package var liveRecords: (ids: [RecordID], rows: [UInt32]) {
        var ids: [RecordID] = []
        var rows: [UInt32] = []
        ids.reserveCapacity(vectorCount)
        rows.reserveCapacity(vectorCount)
        for row in 0..<index.rowCount {
            let row = UInt32(truncatingIfNeeded: row)
            guard !index.isDeleted(row) else { continue }
            ids.append(records.id(of: row))
            rows.append(row)
        }
        return (ids, rows)
    }
}
