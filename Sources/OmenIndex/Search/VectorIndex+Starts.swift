internal import OmenCore

/// Where searches of level 0 begin.
enum Starts: UInt8 {
    /// Where a walk down the levels ends, from each node to the best of its neighbours.
    case walk = 0
    /// At the best few nodes of level 1.
    case few = 1
    /// At the best landmarks.
    case landmarks = 2
    /// At the best of more nodes of level 1.
    case many = 3

    /// What is tried after `few`, in the order of what it costs.
    static func costly(landmarkCount: Int) -> [Starts] {
        landmarkCount <= 512 ? [.landmarks, .many] : [.many, .landmarks]
    }

    /// Nodes of level 1 under `few`, and landmarks besides another start.
    static let fewCount = 8
    /// Nodes of level 1 under `many`.
    static let manyCount = 32
    /// Landmarks to begin at under `landmarks`.
    static let countMax = 16
    /// Recall that costlier starts have to add.
    static let gainMin: Float = 0.005
    /// Part of searches that do not find their group that is nothing to do anything about.
    static let lostEnough: Float = 0.002
    /// The width of searches that tell whether groups are found at all, and how many there are.
    static let narrowEf = 24
    static let lostQueryCount = 512
}

extension VectorIndex {
    /// Leaves the rows that a walk for a query begins with in `scratch.frontier`, all different.
    ///
    /// - Returns: How many there are, and whether all are farther than starts of queries like the
    ///   rows; see `SearchSettings.strangerLimit`.
    func findStarts(
        of prepared: PreparedQuery,
        from entry: Graph.Entry,
        _ scratch: Scratch
    ) -> (count: Int, areFar: Bool) {
        let count = findStarts(prepared.traversal, from: entry, scratch)
        let limit = settings.strangerLimit
        guard limit < .infinity else { return (count, false) }
        return (count, strangeness(prepared, startCount: count, scratch) > limit)
    }

    /// Leaves the rows to begin with on level 0 in `scratch.frontier`, all different.
    ///
    /// - Returns: How many.
    func findStarts(_ scorer: Scorer, from entry: Graph.Entry, _ scratch: Scratch) -> Int {
        if schema.metric == .ip {
            let first =
                graph.landmarks.isEmpty ? graph.descend(scorer, from: entry, to: 0, scratch) : nil
            return findProductStarts(scorer, besides: first, scratch)
        }
        if settings.starts == .landmarks {
            scratch.beam.reset(width: Starts.countMax, capacity: Starts.countMax)
            addStarts(scorer, graph.landmarks, scratch)
            return takeStarts(besides: nil, scratch)
        }
        var count = 1
        if settings.starts == .walk || entry.level == 0 {
            scratch.frontier[0] = graph.descend(scorer, from: entry, to: 0, scratch)
        } else {
            count = findNodeStarts(
                scorer,
                from: entry,
                width: settings.starts == .few ? Starts.fewCount : Starts.manyCount,
                scratch
            )
        }
        guard !graph.landmarks.isEmpty else { return count }
        let start = scratch.frontier[0]
        let nearCount = findLandmarks(
            scorer,
            nearerThan: start,
            atMost: Starts.fewCount,
            scratch
        )
        var total = count
        for i in 0..<nearCount {
            let row = Candidates.row(scratch.beam.keys[i])
            if (0..<count).contains(where: { scratch.frontier[$0] == row }) { continue }
            scratch.frontier[total] = row
            total += 1
        }
        return total
    }

    /// Leaves the nearest of the landmarks that are nearer to the query than `start` in the scratch
    /// beam, at most `limit`.
    ///
    /// - Returns: How many.
    func findLandmarks(
        _ scorer: Scorer,
        nearerThan start: UInt32,
        atMost limit: Int,
        _ scratch: Scratch
    ) -> Int {
        guard !graph.landmarks.isEmpty else { return 0 }
        scratch.beam.reset(width: limit, capacity: limit)
        addStarts(scorer, graph.landmarks, scratch)
        scratch.rows[0] = start
        scorer.score(scratch.rows, 1, into: scratch.distances)
        let limit = Candidates.key(scratch.distances[0], 0)
        while scratch.beam.count > 0, scratch.beam.keys[scratch.beam.count - 1] >= limit {
            scratch.beam.count -= 1
        }
        return scratch.beam.count
    }

    /// Leaves `first` and other rows with large inner products in `scratch.frontier`, all
    /// different.
    ///
    /// Under ip a walk down often ends at the wrong one of several groups. So there the best
    /// landmarks begin too, or the best of a level while there are none; and the best of the
    /// longest rows.
    /// - Returns: How many.
    func findProductStarts(_ scorer: Scorer, besides first: UInt32?, _ scratch: Scratch) -> Int {
        scratch.beam.reset(width: Starts.countMax, capacity: Starts.countMax)
        if graph.landmarks.isEmpty {
            addLevel(scorer, atMost: Landmarks.productCount, scratch)
        } else {
            addStarts(scorer, graph.landmarks, scratch)
        }
        if rowStore.areLinkedByProduct { addStarts(scorer, graph.longRows.rows, scratch) }
        return takeStarts(besides: first, scratch)
    }

    /// Offers all nodes of the lowest level that has no more of them than the limit.
    private func addLevel(_ scorer: Scorer, atMost limit: Int, _ scratch: Scratch) {
        let scanned = (1...Section.uppers.count).first { graph.upperCounts[$0 - 1] <= limit }
        guard let scanned else { return }
        let nodes = graph.upper(scanned)
        let count = graph.upperCounts[scanned - 1]
        for slot in 0..<count { scratch.rows[slot] = nodes.row(UInt32(slot)) }
        addStarts(scorer, count, scratch)
    }

    /// Offers some rows to the beam.
    private func addStarts(_ scorer: Scorer, _ rows: [UInt32], _ scratch: Scratch) {
        rows.withUnsafeBufferPointer { rows in
            var first = 0
            while first < rows.count {
                let count = min(Scratch.scanCount, rows.count - first)
                for i in 0..<count { scratch.rows[i] = rows[first + i] }
                addStarts(scorer, count, scratch)
                first += count
            }
        }
    }

    /// Offers the first `count` rows of `scratch.rows` to the beam; a row may come twice.
    private func addStarts(_ scorer: Scorer, _ count: Int, _ scratch: Scratch) {
        scorer.score(scratch.rows, count, into: scratch.distances)
        for i in 0..<count {
            let key = Candidates.key(scratch.distances[i], scratch.rows[i])
            if key < scratch.beam.bound { scratch.beam.insertNew(key) }
        }
    }

    /// Leaves `first` and the rows of the beam in `scratch.frontier`.
    private func takeStarts(besides first: UInt32?, _ scratch: Scratch) -> Int {
        var count = 0
        if let first {
            scratch.frontier[0] = first
            count = 1
        }
        for i in 0..<scratch.beam.count {
            let row = Candidates.row(scratch.beam.keys[i])
            if row == first { continue }
            scratch.frontier[count] = row
            count += 1
        }
        return count
    }

    /// How far the start nearest to a query is from it; under ip divided by the query's length.
    ///
    /// A query from another distribution than the rows has no row near it, as a text has none among
    /// pictures. Its start tells so before the walk.
    func strangeness(_ prepared: PreparedQuery, startCount: Int, _ scratch: Scratch) -> Float {
        // Distances by single bits lack the query's own part.
        let scorer = (schema.codes == .u1 ? prepared.middle : nil) ?? prepared.traversal
        scorer.score(scratch.frontier, startCount, into: scratch.distances)
        let nearest = (1..<startCount).reduce(scratch.distances[0]) {
            min($0, scratch.distances[$1])
        }
        guard schema.metric == .ip else { return nearest }
        let length = ElementType.f32.norm(of: scratch.queryFloats, dim: schema.dim)
        return length > 0 ? nearest / Float(length) : 0
    }

    /// Leaves the rows of the nearest nodes of level 1 in `scratch.frontier`.
    private func findNodeStarts(
        _ scorer: Scorer,
        from entry: Graph.Entry,
        width: Int,
        _ scratch: Scratch
    ) -> Int {
        let level = graph.upper(1)
        let start = graph.descend(scorer, from: entry, to: 1, scratch)
        graph.searchUpper(scorer, level: 1, from: start, width: width, scratch)
        for i in 0..<scratch.beam.count {
            scratch.frontier[i] = level.row(Candidates.row(scratch.beam.keys[i]))
        }
        return scratch.beam.count
    }
}
