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

    /// Members so that those with the same nearest leader follow each other.
    func order() -> [UInt32] {
        let count = chosen.count / fanOut
        var ends = [Int](repeating: 0, count: leaderCount + 1)
        for i in 0..<count { ends[Int(chosen[i * fanOut]) + 1] += 1 }
        for leader in 0..<leaderCount { ends[leader + 1] += ends[leader] }
        var order = [UInt32](repeating: 0, count: count)
        for i in 0..<count {
            let leader = Int(chosen[i * fanOut])
            order[ends[leader]] = UInt32(truncatingIfNeeded: i)
            ends[leader] += 1
        }
        return order
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
