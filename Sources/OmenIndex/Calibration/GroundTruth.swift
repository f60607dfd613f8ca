internal import OmenCore

/// The distances of the nearest rows of some queries, by comparing with all.
struct GroundTruth {
    /// Exact distances, `[queries][rankCount]`, ascending.
    private var distances: [Float] = []
    /// The rows that are the queries.
    let queries: Range<Int>
    private static let rankCount = SearchCalibration.farRankCount
    /// Nearest rows by codes among which the truly nearest ten are looked for.
    private static let nearListCount = 96
    /// The same for the truly nearest hundred.
    ///
    /// Where rows lie closer than codes can tell, 160 missed so many of them that a recall of 0.896
    /// was taken for 0.935 (ten tight groups of 10,000 rows).
    private static let farListCount = 400

    /// Finds the nearest of the rows before `queries`, which are rows that have codes, unless
    /// `isByVectors`.
    ///
    /// Then full vectors are compared: codes round what lies beyond all rows.
    init(
        _ index: VectorIndex,
        queries: Range<Int>,
        isByVectors: Bool,
        _ pulse: BuildProgress
    ) throws(BuildEnd) {
        self.queries = queries
        let columns = queries.map { UInt32(truncatingIfNeeded: $0) }
        let source = isByVectors ? BuildSource(vectorsOf: index) : BuildSource(index)
        let tile = DistanceTile(source, columnCountMax: columns.count)
        tile.setColumns(columns, count: columns.count)
        let isFar = SearchCalibration.farPositions(of: columns.count)
        let widths = columns.indices.map {
            isFar.contains($0) ? Self.farListCount : Self.nearListCount
        }
        var lists = widths.map { Candidates(reserving: $0 + 1) }
        defer { for list in lists { list.deallocate() } }
        for i in lists.indices { lists[i].reset(width: widths[i], capacity: widths[i]) }
        var bounds = [Float](repeating: .infinity, count: columns.count)
        let rowCount = queries.lowerBound
        var rows = [UInt32](repeating: 0, count: DistanceTile.rowCountMax)
        var first = 0
        while first < rowCount {
            try pulse.check()
            let block = min(DistanceTile.rowCountMax, rowCount - first)
            for i in 0..<block { rows[i] = UInt32(truncatingIfNeeded: first + i) }
            tile.measure(rows, count: block)
            for i in 0..<block {
                let measured = index.schema.metric == .ip ? tile.products : tile.distances
                let found = measured + i * tile.stride
                for column in columns.indices where found[column] < bounds[column] {
                    _ = lists[column].insertLive(Candidates.key(found[column], rows[i]))
                    if lists[column].count == widths[column] {
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
    ///
    /// For more than ten, only of queries at `SearchCalibration.farPositions`.
    func count(_ hits: [Neighbor], amongNearest k: Int, of query: Int) -> Int {
        let farthest = distances[query * Self.rankCount + k - 1]
        let limit = farthest + abs(farthest) * 1e-6
        return min(k, hits.count { $0.distance <= limit })
    }
}

extension VectorIndex {
    /// Exact distances of a row to some others, ascending.
    fileprivate func exactDistances(of row: UInt32, to list: Candidates) -> [Float] {
        var scorer = exactRowScorer()
        scorer.aim(at: row)
        let rows = (0..<list.count).map { Candidates.row(list.keys[$0]) }
        var distances = [Float](repeating: 0, count: rows.count)
        scorer.score(rows, rows.count, into: &distances)
        return distances.sorted()
    }
}
