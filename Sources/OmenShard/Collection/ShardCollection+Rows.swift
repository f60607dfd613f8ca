internal import OmenSystem
package import OmenCore
internal import OmenIndex

extension ShardCollection {
    /// Rows looked at between two looks at `Stop.current`: some milliseconds.
    private static let rowsPerLook = 16_384

    /// All live records, in the order of their rows.
    ///
    /// - Throws: `.stopped`.
    /// - Complexity: O(rows).
    package func storedRecords() throws(OmenError) -> ListedRecords {
        var ids: [RecordID] = []
        var rows: [UInt32] = []
        ids.reserveCapacity(vectorCount)
        rows.reserveCapacity(vectorCount)
        for row in 0..<index.rowCount {
            if row % Self.rowsPerLook == 0 { try Stop.check() }
            let row = UInt32(truncatingIfNeeded: row)
            guard !index.isDeleted(row) else { continue }
            ids.append(records.id(of: row))
            rows.append(row)
        }
        return listed(ids, rows)
    }

    private func listed(_ ids: [RecordID], _ rows: [UInt32]) -> ListedRecords {
        let region = index.vectorRegion
        let vectors = StoredVectors(
            region,
            base: UnsafeRawPointer(region.base),
            schema: schema,
            stride: index.vectorStride,
            rowCount: index.rowCount
        )
        return ListedRecords(
            schema: schema,
            ids: ids,
            places: RowPlaces(rows: rows, vectors: vectors)
        )
    }

    /// Those of `wanted` that are there, in that order, and the metadata of each.
    ///
    /// - Throws: `.stopped`.
    /// - Complexity: O(wanted), and the bytes of their metadata.
    package func stored(
        _ wanted: [RecordID]
    ) throws(OmenError) -> (records: ListedRecords, metadata: [[UInt8]?]) {
        var ids: [RecordID] = []
        var rows: [UInt32] = []
        var metadata: [[UInt8]?] = []
        ids.reserveCapacity(wanted.count)
        rows.reserveCapacity(wanted.count)
        metadata.reserveCapacity(wanted.count)
        for (place, id) in wanted.enumerated() {
            if place % Self.rowsPerLook == 0 { try Stop.check() }
            guard let row = records.row(of: id) else { continue }
            ids.append(id)
            rows.append(row)
            metadata.append(records.metadata(of: row))
        }
        return (listed(ids, rows), metadata)
    }

    /// Rows looked at for one page: what other requests wait for meanwhile.
    private static let pageRowCountMax: UInt64 = 100_000

    /// Ids of live records from row `start` on, as many as fit one answer.
    ///
    /// - Returns: The ids, and the row that the next page begins with; 0 at the end.
    package func page(from start: UInt64) -> (ids: [RecordID], next: UInt64) {
        var ids: [RecordID] = []
        let rowCount = UInt64(index.rowCount)
        let end = min(rowCount, start.addingReportingOverflow(Self.pageRowCountMax).partialValue)
        var row = start
        while row < end, ids.count < Limits.batchCountMax {
            let one = UInt32(truncatingIfNeeded: row)
            if !index.isDeleted(one) { ids.append(records.id(of: one)) }
            row += 1
        }
        return (ids, row < rowCount ? row : 0)
    }
}
