package import OmenCore

/// An index rebuilt from the live rows of another.
package struct RebuiltIndex: @unchecked Sendable {
    package let index: VectorIndex
    /// Old row of each new one.
    package let sourceRows: [UInt32]
}

package final class RebuildJob: @unchecked Sendable {
    private let source: VectorIndex
    private let rows: [UInt32]
    init(source: VectorIndex, rows: [UInt32]) {
        self.source = source
        self.rows = rows
    }
    package func run(
        progress: (Int) -> Void,
        shouldStop: () -> Bool
    ) throws(OmenError) -> RebuiltIndex? {
        let index = try VectorIndex(schema: source.schema, seed: source.seed)
        for row in rows {
            _ = try index.append(source.vectors + Int(row) * source.layout.vectorStride)
        }
        while index.link(atMost: 64) > 0 {
            progress(index.linkedCount * 1000 / rows.count)
            if shouldStop() { return nil }
        }
        return RebuiltIndex(index: index, sourceRows: rows)
    }
}

extension VectorIndex {
    package func rebuildJob() throws(OmenError) -> RebuildJob {
        RebuildJob(source: self, rows: (0..<UInt32(rowCount)).filter { !isDeleted($0) }.reversed())
    }
}
