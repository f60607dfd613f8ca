internal import OmenCore

/// Where a bulk build keeps the candidates of each member: in the list that will hold its links,
/// and what is more in memory of its own.
struct BulkLists {
    /// The lists, `[count][stride]`, of which the first `slots` words are used.
    let base: UnsafeMutablePointer<UInt32>
    let stride: Int
    let slots: Int
    /// Most candidates of a member.
    let capacity: Int
    /// What does not fit into the lists, `[count][capacity - slots]`.
    private let rest: BulkMemory<UInt32>

    /// - Parameters:
    ///   - base: Lists of `count` members.
    ///   - stride: Words from one to the next.
    ///   - slots: Words of one.
    ///   - capacity: Most candidates.
    ///   - count: Members.
    /// - Throws: `.failed` without memory.
    init(
        _ base: UnsafeMutablePointer<UInt32>,
        stride: Int,
        slots: Int,
        capacity: Int,
        count: Int
    ) throws(BulkEnd) {
        self.base = base
        self.stride = stride
        self.slots = min(slots, capacity)
        self.capacity = capacity
        rest = try BulkMemory(count: count * (capacity - self.slots))
    }

    /// The place of candidate `index` of a member.
    @inline(__always)
    func place(_ index: Int, of member: Int) -> UnsafeMutablePointer<UInt32> {
        index < slots
            ? base + (member &* stride &+ index)
            : rest.base + (member &* (capacity &- slots) &+ (index &- slots))
    }

    /// Copies the first `count` candidates of a member.
    @inline(__always)
    func copy(_ member: Int, count: Int, to target: UnsafeMutablePointer<UInt32>) {
        let first = min(count, slots)
        target.update(from: base + member &* stride, count: first)
        guard count > first else { return }
        (target + first).update(
            from: rest.base + member &* (capacity &- slots),
            count: count &- first
        )
    }
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
    /// Receives the candidates of each member, all different.
    let lists: BulkLists
    /// How many there are.
    let counts: BulkMemory<UInt8>
    private let tile: BulkTile
    private let leafRows: UnsafeMutablePointer<UInt32>
    /// The candidates of one member.
    private let known: UnsafeMutablePointer<UInt32>
    private var generator: SplitMix64
    private let pulse: BulkPulse

    init(
        _ source: BulkSource,
        rows: UnsafePointer<UInt32>,
        count: Int,
        lists: BulkLists,
        plan: BulkPlan,
        seed: UInt64,
        pulse: BulkPulse
    ) throws(BulkEnd) {
        self.source = source
        self.rows = rows
        self.count = count
        self.lists = lists
        self.plan = plan
        self.pulse = pulse
        generator = SplitMix64(seed: seed)
        counts = try BulkMemory(count: count)
        let columnCountMax = min(count, max(BulkPlan.leafCountMax, BulkPlan.leaderCountMax))
        tile = BulkTile(source, columnCountMax: max(1, columnCountMax))
        leafRows = .allocate(capacity: max(BulkTile.rowCountMax, columnCountMax))
        known = .allocate(capacity: lists.capacity)
    }

    deinit {
        leafRows.deallocate()
        known.deallocate()
    }

    private var everyMember: [UInt32] { (0..<count).map { UInt32(truncatingIfNeeded: $0) } }

    /// The first division of all members; nil when they are few enough to be compared at once.
    func partition() throws(BulkEnd) -> BulkPartition? {
        guard count > BulkPlan.leafCountMax else { return nil }
        return try assign(everyMember, fanOut: plan.fanOut)
    }

    /// Fills `lists` and `counts`.
    ///
    /// - Parameter first: What `partition` returned, if it was called.
    /// - Throws: `.stopped`, or `.failed` without memory.
    /// - Complexity: O(count * fanOut * leafCountMax * dim).
    func run(_ first: BulkPartition?) throws(BulkEnd) {
        try divide(everyMember, depth: 0, first)
    }

    /// Compares all pairs of a small group, or cuts a large one into groups.
    private func divide(
        _ members: consuming [UInt32],
        depth: Int,
        _ given: BulkPartition?
    ) throws(BulkEnd) {
        guard members.count > BulkPlan.leafCountMax else { return try compare(members) }
        guard depth < BulkPlan.depthMax else { return try cut(members) }
        let total = members.count
        let fanOut = depth == 0 ? plan.fanOut : 1
        let partition: BulkPartition
        if let given { partition = given } else { partition = try assign(members, fanOut: fanOut) }
        var groups = partition.groups(of: members)
        members = []
        // Equal rows all follow one leader.
        if groups.contains(where: { $0.count > total - total / 16 }) {
            for group in groups { try cut(group) }
            return
        }
        var small: [UInt32] = []
        for index in groups.indices {
            var group: [UInt32] = []
            swap(&group, &groups[index])
            if group.count >= BulkPlan.leafCountMax / 8 {
                try divide(group, depth: depth + 1, nil)
                continue
            }
            small += group
            if small.count > BulkPlan.leafCountMax / 2 {
                try compare(Self.distinct(small))
                small = []
            }
        }
        try compare(Self.distinct(small))
    }

    /// Cuts a group where nothing tells rows apart, each part overlapping the next by an eighth.
    private func cut(_ members: [UInt32]) throws(BulkEnd) {
        var first = 0
        let step = BulkPlan.leafCountMax - BulkPlan.leafCountMax / 8
        while first < members.count {
            let end = min(members.count, first + BulkPlan.leafCountMax)
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
            max(2 * fanOut, members.count * fanOut * 2 / BulkPlan.leafCountMax)
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
            try pulse.check()
            let block = min(BulkTile.rowCountMax, members.count - first)
            for i in 0..<block { leafRows[i] = rows[Int(members[first + i])] }
            tile.measure(leafRows, count: block)
            for i in 0..<block {
                let found = tile.nearest(fanOut, ofRow: i, except: nil)
                if found < fanOut { fill(from: found, to: fanOut, of: leaderCount, at: first + i) }
                for j in 0..<fanOut {
                    partition.chosen[(first + i) * fanOut + j] =
                        UInt16(truncatingIfNeeded: tile.chosen[j])
                }
            }
            first += block
        }
        return partition
    }

    /// Chooses any leaders where distances overflow, which `nearest` leaves out.
    private func fill(from found: Int, to fanOut: Int, of leaderCount: Int, at position: Int) {
        var count = found
        var leader = position % leaderCount
        while count < fanOut {
            let candidate = UInt32(truncatingIfNeeded: leader)
            if !(0..<count).contains(where: { tile.chosen[$0] == candidate }) {
                tile.chosen[count] = candidate
                count += 1
            }
            leader = (leader + 1) % leaderCount
        }
    }

    /// Keeps each member's nearest of the group as candidates.
    private func compare(_ members: [UInt32]) throws(BulkEnd) {
        try pulse.advance(members.count)
        guard members.count > 1 else { return }
        try members.withUnsafeBufferPointer { members throws(BulkEnd) in
            for i in members.indices { leafRows[i] = rows[Int(members[i])] }
            tile.setColumns(leafRows, count: members.count)
            var first = 0
            while first < members.count {
                try pulse.check()
                let block = min(BulkTile.rowCountMax, members.count - first)
                tile.measure(leafRows + first, count: block)
                for i in 0..<block {
                    let found = tile.nearest(plan.nearestCount, ofRow: i, except: first + i)
                    merge(found, of: members, into: Int(members[first + i]))
                }
                first += block
            }
        }
    }

    /// Adds what `nearest` chose to the candidates of a member, unless it is there already.
    @inline(__always)
    private func merge(
        _ found: Int,
        of members: UnsafeBufferPointer<UInt32>,
        into member: Int
    ) {
        let before = Int(counts.base[member])
        guard before < lists.capacity else { return }
        let known = known
        lists.copy(member, count: before, to: known)
        var count = before
        for j in 0..<found where count < lists.capacity {
            let candidate = members[Int(tile.chosen[j])]
            var same: UInt32 = 0
            for i in 0..<before { same |= known[i] == candidate ? 1 : 0 }
            lists.place(count, of: member).pointee = candidate
            count &+= Int(same ^ 1)
        }
        counts.base[member] = UInt8(truncatingIfNeeded: count)
    }
}
