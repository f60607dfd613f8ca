internal import OmenCore

/// Builds the links of one level over a set of rows.
///
/// Links name members by their position in `rows`; pinned links are marked as on level 0.
/// Scratch memory per member: 4 bytes for each of `candidateCountMax` candidates, and about 20
/// bytes for each group it joins, for order, offsets and the tree; 320 with the standard plan.
final class BulkLayer {
    let source: BulkSource
    let rows: UnsafePointer<UInt32>
    let count: Int
    /// The list of member `p` begins at `lists + p * listStride`.
    let lists: UnsafeMutablePointer<UInt32>
    let listStride: Int
    let slots: Int
    let plan: BulkPlan
    let seed: UInt64
    let pulse: BulkPulse

    private let distances: UnsafeMutablePointer<Float>
    private let scored: UnsafeMutablePointer<UInt32>
    private let kept: UnsafeMutablePointer<UInt32>
    private let merged: UnsafeMutablePointer<UInt32>
    private var keys: Candidates
    private static let scratchCount = 4096

    init(
        _ source: BulkSource,
        rows: UnsafePointer<UInt32>,
        count: Int,
        lists: UnsafeMutablePointer<UInt32>,
        listStride: Int,
        slots: Int,
        plan: BulkPlan,
        seed: UInt64,
        pulse: BulkPulse
    ) {
        self.source = source
        self.rows = rows
        self.count = count
        self.lists = lists
        self.listStride = listStride
        self.slots = slots
        self.plan = plan
        self.seed = seed
        self.pulse = pulse
        distances = .allocate(capacity: Self.scratchCount)
        scored = .allocate(capacity: Self.scratchCount)
        kept = .allocate(capacity: Self.scratchCount)
        merged = .allocate(capacity: Self.scratchCount)
        keys = Candidates(reserving: Self.scratchCount + 1)
    }

    deinit {
        distances.deallocate()
        scored.deallocate()
        kept.deallocate()
        merged.deallocate()
        keys.deallocate()
    }

    /// Fills all lists: near rows in different directions, links back, and a spanning tree.
    ///
    /// Before anything but the first partition refers to members by number, `renumber` may put them
    /// in another order, and then says so: member i is then the one that was `order[i]`.
    func run(
        clock: inout BulkClock,
        renumber: (_ order: [UInt32]) -> Bool
    ) throws(BulkEnd) {
        for member in 0..<count { list(member).update(repeating: Link.none, count: slots) }
        guard count > 1 else { return }
        let neighbors = try BulkNeighbors(
            source,
            rows: rows,
            count: count,
            plan: plan,
            seed: seed,
            pulse: pulse
        )
        var partition: BulkPartition?
        if count > plan.leafCountMax {
            let found = try neighbors.partition()
            let order = found.order()
            partition = renumber(order) ? found.permuted(order) : found
        }
        clock.lap(\.partition)
        try neighbors.run(partition)
        clock.lap(\.neighbors)
        try choose(neighbors)
        clock.lap(\.prune)
        try linkBack(neighbors)
        clock.lap(\.reverse)
        var tree = try BulkTree(self)
        try tree.span()
        clock.lap(\.tree)
    }

    @inline(__always)
    func list(_ member: Int) -> UnsafeMutablePointer<UInt32> { lists + member &* listStride }

    /// Links in use of a list.
    @inline(__always)
    func linkCount(_ list: UnsafePointer<UInt32>) -> Int {
        var count = 0
        while count < slots, list[count] != Link.none { count &+= 1 }
        return count
    }

    private func occlusion() -> Occlusion {
        Occlusion(
            scorer: source.scorer,
            alpha: VectorIndex.Build.alpha,
            distances: distances
        )
    }

    /// Links each member to its nearest candidates in different directions.
    private func choose(_ neighbors: BulkNeighbors) throws(BulkEnd) {
        var occlusion = occlusion()
        for index in 0..<count {
            if index & 1023 == 0 { try pulse.advance(1024) }
            let member = Int(neighbors.order[index])
            let found = neighbors.candidates(of: member)
            guard let base = found.baseAddress else { continue }
            thin(
                member,
                UnsafePointer(base),
                found.count,
                limit: slots,
                into: list(member),
                &occlusion
            )
        }
    }

    /// Writes the members of `targets` that no nearer one hides to `list`, nearest first.
    @inline(__always)
    private func thin(
        _ member: Int,
        _ targets: UnsafePointer<UInt32>,
        _ targetCount: Int,
        limit: Int,
        into list: UnsafeMutablePointer<UInt32>,
        _ occlusion: inout Occlusion
    ) {
        let total = min(targetCount, Self.scratchCount)
        let rows = rows
        for i in 0..<total { scored[i] = rows[Int(targets[i])] }
        occlusion.scorer.aim(at: rows[member])
        occlusion.scorer.score(scored, total, into: distances)
        keys.reset(width: max(1, total), capacity: max(1, total))
        for i in 0..<total {
            _ = keys.insertLive(Candidates.key(distances[i], targets[i]))
        }
        // Of equal keys, which are one candidate from several groups, one stays.
        let sorted = keys.keys
        var distinct = 0
        for i in 0..<keys.count where i == 0 || sorted[i] != sorted[distinct &- 1] {
            sorted[distinct] = sorted[i]
            distinct &+= 1
        }
        let keptCount = occlusion.choose(
            sorted,
            count: distinct,
            limit: limit,
            rowOf: { rows[Int($0)] },
            kept: kept,
            keptKeys: sorted
        )
        for i in 0..<slots { list[i] = i < keptCount ? Candidates.row(sorted[i]) : Link.none }
    }

    /// Adds to each list the members that link to it; an overflowing one is thinned.
    private func linkBack(_ neighbors: BulkNeighbors) throws(BulkEnd) {
        // Every link came from a candidate, so all of them fit where the candidates were.
        let sources = neighbors.candidates
        let memory = try BulkMemory<Int>(count: count + 1)
        let ends = memory.base
        for member in 0..<count {
            let list = list(member)
            for i in 0..<linkCount(list) { ends[Int(list[i])] += 1 }
        }
        var sum = 0
        for member in 0...count {
            sum += ends[member]
            ends[member] = sum
        }
        for member in stride(from: count - 1, through: 0, by: -1) {
            let list = list(member)
            for i in 0..<linkCount(list) {
                let target = Int(list[i])
                ends[target] -= 1
                sources[ends[target]] = UInt32(truncatingIfNeeded: member)
            }
        }
        var occlusion = occlusion()
        let room = Self.scratchCount - slots
        for index in 0..<count {
            if index & 1023 == 0 { try pulse.advance(1024) }
            let member = Int(neighbors.order[index])
            let list = list(member)
            let own = linkCount(list)
            var total = own
            for i in 0..<own { merged[i] = list[i] }
            for i in ends[member]..<ends[member + 1] where total < room {
                let from = sources[i]
                if !(0..<own).contains(where: { merged[$0] == from }) {
                    merged[total] = from
                    total &+= 1
                }
            }
            guard total > slots else {
                for i in own..<total { list[i] = merged[i] }
                continue
            }
            thin(member, merged, total, limit: slots * 7 / 8, into: list, &occlusion)
        }
    }
}
