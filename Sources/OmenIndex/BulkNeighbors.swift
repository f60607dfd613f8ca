internal import OmenCore

/// How a bulk build looks for near neighbours.
struct BulkPlan {
    /// Groups that each row joins.
    var fanOut = 5
    /// Nearest rows kept in each group.
    var nearestCount = 10
    /// Rows of the largest group whose pairs are all compared.
    var leafCountMax = 1000
    /// Leaders of one partition.
    static let leaderCountMax = 1000
    /// Partitions within partitions, before rows are just cut into leaves.
    static let depthMax = 16

    var candidateCountMax: Int { fanOut * nearestCount }
}

/// Near neighbours of a set of rows, without a graph to search: rows join overlapping groups around
/// random leaders, and within a small group all pairs are compared.
///
/// Members of the set are named by their position in `rows`.
final class BulkNeighbors {
    let source: BulkSource
    let rows: UnsafePointer<UInt32>
    let count: Int
    let plan: BulkPlan
    /// Candidates of each member, `[count][plan.candidateCountMax]`; one may occur twice.
    let candidates: UnsafeMutablePointer<UInt32>
    let candidateCounts: UnsafeMutablePointer<UInt16>
    /// Members so that near ones follow each other.
    let order: UnsafeMutablePointer<UInt32>
    private var orderCount = 0
    private let memory: (BulkMemory<UInt32>, BulkMemory<UInt16>, BulkMemory<UInt32>)
    private let tile: BulkTile
    private let leafRows: UnsafeMutablePointer<UInt32>
    private var generator: SplitMix64
    private let pulse: BulkPulse

    init(
        _ source: BulkSource,
        rows: UnsafePointer<UInt32>,
        count: Int,
        plan: BulkPlan,
        seed: UInt64,
        pulse: BulkPulse
    ) throws(BulkEnd) {
        self.source = source
        self.rows = rows
        self.count = count
        self.plan = plan
        self.pulse = pulse
        generator = SplitMix64(seed: seed)
        memory = (
            try BulkMemory(count: count * plan.candidateCountMax), try BulkMemory(count: count),
            try BulkMemory(count: count)
        )
        candidates = memory.0.base
        candidateCounts = memory.1.base
        order = memory.2.base
        let columnCountMax = min(count, max(plan.leafCountMax, BulkPlan.leaderCountMax))
        tile = BulkTile(source, columnCountMax: max(1, columnCountMax))
        leafRows = .allocate(capacity: max(BulkTile.rowCountMax, columnCountMax))
    }

    deinit { leafRows.deallocate() }

    private var everyMember: [UInt32] { (0..<count).map { UInt32(truncatingIfNeeded: $0) } }

    /// The first division of all members; nothing is filled yet.
    ///
    /// - Precondition: `count > plan.leafCountMax`.
    func partition() throws(BulkEnd) -> BulkPartition {
        try assign(everyMember, fanOut: plan.fanOut)
    }

    /// Fills `candidates`, `candidateCounts` and `order`.
    ///
    /// - Parameter first: What `partition()` found, if it was called.
    /// - Throws: `BulkEnd.stopped`.
    /// - Complexity: O(count * fanOut * leafCountMax * dim).
    func run(_ first: BulkPartition? = nil) throws(BulkEnd) {
        var members = everyMember
        try divide(&members, depth: 0, first)
        precondition(orderCount == count, "\(orderCount) of \(count) members are in a group")
    }

    /// Compares all pairs of a small group, or cuts a large one into groups; empties `members`.
    private func divide(
        _ members: inout [UInt32],
        depth: Int,
        _ first: BulkPartition? = nil
    ) throws(BulkEnd) {
        guard members.count > plan.leafCountMax else { return try compare(members) }
        guard depth < BulkPlan.depthMax else { return try cut(members) }
        let total = members.count
        let fanOut = depth == 0 ? plan.fanOut : 1
        let partition: BulkPartition
        if let first { partition = first } else { partition = try assign(members, fanOut: fanOut) }
        var groups = partition.groups(of: members)
        members = []
        // Equal rows all follow one leader.
        if groups.contains(where: { $0.count > total - total / 16 }) {
            for group in groups { try cut(group) }
            return
        }
        var small: [UInt32] = []
        for index in groups.indices {
            if groups[index].count >= plan.leafCountMax / 8 {
                try divide(&groups[index], depth: depth + 1)
                continue
            }
            small += groups[index]
            groups[index] = []
            if small.count > plan.leafCountMax / 2 {
                try compare(Self.distinct(small))
                small = []
            }
        }
        try compare(Self.distinct(small))
    }

    /// Cuts a group where nothing tells rows apart, each part overlapping the next by an eighth.
    private func cut(_ members: [UInt32]) throws(BulkEnd) {
        var first = 0
        let step = plan.leafCountMax - plan.leafCountMax / 8
        while first < members.count {
            let end = min(members.count, first + plan.leafCountMax)
            try compare(Array(members[first..<end]))
            if end == members.count { return }
            first += step
        }
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

    /// Sends each member to the groups of its nearest leaders.
    private func assign(_ members: [UInt32], fanOut: Int) throws(BulkEnd) -> BulkPartition {
        let leaderCount = min(
            BulkPlan.leaderCountMax,
            max(2 * fanOut, members.count * fanOut * 2 / plan.leafCountMax)
        )
        var pool = members
        for i in 0..<leaderCount {
            let other = i + Int(generator.next() % UInt64(pool.count - i))
            pool.swapAt(i, other)
            leafRows[i] = rows[Int(pool[i])]
        }
        pool = []
        tile.setColumns(leafRows, count: leaderCount)
        var partition = BulkPartition(
            count: members.count,
            fanOut: fanOut,
            leaderCount: leaderCount
        )
        var first = 0
        while first < members.count {
            if first % 1024 < BulkTile.rowCountMax { try pulse.check() }
            let block = min(BulkTile.rowCountMax, members.count - first)
            for i in 0..<block { leafRows[i] = rows[Int(members[first + i])] }
            tile.measure(leafRows, count: block)
            for i in 0..<block {
                let found = tile.nearest(fanOut, ofRow: i, except: nil)
                precondition(found == fanOut, "\(found) leaders of \(fanOut)")
                for j in 0..<fanOut {
                    partition.chosen[(first + i) * fanOut + j] =
                        UInt16(truncatingIfNeeded: tile.chosen[j])
                }
            }
            first += block
        }
        return partition
    }

    /// Keeps each member's nearest of the group as candidates.
    private func compare(_ members: [UInt32]) throws(BulkEnd) {
        try pulse.advance(members.count)
        members.withUnsafeBufferPointer { members in
            for i in members.indices {
                leafRows[i] = rows[Int(members[i])]
                if candidateCounts[Int(members[i])] == 0, !isOrdered(members[i]) {
                    order[orderCount] = members[i]
                    orderCount += 1
                    markOrdered(members[i])
                }
            }
            guard members.count > 1 else { return }
            tile.setColumns(leafRows, count: members.count)
            let most = plan.candidateCountMax
            var first = 0
            while first < members.count {
                let block = min(BulkTile.rowCountMax, members.count - first)
                tile.measure(leafRows + first, count: block)
                for i in 0..<block {
                    let member = Int(members[first + i])
                    let used = Int(candidateCounts[member] & ~Self.orderedMark)
                    let wanted = min(plan.nearestCount, most - used)
                    guard wanted > 0 else { continue }
                    let found = tile.nearest(wanted, ofRow: i, except: first + i)
                    let list = candidates + member * most + used
                    for j in 0..<found { list[j] = members[Int(tile.chosen[j])] }
                    candidateCounts[member] += UInt16(truncatingIfNeeded: found)
                }
                first += block
            }
        }
    }

    private static let orderedMark: UInt16 = 1 << 15

    private func isOrdered(_ member: UInt32) -> Bool {
        candidateCounts[Int(member)] & Self.orderedMark != 0
    }

    private func markOrdered(_ member: UInt32) {
        candidateCounts[Int(member)] |= Self.orderedMark
    }

    /// The candidates of a member; may hold one several times.
    @inline(__always)
    func candidates(of member: Int) -> UnsafeMutableBufferPointer<UInt32> {
        UnsafeMutableBufferPointer(
            start: candidates + member * plan.candidateCountMax,
            count: Int(candidateCounts[member] & ~Self.orderedMark)
        )
    }
}
