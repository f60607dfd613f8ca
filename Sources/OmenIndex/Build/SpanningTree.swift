internal import OmenCore

/// Joins all members of a layer by a tree of pinned links, adding links where the graph falls
/// apart.
final class SpanningTree {
    private let layer: BuildLayer
    private let pulse: BuildProgress
    private let parents: BuildMemory<UInt32>
    private let pinnedCounts: BuildMemory<UInt8>
    private var componentCount: Int
    /// Pinned links of one member; as many as streaming allows.
    private let pinnedCountMax: Int

    init(_ layer: BuildLayer) throws(BuildEnd) {
        self.layer = layer
        pulse = layer.team.pulses[0]
        parents = try BuildMemory(count: layer.count)
        pinnedCounts = try BuildMemory(count: layer.count)
        componentCount = layer.count
        pinnedCountMax = layer.slots / 2
        for member in 0..<layer.count {
            parents.base[member] = UInt32(truncatingIfNeeded: member)
        }
    }

    /// Pins links, the nearest of each member first, until one tree holds all members.
    ///
    /// - Complexity: nearly O(count * slots), and O(log count) searches for neighbours of what the
    ///   links leave apart.
    func span() throws(BuildEnd) {
        for rank in 0..<layer.slots where componentCount > 1 {
            for member in 0..<layer.count {
                if member & 255 == 0 { try pulse.check() }
                let link = layer.list(member)[rank]
                if link != Link.none { join(member, Int(link & Link.rowMask)) }
            }
        }
        var round: UInt64 = 0
        while componentCount > 1 {
            try joinNearComponents(round: round)
            round += 1
        }
    }

    private func root(_ member: Int) -> Int {
        let parents = parents.base
        var current = member
        while Int(parents[current]) != current {
            parents[current] = parents[Int(parents[current])]
            current = Int(parents[current])
        }
        return current
    }

    /// Pins a link both ways if it joins two components and both ends may have one more.
    private func join(_ a: Int, _ b: Int) {
        let rootA = root(a)
        let rootB = root(b)
        guard rootA != rootB, pinnedCounts.base[a] < pinnedCountMax,
            pinnedCounts.base[b] < pinnedCountMax
        else { return }
        parents.base[max(rootA, rootB)] = UInt32(truncatingIfNeeded: min(rootA, rootB))
        componentCount -= 1
        pin(a, to: b)
        pin(b, to: a)
    }

    /// Marks a link as pinned; without room for it the last one that is not pinned gives way.
    private func pin(_ member: Int, to other: Int) {
        pinnedCounts.base[member] += 1
        let list = layer.list(member)
        let target = UInt32(truncatingIfNeeded: other)
        var free = -1
        for i in 0..<layer.slots {
            if list[i] == target || list[i] == Link.none {
                list[i] = target | Link.pinned
                return
            }
            if list[i] & Link.pinned == 0 { free = i }
        }
        precondition(free >= 0, "all \(layer.slots) links of member \(member) are pinned")
        list[free] = target | Link.pinned
    }

    /// Takes one member of each component, and joins those that are near each other.
    private func joinNearComponents(round: UInt64) throws(BuildEnd) {
        try pulse.check()
        let members = representatives(round: round)
        let rows = try BuildMemory<UInt32>(count: members.count)
        for (i, member) in members.enumerated() { rows[i] = layer.rows[Int(member)] }
        var plan = layer.plan
        plan.fanOut = min(2, plan.fanOut)
        // Into memory of its own: nothing but candidates.
        let lists = try BuildMemory<UInt32>(count: members.count * plan.candidateCountMax)
        let neighbors = try NeighborFinder(
            layer.source,
            rows: UnsafePointer(rows.base),
            count: members.count,
            lists: CandidateLists(
                lists.base,
                stride: plan.candidateCountMax,
                slots: plan.candidateCountMax,
                capacity: plan.candidateCountMax,
                count: members.count
            ),
            plan: plan,
            seed: layer.seed &+ round &+ 1,
            team: layer.team
        )
        try neighbors.run(nil)
        let before = componentCount
        // The nearest of each first, so that many components meet before a member is full.
        for rank in 0..<plan.candidateCountMax where componentCount > 1 {
            for index in 0..<members.count where rank < Int(neighbors.counts[index]) {
                let other = Int(neighbors.lists.place(rank, of: index).pointee)
                join(Int(members[index]), Int(members[other]))
            }
        }
        withExtendedLifetime((rows, lists)) {}
        // Where distances overflow nothing is near; then any order will do.
        if componentCount == before {
            for index in 1..<members.count { join(Int(members[index - 1]), Int(members[index])) }
        }
        precondition(componentCount < before, "\(before) components do not come together")
    }

    /// A member of each component that may have another pinned link, drawn by hash.
    ///
    /// There always is one: the leaves of a tree have one pinned link, and room for another.
    private func representatives(round: UInt64) -> [UInt32] {
        let none = UInt32.max
        var best = [UInt32](repeating: none, count: layer.count)
        var ranks = [UInt64](repeating: .max, count: layer.count)
        for member in 0..<layer.count where pinnedCounts.base[member] < pinnedCountMax {
            let root = root(member)
            var generator = SplitMix64(seed: layer.seed ^ (UInt64(member) &+ round << 40))
            // Members with few pinned links first: they have most room to take others in.
            let rank = UInt64(pinnedCounts.base[member]) << 56 | generator.next() >> 8
            if best[root] == none || rank < ranks[root] {
                best[root] = UInt32(truncatingIfNeeded: member)
                ranks[root] = rank
            }
        }
        return best.filter { $0 != none }
    }
}
