package import OmenCore
internal import Synchronization

/// Memory that searching and linking reuse, so that neither allocates.
///
/// Belongs to one thread at a time; fits any index of the schema it was made for.
package final class Scratch {
    /// What the last search found.
    package var hits: [Neighbor] = []
    /// What the last search did; nil before the first.
    package var plan: ShardPlan?
    /// Whether its query was unlike the rows, and walked wider.
    package var wasStranger = false
    /// What was searched with it, but for what a pool has taken over.
    package var counts = SearchCounts()
    /// Most rows of one kernel call: a scan's share, or a hop at the largest `m`.
    static let scanCount = BaseSearch.expansionsPerHop * 128

    /// Candidates on the level being searched.
    var beam = Candidates(reserving: 1025)
    /// Exact results, and the list being pruned.
    var results = Candidates(reserving: 1025)
    /// The candidates in the order of better codes than those searched on.
    var middle = Candidates(reserving: 1025)
    /// Rows seen on level 0.
    var visited: VisitedSet
    /// Rows (or slots) of a hop that were not visited before.
    let frontier: UnsafeMutablePointer<UInt32>
    /// Rows of the slots in `frontier`, on upper levels.
    let rows: UnsafeMutablePointer<UInt32>
    /// What the kernels write.
    let distances: UnsafeMutablePointer<Float>
    /// Links chosen for the row being linked.
    let chosen: UnsafeMutablePointer<UInt32>
    /// Links chosen for a row whose list overflowed.
    let rechosen: UnsafeMutablePointer<UInt32>
    /// The query as floats, padded with zeros.
    let queryFloats: UnsafeMutablePointer<Float>
    /// The query as bytes, padded with zeros.
    let queryBytes: UnsafeMutablePointer<UInt8>
    /// The query in the space of the codes, padded with zeros.
    let queryImage: UnsafeMutablePointer<Int8>

    /// - Throws: `.resourceExhausted` without address space.
    package convenience init(_ schema: CollectionSchema) throws(OmenError) {
        try self.init(layout: RowLayout(schema))
    }

    init(layout: RowLayout) throws(OmenError) {
        visited = try VisitedSet()
        let dim = max(layout.vectorDim, layout.codeStride)
        frontier = .allocate(capacity: Self.scanCount)
        rows = .allocate(capacity: Self.scanCount)
        distances = .allocate(capacity: Self.scanCount)
        chosen = .allocate(capacity: Self.scanCount)
        rechosen = .allocate(capacity: Self.scanCount)
        queryFloats = Self.zeros(dim)
        queryBytes = Self.zeros(dim)
        queryImage = Self.zeros(dim)
    }

    /// Makes room for `rowCount` rows, where addresses are limited.
    ///
    /// - Throws: `.resourceExhausted` naming the limit.
    package func reserve(_ rowCount: Int) throws(OmenError) { try visited.reserve(rowCount) }

    deinit {
        beam.deallocate()
        results.deallocate()
        middle.deallocate()
        visited.deallocate()
        for list in [frontier, rows, chosen, rechosen] { list.deallocate() }
        distances.deallocate()
        queryFloats.deallocate()
        queryBytes.deallocate()
        queryImage.deallocate()
    }

    /// Cache-line aligned zeros.
    private static func zeros<Value: ExpressibleByIntegerLiteral>(
        _ count: Int
    ) -> UnsafeMutablePointer<Value> {
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: count * MemoryLayout<Value>.stride,
            alignment: 64
        )
        return bytes.initializeMemory(as: Value.self, repeating: 0, count: count)
    }
}

/// Scratch memory for searches that run side by side: as much as there ever were at once.
package final class ScratchPool: Sendable {
    private struct LentScratch: @unchecked Sendable { var scratch: Scratch? }

    private struct PoolState: @unchecked Sendable {
        var idle: [Scratch] = []
        var counts = SearchCounts()
    }

    private let schema: CollectionSchema
    private let state = Mutex(PoolState())

    /// What was searched with any of it.
    package var counts: SearchCounts { state.withLock { $0.counts } }

    package init(_ schema: CollectionSchema) { self.schema = schema }

    /// Runs `body` with scratch memory of its own.
    ///
    /// - Throws: `.resourceExhausted` without address space for more; what `body` throws.
    package func withScratch<Result>(
        _ body: (Scratch) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        let waiting = state.withLock { LentScratch(scratch: $0.idle.popLast()) }.scratch
        let scratch = if let waiting { waiting } else { try Scratch(schema) }
        let lent = LentScratch(scratch: scratch)
        defer {
            state.withLock {
                guard let scratch = lent.scratch else { return }
                $0.counts += scratch.counts
                scratch.counts = SearchCounts()
                $0.idle.append(scratch)
            }
        }
        return try body(scratch)
    }
}
