internal import OmenCore

/// Near neighbours of a set of rows, without a graph to search: rows join overlapping groups around
/// random leaders, and within a small group all pairs are compared.
///
/// Members of the set are named by their position in `rows`.
final class NeighborFinder {
    let count: Int
    let plan: BuildPlan
    /// Receives the candidates of each member, all different.
    let lists: CandidateLists
    /// How many there are.
    let counts: BuildMemory<UInt8>
    /// How many rows of samples stand at the end of each list, unless candidates took their places.
    let beyondCounts: BuildMemory<UInt8>
    private var generator: SplitMix64
    private let team: BuildTeam
    private var comparers: [GroupComparer]
    private let source: BuildSource
    private let rows: UnsafePointer<UInt32>
    /// Places in groups that are compared at once, before what they found is taken in: at least so
    /// many, and half as many as there are members.
    private static let roundSizeMin = 1 << 20

    init(
        _ source: BuildSource,
        rows: UnsafePointer<UInt32>,
        count: Int,
        lists: CandidateLists,
        plan: BuildPlan,
        seed: UInt64,
        team: BuildTeam
    ) throws(BuildEnd) {
        self.source = source
        self.rows = rows
        self.count = count
        self.lists = lists
        self.plan = plan
        self.team = team
        generator = SplitMix64(seed: seed)
        counts = try BuildMemory(count: count)
        beyondCounts = try BuildMemory(count: count)
        let columnCountMax = min(count, max(BuildPlan.leafCountMax, BuildPlan.leaderCountMax))
        comparers = try team.forEachThread { pulse in
            GroupComparer(
                source,
                rows: rows,
                plan: plan,
                columnCountMax: max(1, columnCountMax),
                candidateCountMax: lists.capacity,
                pulse: pulse
            )
        }
    }

    private var everyMember: [UInt32] { (0..<count).map { UInt32(truncatingIfNeeded: $0) } }

    /// The first division of all members; nil when they are few enough to be compared at once.
    func partition() throws(BuildEnd) -> Partition? {
        guard count > BuildPlan.leafCountMax else { return nil }
        let members = everyMember
        let leaders = Partition.leaders(of: members, fanOut: plan.fanOut, &generator)
        var partition = Partition(
            count: count,
            fanOut: plan.fanOut,
            leaderCount: leaders.count
        )
        let (team, comparers, plan, count) = (team, comparers, plan, count)
        // In blocks, so that the same rows are measured together however many parts there are.
        let block = DistanceTile.rowCountMax
        let blockCount = (count + block - 1) / block
        try partition.chosen.withUnsafeMutableBufferPointer { chosen throws(BuildEnd) in
            // The closure below cannot capture an `inout` parameter.
            let chosen = chosen
            try team.share(blockCount, inParts: team.partCount(count)) {
                thread,
                part throws(BuildEnd) in
                try comparers[thread].assign(
                    members[part.lowerBound * block..<min(count, part.upperBound * block)],
                    to: leaders,
                    fanOut: plan.fanOut,
                    chosen
                )
            }
        }
        return partition
    }

    /// Fills `lists` and `counts`.
    ///
    /// - Parameter first: What `partition` returned, if it was called.
    /// - Throws: `.stopped`, or `.failed` without memory.
    /// - Complexity: O(count * fanOut * leafCountMax * dim).
    func run(_ first: Partition?) throws(BuildEnd) {
        let members = everyMember
        let partition = if let first { first } else { try partition() }
        var parts = partition?.parts(of: members) ?? [members]
        let seeds = parts.map { _ in generator.next() }
        var next = 0
        while next < parts.count {
            let start = next
            let end = endOfRound(from: start, of: parts)
            let round = Array(parts[start..<end])
            // They are large together.
            for index in start..<end { parts[index] = [] }
            try merge(try compare(round, Array(seeds[start..<end])))
            next = end
        }
        if plan.productCount > 0 { try addLongest() }
        comparers = []
    }

    /// Compares every member with the longest ones by inner product.
    private func addLongest() throws(BuildEnd) {
        let (source, rows) = (source, rows)
        // Longest first, equal ones in the order of members.
        let longest = everyMember.sorted {
            (source.squaredLength(rows[Int($0)]), $1) > (source.squaredLength(rows[Int($1)]), $0)
        }.prefix(BuildPlan.longCount(of: count))
        let (lists, counts, comparers) = (lists, counts.base, comparers)
        for first in stride(from: 0, to: longest.count, by: BuildPlan.leafCountMax) {
            let columns = Array(longest[first..<min(longest.count, first + BuildPlan.leafCountMax)])
            // In blocks, as in `partition`.
            let (block, count) = (DistanceTile.rowCountMax, count)
            let blockCount = (count + block - 1) / block
            try team.share(blockCount, inParts: team.partCount(count)) {
                thread,
                part throws(BuildEnd) in
                try comparers[thread].addLargest(
                    of: columns,
                    to: part.lowerBound * block..<min(count, part.upperBound * block),
                    into: lists,
                    counts
                )
            }
        }
    }

    private func endOfRound(from start: Int, of parts: [[UInt32]]) -> Int {
        guard team.threadCount > 1 else { return start + 1 }
        let sizeMax = max(Self.roundSizeMin, count / 2)
        var size = 0
        var end = start
        while end < parts.count, size < sizeMax {
            size += parts[end].count
            end += 1
        }
        return end
    }

    private func compare(_ parts: [[UInt32]], _ seeds: [UInt64]) throws(BuildEnd) -> ComparedGroups
    {
        let found = ComparedGroups(count: parts.count)
        let comparers = comparers
        try team.share(parts.count) { thread, index throws(BuildEnd) in
            var generator = SplitMix64(seed: seeds[index])
            found.base[index] = try comparers[thread].leaves(of: parts[index], &generator)
        }
        return found
    }

    /// Adds what was found in some groups to the candidates of their members, in their order.
    private func merge(_ found: ComparedGroups) throws(BuildEnd) {
        let (lists, counts, comparers) = (lists, counts.base, comparers)
        let beyond = beyondCounts.base
        try team.share(count, inParts: team.stripeCount(count)) { thread, part throws(BuildEnd) in
            for index in 0..<found.count {
                for leaf in found.base[index] {
                    try comparers[thread].merge(leaf, part, into: lists, counts, beyond: beyond)
                }
            }
        }
    }
}

/// What was found in each of several parts; each may be set by another thread.
private final class ComparedGroups {
    let base: UnsafeMutablePointer<[ComparedGroup]>
    let count: Int

    init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: [], count: count)
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }
}
