internal import OmenCore

/// Builds the links of one level over a set of rows.
///
/// Links name members by their position in `rows`; pinned links are marked as on level 0.
final class BuildLayer {
    let source: BuildSource
    let rows: UnsafePointer<UInt32>
    let count: Int
    /// The list of member `p` begins at `lists + p * listStride`.
    let lists: UnsafeMutablePointer<UInt32>
    let listStride: Int
    let slots: Int
    let plan: BuildPlan
    let seed: UInt64
    let team: BuildTeam

    private let rowMemory: BuildMemory<UInt32>
    private let neighbors: NeighborFinder
    private let thinners: [LinkThinner]

    init(
        _ source: BuildSource,
        rows: BuildMemory<UInt32>,
        lists: UnsafeMutablePointer<UInt32>,
        listStride: Int,
        slots: Int,
        plan: BuildPlan,
        seed: UInt64,
        team: BuildTeam
    ) throws(BuildEnd) {
        self.source = source
        rowMemory = rows
        self.rows = UnsafePointer(rows.base)
        count = rows.count
        self.lists = lists
        self.listStride = listStride
        self.slots = slots
        self.plan = plan
        self.seed = seed
        self.team = team
        neighbors = try NeighborFinder(
            source,
            rows: self.rows,
            count: count,
            lists: CandidateLists(
                lists,
                stride: listStride,
                slots: slots,
                capacity: plan.candidateCountMax,
                count: count
            ),
            plan: plan,
            seed: seed,
            team: team
        )
        thinners = try team.forEachThread { LinkThinner(source, slots: slots, pulse: $0) }
    }

    /// The first division of the members; nil when there are few.
    func partition() throws(BuildEnd) -> Partition? { try neighbors.partition() }

    /// Fills all lists: near rows in different directions, links back, and a spanning tree.
    ///
    /// - Parameters:
    ///   - partition: What `partition` returned, if it was called.
    ///   - clock: Receives the times of the steps.
    /// - Throws: `.stopped`, or `.failed` without memory.
    func link(_ partition: Partition?, clock: inout BuildClock) throws(BuildEnd) {
        try neighbors.run(partition)
        clock.lap(\.neighbors)
        try choose()
        clock.lap(\.prune)
        try linkBack()
        clock.lap(\.reverse)
        let tree = try SpanningTree(self)
        try tree.span()
        clock.lap(\.tree)
    }

    @inline(__always)
    func list(_ member: Int) -> UnsafeMutablePointer<UInt32> { lists + member &* listStride }

    /// Links each member to its nearest candidates in different directions.
    ///
    /// Leaves the number of links in `neighbors.counts`.
    private func choose() throws(BuildEnd) {
        let (lists, counts) = (neighbors.lists, neighbors.counts.base)
        let beyondCounts = neighbors.beyondCounts.base
        let (thinners, rows, fewCount) = (thinners, rows, plan.fewCount)
        try team.share(count, inParts: team.partCount(count)) {
            [self] thread, part throws(BuildEnd) in
            let thinner = thinners[thread]
            for member in part {
                if member & 15 == 0 { try thinner.pulse.advance(16) }
                var found = Int(counts[member])
                lists.copy(member, count: found, to: thinner.targets)
                if found <= fewCount {
                    let known = found
                    for i in 0..<Int(beyondCounts[member]) {
                        let other = lists.place(lists.capacity &- 1 &- i, of: member).pointee
                        if (0..<known).contains(where: { thinner.targets[$0] == other }) {
                            continue
                        }
                        thinner.targets[found] = other
                        found &+= 1
                    }
                }
                let chosen = thinner.thin(member, found, rows, into: list(member))
                counts[member] = UInt8(truncatingIfNeeded: chosen)
            }
        }
    }

    /// Adds to each list the members that link to it; what finds no room waits, and then the whole
    /// list is thinned.
    private func linkBack() throws(BuildEnd) {
        // Each thread has the lists of some members, and looks at the links of all.
        let stripeCount = team.stripeCount(count)
        var waiting: [BacklinkQueue] = []
        for stripe in 0..<stripeCount {
            let members = BuildTeam.part(stripe, of: stripeCount, count)
            waiting.append(try BacklinkQueue(members, entryCountMax: count * slots))
        }
        let stripes = waiting
        try team.share(stripeCount) { [self] thread, stripe throws(BuildEnd) in
            try addBack(to: stripes[stripe], thinners[thread].pulse)
        }
        let partCount = max(1, team.partCount(count) / stripeCount)
        try team.share(stripeCount * partCount) { [self] thread, piece throws(BuildEnd) in
            let stripe = stripes[piece / partCount]
            let part = BuildTeam.part(piece % partCount, of: partCount, stripe.members.count)
            let first = stripe.members.lowerBound
            try thinFull(
                first + part.lowerBound..<first + part.upperBound,
                stripe,
                thinners[thread]
            )
        }
    }

    /// Adds links back to the members of one stripe.
    private func addBack(to waiting: BacklinkQueue, _ pulse: BuildProgress) throws(BuildEnd) {
        let chosen = neighbors.counts.base
        let members = waiting.members
        for member in 0..<count {
            if member & 15 == 0 {
                if members.contains(member) { try pulse.advance(8) } else { try pulse.check() }
            }
            let list = list(member)
            for i in 0..<Int(chosen[member]) {
                let target = Int(list[i])
                guard members.contains(target) else { continue }
                addBack(member, to: target, chosenCount: chosen, waiting)
            }
        }
    }

    @inline(__always)
    private func addBack(
        _ member: Int,
        to target: Int,
        chosenCount: UnsafePointer<UInt8>,
        _ waiting: BacklinkQueue
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

    /// Thins the lists of those members for which something waits.
    private func thinFull(
        _ part: Range<Int>,
        _ waiting: BacklinkQueue,
        _ thinner: LinkThinner
    ) throws(BuildEnd) {
        let room = LinkThinner.targetCountMax - slots
        for member in part {
            if member & 15 == 0 { try thinner.pulse.advance(8) }
            guard waiting.hasAny(member) else { continue }
            // Under ip thousands of rows may link to a long one.
            if plan.productCount > 0 { try thinner.pulse.check() }
            let list = list(member)
            for i in 0..<slots { thinner.targets[i] = list[i] }
            let total =
                slots + waiting.copy(member, into: thinner.targets + slots, atMost: room)
            _ = thinner.thin(member, total, rows, into: list)
        }
    }
}
