internal import OmenCore

/// Which leaders each of some members follows.
struct Partition {
    let fanOut: Int
    let leaderCount: Int
    /// Leaders of each member, nearest first, `[count][fanOut]`.
    var chosen: [UInt16]

    init(count: Int, fanOut: Int, leaderCount: Int) {
        self.fanOut = fanOut
        self.leaderCount = leaderCount
        chosen = [UInt16](repeating: 0, count: count * fanOut)
    }

    /// Draws members that lead.
    ///
    /// - Complexity: O(members).
    static func leaders(
        of members: [UInt32],
        fanOut: Int,
        _ generator: inout SplitMix64
    ) -> [UInt32] {
        let count = min(
            BuildPlan.leaderCountMax,
            max(2 * fanOut, members.count * fanOut * 2 / BuildPlan.leafCountMax)
        )
        var pool = members
        for i in 0..<count {
            pool.swapAt(i, i + Int(generator.next() % UInt64(pool.count - i)))
        }
        return Array(pool.prefix(count))
    }

    /// The groups, tiny ones joined; where equal rows all follow one leader, small pieces instead.
    func parts(of members: [UInt32]) -> [[UInt32]] {
        let groups = groups(of: members)
        if groups.contains(where: { $0.count > members.count - members.count / 16 }) {
            return groups.flatMap(Self.cut)
        }
        var parts: [[UInt32]] = []
        var small: [UInt32] = []
        for group in groups {
            if group.count >= BuildPlan.leafCountMax / 8 {
                parts.append(group)
                continue
            }
            small += group
            if small.count > BuildPlan.leafCountMax / 2 {
                parts.append(Self.distinct(small))
                small = []
            }
        }
        parts.append(Self.distinct(small))
        return parts
    }

    /// Cuts a group where nothing tells rows apart, each piece overlapping the next by an eighth.
    static func cut(_ members: [UInt32]) -> [[UInt32]] {
        let step = BuildPlan.leafCountMax - BuildPlan.leafCountMax / 8
        var pieces: [[UInt32]] = []
        var first = 0
        while first < members.count {
            let end = min(members.count, first + BuildPlan.leafCountMax)
            pieces.append(Array(members[first..<end]))
            if end == members.count { break }
            first += step
        }
        return pieces
    }

    private static func distinct(_ members: [UInt32]) -> [UInt32] {
        var sorted = members.sorted()
        var kept = 0
        for i in sorted.indices where i == 0 || sorted[i] != sorted[i - 1] {
            sorted[kept] = sorted[i]
            kept += 1
        }
        sorted.removeLast(sorted.count - kept)
        return sorted
    }

    /// The members of each leader.
    private func groups(of members: [UInt32]) -> [[UInt32]] {
        var sizes = [Int](repeating: 0, count: leaderCount)
        for leader in chosen { sizes[Int(leader)] += 1 }
        var groups: [[UInt32]] = []
        groups.reserveCapacity(leaderCount)
        for size in sizes {
            var group: [UInt32] = []
            group.reserveCapacity(size)
            groups.append(group)
        }
        for i in members.indices {
            for j in 0..<fanOut { groups[Int(chosen[i * fanOut + j])].append(members[i]) }
        }
        return groups
    }

    /// Members so that those with the same nearest leader follow each other, and among them those
    /// with the same second one.
    func order() -> [UInt32] {
        var order = (0..<chosen.count / fanOut).map { UInt32(truncatingIfNeeded: $0) }
        // Stable sorts, the less important key first.
        for rank in [min(1, fanOut - 1), 0] { order = sorted(order, byLeader: rank) }
        return order
    }

    private func sorted(_ members: [UInt32], byLeader rank: Int) -> [UInt32] {
        var next = [Int](repeating: 0, count: leaderCount + 1)
        for member in members { next[Int(chosen[Int(member) * fanOut + rank]) + 1] += 1 }
        for leader in 0..<leaderCount { next[leader + 1] += next[leader] }
        var sorted = [UInt32](repeating: 0, count: members.count)
        for member in members {
            let leader = Int(chosen[Int(member) * fanOut + rank])
            sorted[next[leader]] = member
            next[leader] += 1
        }
        return sorted
    }

    /// The same for members in another order: member i was `order[i]`.
    func permuted(_ order: [UInt32]) -> Partition {
        var other = self
        for (i, old) in order.enumerated() {
            for j in 0..<fanOut { other.chosen[i * fanOut + j] = chosen[Int(old) * fanOut + j] }
        }
        return other
    }
}
