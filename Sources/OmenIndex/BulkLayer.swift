internal import OmenCore

/// Builds the links of one level over a set of rows.
///
/// Links name members by their position in `rows`; pinned links are marked as on level 0.
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

    private let rowMemory: BulkMemory<UInt32>
    private let neighbors: BulkNeighbors
    private let distances: UnsafeMutablePointer<Float>
    private let scored: UnsafeMutablePointer<UInt32>
    private let kept: UnsafeMutablePointer<UInt32>
    private let merged: UnsafeMutablePointer<UInt32>
    private var keys: Candidates
    private static let scratchCount = 4096

    init(
        _ source: BulkSource,
        rows: BulkMemory<UInt32>,
        lists: UnsafeMutablePointer<UInt32>,
        listStride: Int,
        slots: Int,
        plan: BulkPlan,
        seed: UInt64,
        pulse: BulkPulse
    ) throws(BulkEnd) {
        self.source = source
        rowMemory = rows
        self.rows = UnsafePointer(rows.base)
        count = rows.count
        self.lists = lists
        self.listStride = listStride
        self.slots = slots
        self.plan = plan
        self.seed = seed
        self.pulse = pulse
        neighbors = try BulkNeighbors(
            source,
            rows: self.rows,
            count: count,
            lists: BulkLists(
                lists,
                stride: listStride,
                slots: slots,
                capacity: plan.candidateCountMax,
                count: count
            ),
            plan: plan,
            seed: seed,
            pulse: pulse
        )
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

    /// The first division of the members; nil when there are few.
    func partition() throws(BulkEnd) -> BulkPartition? { try neighbors.partition() }

    /// Fills all lists: near rows in different directions, links back, and a spanning tree.
    ///
    /// - Parameters:
    ///   - partition: What `partition` returned, if it was called.
    ///   - clock: Receives the times of the steps.
    /// - Throws: `.stopped`, or `.failed` without memory.
    func link(_ partition: BulkPartition?, clock: inout BulkClock) throws(BulkEnd) {
        try neighbors.run(partition)
        clock.lap(\.neighbors)
        try choose()
        clock.lap(\.prune)
        try linkBack()
        clock.lap(\.reverse)
        let tree = try BulkTree(self)
        try tree.span()
        clock.lap(\.tree)
    }

    @inline(__always)
    func list(_ member: Int) -> UnsafeMutablePointer<UInt32> { lists + member &* listStride }

    private func occlusion() -> Occlusion {
        Occlusion(
            scorer: source.scorer,
            alpha: BulkPlan.alpha,
            distances: distances
        )
    }

    /// Links each member to its nearest candidates in different directions.
    ///
    /// Leaves the number of links in `neighbors.counts`.
    private func choose() throws(BulkEnd) {
        var occlusion = occlusion()
        let counts = neighbors.counts.base
        for member in 0..<count {
            if member & 15 == 0 { try pulse.advance(16) }
            let found = Int(counts[member])
            neighbors.lists.copy(member, count: found, to: merged)
            let chosen = thin(member, merged, found, limit: slots, &occlusion)
            counts[member] = UInt8(truncatingIfNeeded: chosen)
        }
    }

    /// Links a member to those of `targets` that no nearer one hides, nearest first.
    ///
    /// - Returns: How many those are.
    @inline(__always)
    private func thin(
        _ member: Int,
        _ targets: UnsafePointer<UInt32>,
        _ total: Int,
        limit: Int,
        _ occlusion: inout Occlusion
    ) -> Int {
        let rows = rows
        for i in 0..<total { scored[i] = rows[Int(targets[i])] }
        occlusion.scorer.aim(at: rows[member])
        occlusion.scorer.score(scored, total, into: distances)
        keys.reset(width: max(1, total), capacity: max(1, total))
        for i in 0..<total {
            _ = keys.insertLive(Candidates.key(distances[i], targets[i]))
        }
        let sorted = keys.keys
        let keptCount = occlusion.choose(
            sorted,
            count: total,
            limit: limit,
            rowOf: { rows[Int($0)] },
            kept: kept,
            keptKeys: sorted
        )
        let list = list(member)
        for i in 0..<slots { list[i] = i < keptCount ? Candidates.row(sorted[i]) : Link.none }
        return keptCount
    }

    /// Adds to each list the members that link to it; what finds no room waits, and then the whole
    /// list is thinned.
    private func linkBack() throws(BulkEnd) {
        let chosen = neighbors.counts.base
        let waiting = try BulkWaiting(count: count, entryCountMax: count * slots)
        for member in 0..<count {
            if member & 15 == 0 { try pulse.advance(8) }
            let list = list(member)
            for i in 0..<Int(chosen[member]) {
                addBack(member, to: Int(list[i]), chosenCount: chosen, waiting)
            }
        }
        var occlusion = occlusion()
        let room = Self.scratchCount - slots
        for member in 0..<count {
            if member & 15 == 0 { try pulse.advance(8) }
            guard waiting.hasAny(member) else { continue }
            let list = list(member)
            for i in 0..<slots { merged[i] = list[i] }
            let total = slots + waiting.copy(member, into: merged + slots, atMost: room)
            _ = thin(member, merged, total, limit: slots, &occlusion)
        }
    }

    @inline(__always)
    private func addBack(
        _ member: Int,
        to target: Int,
        chosenCount: UnsafePointer<UInt8>,
        _ waiting: BulkWaiting
    ) {
        let list = list(target)
        let own = Int(chosenCount[target])
        let link = UInt32(truncatingIfNeeded: member)
        var same: UInt32 = 0
        for i in 0..<own { same |= list[i] == link ? 1 : 0 }
        if same != 0 { return }
        var end = own
        while end < slots, list[end] != Link.none { end &+= 1 }
        if end < slots {
            list[end] = link
        } else {
            waiting.add(link, to: target)
        }
    }
}

/// Links back that found no room, as chains in one array.
final class BulkWaiting {
    /// 1 + the last entry of each member; 0 for none.
    private let heads: BulkMemory<UInt32>
    /// The link in the lower half, 1 + the entry before it in the upper.
    private let entries: BulkMemory<UInt64>
    private var entryCount = 0

    /// Only pages of entries that are used take memory.
    init(count: Int, entryCountMax: Int) throws(BulkEnd) {
        heads = try BulkMemory(count: count)
        entries = try BulkMemory(count: min(entryCountMax, Int(UInt32.max) - 1))
    }

    @inline(__always)
    func hasAny(_ member: Int) -> Bool { heads.base[member] != 0 }

    /// Adds a link; lost beyond four billion, where lists are long enough without it.
    @inline(__always)
    func add(_ link: UInt32, to member: Int) {
        guard entryCount < entries.count else { return }
        entries.base[entryCount] = UInt64(heads.base[member]) << 32 | UInt64(link)
        entryCount &+= 1
        heads.base[member] = UInt32(truncatingIfNeeded: entryCount)
    }

    /// Copies the links waiting for a member, the last first.
    ///
    /// - Returns: How many were copied.
    func copy(_ member: Int, into links: UnsafeMutablePointer<UInt32>, atMost room: Int) -> Int {
        var next = heads.base[member]
        var count = 0
        while next != 0, count < room {
            let entry = entries.base[Int(next) - 1]
            links[count] = UInt32(truncatingIfNeeded: entry)
            count += 1
            next = UInt32(truncatingIfNeeded: entry >> 32)
        }
        return count
    }
}
