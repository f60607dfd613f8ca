internal import OmenCore

/// A small group of members, and the nearest of each within it.
struct ComparedGroup {
    let members: [UInt32]
    /// The number of a member's nearest, and their places in the group,
    /// `[members.count][plan.placeCount]`.
    let nearest: [UInt32]
}

/// What one thread of a build needs to divide members into groups, and to compare those of a group.
final class GroupComparer {
    private let rows: UnsafePointer<UInt32>
    private let plan: BuildPlan
    private let tile: DistanceTile
    private let leafRows: UnsafeMutablePointer<UInt32>
    /// The candidates of one member.
    private let known: UnsafeMutablePointer<UInt32>
    private let pulse: BuildProgress

    /// - Parameters:
    ///   - source: Where the rows are.
    ///   - rows: The row of each member.
    ///   - plan: How to look for near ones.
    ///   - columnCountMax: Most leaders, and most members of a group that is compared.
    ///   - candidateCountMax: Most candidates of a member.
    ///   - pulse: Of the thread.
    init(
        _ source: BuildSource,
        rows: UnsafePointer<UInt32>,
        plan: BuildPlan,
        columnCountMax: Int,
        candidateCountMax: Int,
        pulse: BuildProgress
    ) {
        self.rows = rows
        self.plan = plan
        self.pulse = pulse
        tile = DistanceTile(source, columnCountMax: columnCountMax)
        leafRows = .allocate(capacity: max(DistanceTile.rowCountMax, columnCountMax))
        known = .allocate(capacity: candidateCountMax)
    }

    deinit {
        leafRows.deallocate()
        known.deallocate()
    }

    /// Sends each member to the groups of its nearest leaders.
    ///
    /// - Parameters:
    ///   - members: A part of an array of members.
    ///   - leaders: Members.
    ///   - fanOut: Groups of each; at most as many as there are leaders.
    ///   - chosen: Receives the positions of leaders, `[][fanOut]` in the order of the whole array.
    /// - Throws: `.stopped`.
    func assign(
        _ members: ArraySlice<UInt32>,
        to leaders: [UInt32],
        fanOut: Int,
        _ chosen: UnsafeMutableBufferPointer<UInt16>
    ) throws(BuildEnd) {
        setColumns(leaders)
        var first = members.startIndex
        while first < members.endIndex {
            try pulse.check()
            let block = min(DistanceTile.rowCountMax, members.endIndex - first)
            for i in 0..<block { leafRows[i] = rows[Int(members[first + i])] }
            tile.measure(leafRows, count: block)
            for i in 0..<block {
                let at = first + i
                // Many leaders may be equally near: where vectors are of few bits, all rows would
                // join the groups of the first few.
                let start = Self.start(of: at, among: leaders.count)
                let found = tile.nearest(fanOut, ofRow: i, from: start)
                if found < fanOut { fill(from: found, to: fanOut, of: leaders.count, at: at) }
                for j in 0..<fanOut {
                    chosen[at * fanOut + j] = UInt16(truncatingIfNeeded: tile.chosen[j])
                }
            }
            first += block
        }
    }

    /// Where a member begins among leaders: another place for each member, and the same one on
    /// every machine.
    private static func start(of member: Int, among leaderCount: Int) -> Int {
        Int((UInt32(truncatingIfNeeded: member) &* 0x9E37_79B1) >> 8) % leaderCount
    }

    private func setColumns(_ members: [UInt32]) {
        for i in members.indices { leafRows[i] = rows[Int(members[i])] }
        tile.setColumns(leafRows, count: members.count)
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

    /// Compares all pairs of a small group; cuts a large one into groups first.
    func leaves(
        of members: [UInt32],
        _ generator: inout SplitMix64
    ) throws(BuildEnd) -> [ComparedGroup] {
        var leaves: [ComparedGroup] = []
        try divide(members, depth: 1, &generator, into: &leaves)
        return leaves
    }

    private func divide(
        _ members: [UInt32],
        depth: Int,
        _ generator: inout SplitMix64,
        into leaves: inout [ComparedGroup]
    ) throws(BuildEnd) {
        guard members.count > BuildPlan.leafCountMax else {
            if let leaf = try compare(members) { leaves.append(leaf) }
            return
        }
        for part in try parts(of: members, depth: depth, &generator) {
            try divide(part, depth: depth + 1, &generator, into: &leaves)
        }
    }

    private func parts(
        of members: [UInt32],
        depth: Int,
        _ generator: inout SplitMix64
    ) throws(BuildEnd) -> [[UInt32]] {
        guard depth < BuildPlan.depthMax else { return Partition.cut(members) }
        let leaders = Partition.leaders(of: members, fanOut: 1, &generator)
        var partition = Partition(
            count: members.count,
            fanOut: 1,
            leaderCount: leaders.count
        )
        try partition.chosen.withUnsafeMutableBufferPointer { chosen throws(BuildEnd) in
            try assign(members[...], to: leaders, fanOut: 1, chosen)
        }
        return partition.parts(of: members)
    }

    /// Finds each member's nearest of the group; nil for one that is alone.
    private func compare(_ members: [UInt32]) throws(BuildEnd) -> ComparedGroup? {
        try pulse.advance(members.count)
        guard members.count > 1 else { return nil }
        let width = plan.placeCount
        var nearest = [UInt32](repeating: 0, count: members.count * width)
        setColumns(members)
        try nearest.withUnsafeMutableBufferPointer { nearest throws(BuildEnd) in
            var first = 0
            while first < members.count {
                try pulse.check()
                let block = min(DistanceTile.rowCountMax, members.count - first)
                tile.measure(leafRows + first, count: block)
                for i in first..<first + block {
                    let near = tile.nearest(plan.nearestCount, ofRow: i - first, except: i)
                    var found = near
                    if plan.productCount > 0 {
                        found = tile.addLargest(
                            plan.productCount,
                            ofRow: i - first,
                            except: i,
                            after: found
                        )
                    }
                    let words = i &* width
                    nearest[words] = UInt32(truncatingIfNeeded: found)
                    for j in 0..<found { nearest[words &+ 1 &+ j] = tile.chosen[j] }
                    guard near > 0 else { continue }
                    let beyond = tile.addBeyond(
                        BuildPlan.beyondCount,
                        ofRow: i - first,
                        except: i,
                        after: near
                    )
                    nearest[words &+ 1 &+ found] = UInt32(truncatingIfNeeded: beyond)
                    for j in 0..<beyond {
                        nearest[words &+ 2 &+ found &+ j] = tile.chosen[near &+ j]
                    }
                }
                first += block
            }
        }
        return ComparedGroup(members: members, nearest: nearest)
    }

    /// Adds to the candidates of some members those of `columns` with which their inner products
    /// are the largest.
    ///
    /// - Throws: `.stopped`.
    func addLargest(
        of columns: [UInt32],
        to part: Range<Int>,
        into lists: CandidateLists,
        _ counts: UnsafeMutablePointer<UInt8>
    ) throws(BuildEnd) {
        setColumns(columns)
        var found = [UInt32](repeating: 0, count: BuildPlan.longChosenCount + 2)
        var first = part.lowerBound
        while first < part.upperBound {
            try pulse.check()
            let block = min(DistanceTile.rowCountMax, part.upperBound - first)
            tile.measure(rows + first, count: block)
            for i in 0..<block {
                let member = first + i
                let wanted = BuildPlan.longChosenCount + 1
                let chosen = tile.addLargest(wanted, ofRow: i, except: nil, after: 0)
                var count = 0
                for j in 0..<chosen where columns[Int(tile.chosen[j])] != UInt32(member) {
                    count += 1
                    found[count] = tile.chosen[j]
                }
                found[0] = UInt32(min(count, BuildPlan.longChosenCount))
                found.withUnsafeBufferPointer { found in
                    columns.withUnsafeBufferPointer {
                        add(found, of: $0, to: member, lists, counts)
                    }
                }
            }
            first += block
        }
    }

    /// Adds to the candidates of a leaf's members what is not there already.
    ///
    /// - Parameters:
    ///   - leaf: What `leaves` found.
    ///   - part: Other members are left out.
    ///   - lists: The candidates.
    ///   - counts: How many each member has.
    ///   - beyondCounts: How many of samples each member has, at the other end of its list.
    /// - Throws: `.stopped`.
    func merge(
        _ leaf: ComparedGroup,
        _ part: Range<Int>,
        into lists: CandidateLists,
        _ counts: UnsafeMutablePointer<UInt8>,
        beyond beyondCounts: UnsafeMutablePointer<UInt8>
    ) throws(BuildEnd) {
        try pulse.check()
        let width = plan.placeCount
        leaf.members.withUnsafeBufferPointer { members in
            leaf.nearest.withUnsafeBufferPointer { nearest in
                for i in members.indices where part.contains(Int(members[i])) {
                    let found = UnsafeBufferPointer(
                        rebasing: nearest[i &* width..<(i + 1) &* width]
                    )
                    let member = Int(members[i])
                    add(found, of: members, to: member, lists, counts)
                    // A row with many candidates needs no sample, whose places they take.
                    if Int(counts[member]) > plan.fewCount { continue }
                    let first = Int(found[0]) &+ 1
                    for j in 0..<Int(found[first]) {
                        addBeyond(
                            members[Int(found[first &+ 1 &+ j])],
                            to: member,
                            lists,
                            &beyondCounts[member]
                        )
                    }
                }
            }
        }
    }

    /// Adds a row of a sample at the end of a member's list, where other candidates come last.
    @inline(__always)
    private func addBeyond(
        _ candidate: UInt32,
        to member: Int,
        _ lists: CandidateLists,
        _ count: inout UInt8
    ) {
        guard count < plan.beyondCountMax else { return }
        for i in 0..<Int(count)
        where lists.place(lists.capacity &- 1 &- i, of: member).pointee == candidate { return }
        lists.place(lists.capacity &- 1 &- Int(count), of: member).pointee = candidate
        count &+= 1
    }

    /// Adds what was found, the number of places in the group and these, to one member's.
    @inline(__always)
    private func add(
        _ found: UnsafeBufferPointer<UInt32>,
        of members: UnsafeBufferPointer<UInt32>,
        to member: Int,
        _ lists: CandidateLists,
        _ counts: UnsafeMutablePointer<UInt8>
    ) {
        let before = Int(counts[member])
        guard before < lists.capacity else { return }
        let known = known
        lists.copy(member, count: before, to: known)
        var count = before
        for j in 1..<Int(found[0]) &+ 1 where count < lists.capacity {
            let candidate = members[Int(found[j])]
            var same: UInt32 = 0
            for i in 0..<before { same |= known[i] == candidate ? 1 : 0 }
            lists.place(count, of: member).pointee = candidate
            count &+= Int(same ^ 1)
        }
        counts[member] = UInt8(truncatingIfNeeded: count)
    }
}
