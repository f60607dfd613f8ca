/// Which leaders each of some members follows.
struct BulkPartition {
    let fanOut: Int
    let leaderCount: Int
    /// Leaders of each member, nearest first, `[count][fanOut]`.
    var chosen: [UInt16]

    init(count: Int, fanOut: Int, leaderCount: Int) {
        self.fanOut = fanOut
        self.leaderCount = leaderCount
        chosen = [UInt16](repeating: 0, count: count * fanOut)
    }

    /// The members of each leader.
    func groups(of members: [UInt32]) -> [[UInt32]] {
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
    func permuted(_ order: [UInt32]) -> BulkPartition {
        var other = self
        for (i, old) in order.enumerated() {
            for j in 0..<fanOut { other.chosen[i * fanOut + j] = chosen[Int(old) * fanOut + j] }
        }
        return other
    }
}
