internal import COmenKernels
internal import OmenCore

/// How well one index finds near rows at different widths, measured on rows of its own.
///
/// The queries were left out of the graph while measuring. Under ip, too, they are rows: data whose
/// queries look otherwise is not described well.
package struct SearchCalibration: Equatable, Sendable {
    /// Widths tried, ascending.
    package let efs: [Int]
    /// Recalls of the first one to `rankCount` rows at each width, `[efs.count][rankCount]`.
    package let recalls: [Float]

    /// Most near rows looked for.
    package static let rankCount = 10
    package static let efsStandard = [
        8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024,
    ]
    /// Recall@10 from which on wider searches are not tried.
    static let recallEnough: Float = 0.9995
    /// Rows held out as queries.
    package static let queryCount = 128
    /// Indexes with fewer rows are not calibrated.
    package static let rowCountMin = 2048

    package init(efs: [Int], recalls: [Float]) {
        precondition(recalls.count == efs.count * Self.rankCount, "recalls of other widths")
        self.efs = efs
        self.recalls = recalls
    }

    /// The share of the nearest `k` rows that a search of width `efs[index]` found, averaged over
    /// the queries.
    ///
    /// That search asked for `min(rankCount, efs[index])` hits, so at k above the width it is the
    /// share of what it could not find either.
    /// - Precondition: `1...rankCount` contains `k`.
    package func recall(at index: Int, k: Int) -> Float {
        precondition((1...Self.rankCount).contains(k), "k is \(k)")
        return recalls[index * Self.rankCount + k - 1]
    }

    /// Recall@10 at each width.
    package var recallsAt10: [Float] { efs.indices.map { recall(at: $0, k: Self.rankCount) } }

    /// Part of what may be missed that is kept as a reserve: the table is measured on a sample.
    private static let reserve = 0.1

    /// The least width at which so many shards like this one, which divide a collection evenly,
    /// together find the wanted share of the nearest `k`.
    ///
    /// The j-th nearest of all lies behind Binomial(j - 1, 1 / shardCount) nearer ones on its own
    /// shard, and the nearer a row is, the narrower a search finds it.
    /// - Parameters:
    ///   - wanted: The recall of all of them, above 0 and below 1.
    ///   - k: Hits wanted of all shards together, above 0.
    ///   - shardCount: Above 0.
    /// - Returns: A width between those tried, or nil: no width reaches that.
    /// - Precondition: `k` is at most `rankCount`.
    /// - Complexity: O(widths * k).
    package func ef(recall wanted: Double, k: Int, shardCount: Int) -> Int? {
        precondition((1...Self.rankCount).contains(k) && shardCount > 0, "k is \(k)")
        let weights = Self.rankWeights(k: k, shardCount: shardCount)
        let needed = 1 - (1 - wanted) * (1 - Self.reserve)
        var below: (ef: Int, recall: Double)?
        for e in efs.indices {
            let reached = weights.indices.reduce(0.0) { $0 + weights[$1] * found(at: e, rank: $1) }
            guard reached < needed else {
                guard let below else { return efs[e] }
                let part = (needed - below.recall) / (reached - below.recall)
                return below.ef + Int((Double(efs[e] - below.ef) * part).rounded(.up))
            }
            below = (efs[e], reached)
        }
        return nil
    }

    /// Share of the queries whose nearest row but `rank` was found.
    private func found(at e: Int, rank: Int) -> Double {
        let upTo = Double(recall(at: e, k: rank + 1)) * Double(rank + 1)
        return rank == 0 ? upTo : upTo - Double(recall(at: e, k: rank)) * Double(rank)
    }

    /// How the nearest `k` of all shards are distributed over ranks on their own shards.
    private static func rankWeights(k: Int, shardCount: Int) -> [Double] {
        let p = 1 / Double(shardCount)
        var weights = [Double](repeating: 0, count: k)
        // Binomial(j, p), from j = 0 on: each further row is on this shard or on another.
        var chances = [1.0] + [Double](repeating: 0, count: k)
        for j in 0..<k {
            for rank in 0...j { weights[rank] += chances[rank] / Double(k) }
            for rank in stride(from: j + 1, through: 1, by: -1) {
                chances[rank] = chances[rank] * (1 - p) + chances[rank - 1] * p
            }
            chances[0] *= 1 - p
        }
        return weights
    }
}

extension VectorIndex {
    /// Searches for rows that are not linked among those that are, at each standard width.
    ///
    /// Searches as anybody would, so what makes searching better shows in the table.
    /// - Precondition: Nobody else uses the index; rows before `heldOut` are linked, none deleted.
    /// - Complexity: O(linked rows * held-out rows * dim), by the fastest of kernels.
    func calibrate(
        heldOut: Range<Int>,
        _ pulse: BulkPulse
    ) throws(BulkEnd) -> SearchCalibration {
        precondition(heldOut.lowerBound == linkedCount && heldOut.upperBound == rowCount)
        // Truth and searches both leave out what lies behind the rows.
        rowCount = linkedCount
        defer { rowCount = heldOut.upperBound }
        let truth = try BulkTruth(self, queries: heldOut, pulse)
        try chooseStarts(heldOut, truth, pulse)
        var efs: [Int] = []
        var recalls: [Float] = []
        for ef in SearchCalibration.efsStandard {
            efs.append(ef)
            recalls += try self.recalls(of: heldOut, ef: ef, truth, pulse)
            guard recalls[recalls.count - 1] < SearchCalibration.recallEnough else { break }
        }
        return SearchCalibration(efs: efs, recalls: recalls)
    }

    /// Lets searches begin at more than one row where that finds clearly more.
    ///
    /// Groups of near-duplicates are each other's links, and a walk down from group to group often
    /// ends in a wrong one. Elsewhere further starts cost time and find nothing.
    private func chooseStarts(
        _ heldOut: Range<Int>,
        _ truth: BulkTruth,
        _ pulse: BulkPulse
    ) throws(BulkEnd) {
        guard schema.metric != .ip else { return }
        var best: (starts: Starts, recall: Float) = (.walk, -1)
        for tried in Starts.allCases {
            starts = tried
            let recall = try recalls(of: heldOut, ef: Self.efStandard, truth, pulse)[
                SearchCalibration.rankCount - 1
            ]
            if recall > best.recall + (tried == .walk ? 0 : Starts.gainMin) {
                best = (tried, recall)
            }
        }
        starts = best.starts
    }

    /// Recalls of the first one to `rankCount` rows at one width.
    private func recalls(
        of heldOut: Range<Int>,
        ef: Int,
        _ truth: BulkTruth,
        _ pulse: BulkPulse
    ) throws(BulkEnd) -> [Float] {
        let rankCount = SearchCalibration.rankCount
        var recalls = [Float](repeating: 0, count: rankCount)
        var hits: [Neighbor] = []
        for (position, query) in heldOut.enumerated() {
            try pulse.check()
            do throws(OmenError) {
                try search(
                    vectors + query * layout.vectorStride,
                    element: schema.element,
                    k: min(rankCount, ef),
                    ef: ef,
                    exact: false,
                    maxDistance: .infinity,
                    into: &hits
                )
            } catch {
                throw .failed(error)
            }
            for k in 1...rankCount {
                let found = truth.count(hits, amongNearest: k, of: position)
                recalls[k - 1] += Float(found) / Float(k * heldOut.count)
            }
        }
        return recalls
    }
}

/// The distances of the nearest rows of some queries, by comparing with all.
struct BulkTruth {
    /// Exact distances, `[queries][rankCount]`, ascending.
    private var distances: [Float] = []
    private static let rankCount = SearchCalibration.rankCount
    /// Nearest rows by codes among which the truly nearest are looked for.
    private static let shortListCount = 32

    init(_ index: VectorIndex, queries: Range<Int>, _ pulse: BulkPulse) throws(BulkEnd) {
        let columns = queries.map { UInt32(truncatingIfNeeded: $0) }
        let tile = BulkTile(BulkSource(index), columnCountMax: columns.count)
        tile.setColumns(columns, count: columns.count)
        var lists = columns.map { _ in Candidates(reserving: Self.shortListCount + 1) }
        defer { for list in lists { list.deallocate() } }
        for i in lists.indices {
            lists[i].reset(width: Self.shortListCount, capacity: Self.shortListCount)
        }
        var bounds = [Float](repeating: .infinity, count: columns.count)
        let rowCount = queries.lowerBound
        var rows = [UInt32](repeating: 0, count: BulkTile.rowCountMax)
        var first = 0
        while first < rowCount {
            try pulse.check()
            let block = min(BulkTile.rowCountMax, rowCount - first)
            for i in 0..<block { rows[i] = UInt32(truncatingIfNeeded: first + i) }
            tile.measure(rows, count: block)
            for i in 0..<block {
                let measured = index.schema.metric == .ip ? tile.products : tile.distances
                let found = measured + i * tile.stride
                for column in columns.indices where found[column] < bounds[column] {
                    _ = lists[column].insertLive(Candidates.key(found[column], rows[i]))
                    if lists[column].count == Self.shortListCount {
                        bounds[column] = Candidates.distance(lists[column].bound)
                    }
                }
            }
            first += block
        }
        for (query, list) in zip(columns, lists) {
            let found = index.exactDistances(of: query, to: list).prefix(Self.rankCount)
            // Where distances overflow there are fewer.
            distances += found + [Float](repeating: .infinity, count: Self.rankCount - found.count)
        }
    }

    /// How many of a query's nearest `k` rows are among its hits; rows as near count as well.
    func count(_ hits: [Neighbor], amongNearest k: Int, of query: Int) -> Int {
        let farthest = distances[query * Self.rankCount + k - 1]
        let limit = farthest + abs(farthest) * 1e-6
        return min(k, hits.count { $0.distance <= limit })
    }
}

extension VectorIndex {
    /// Exact distances of a row to some others, ascending.
    fileprivate func exactDistances(of row: UInt32, to list: Candidates) -> [Float] {
        let kernels = Kernels.best.pointee
        let isBytes = schema.element == .u8
        var scorer = vectorScorer(
            query: vectors + Int(row) * layout.vectorStride,
            l2: isBytes ? kernels.l2_u8 : kernels.l2_f32,
            dot: isBytes ? kernels.dot_u8 : kernels.dot_f32
        )
        if schema.metric == .cosine { scorer.scale = aux[Int(row)] }
        let rows = (0..<list.count).map { Candidates.row(list.keys[$0]) }
        var distances = [Float](repeating: 0, count: rows.count)
        scorer.score(rows, rows.count, into: &distances)
        return distances.sorted()
    }
}
