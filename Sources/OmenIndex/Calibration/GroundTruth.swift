internal import OmenCore

/// The distances of the nearest rows of some queries, by comparing with all.
struct GroundTruth {
    /// Exact distances, `[queries][rankCount]`, ascending.
    private var distances: [Float]
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

    /// Columns that a thread compares with all rows at once.
    private static let columnsPerPart = 64

    /// Finds the nearest of the rows before `queries`.
    ///
    /// - Parameters:
    ///   - index: Where rows and queries lie.
    ///   - queries: Rows.
    ///   - isByVectors: Full vectors are compared, not codes: these round what lies beyond all
    ///     rows, and queries that are no rows of the collection have none.
    ///   - team: The threads that compare.
    /// - Throws: `.stopped`.
    init(
        _ index: VectorIndex,
        queries: Range<Int>,
        isByVectors: Bool,
        _ team: BuildTeam
    ) throws(BuildEnd) {
        self.queries = queries
        let rankCount = Self.rankCount
        let source = isByVectors ? BuildSource(vectorsOf: index) : BuildSource(index)
        let isFar = SearchCalibration.farPositions(of: queries.count)
        let widths = queries.indices.map {
            isFar.contains($0 - queries.lowerBound) ? Self.farListCount : Self.nearListCount
        }
        // Where distances overflow there are fewer.
        distances = [Float](repeating: .infinity, count: queries.count * rankCount)
        let partCount = (queries.count + Self.columnsPerPart - 1) / Self.columnsPerPart
        try distances.withUnsafeMutableBufferPointer { all throws(BuildEnd) in
            guard let target = all.baseAddress else { return }
            try team.share(queries.count, inParts: partCount) { thread, part throws(BuildEnd) in
                let lists = try Self.nearestLists(
                    source,
                    of: part.map { UInt32(truncatingIfNeeded: queries.lowerBound + $0) },
                    among: queries.lowerBound,
                    widths: Array(widths[part]),
                    byProduct: index.schema.metric == .ip,
                    team.pulses[thread]
                )
                defer { for list in lists { list.deallocate() } }
                for (query, list) in zip(part, lists) {
                    let row = UInt32(truncatingIfNeeded: queries.lowerBound + query)
                    let found = index.exactDistances(of: row, to: list)
                    for (rank, distance) in found.prefix(rankCount).enumerated() {
                        target[query * rankCount + rank] = distance
                    }
                }
            }
        }
    }

    /// The nearest of the first `rowCount` rows of each column, by the distances of the source.
    private static func nearestLists(
        _ source: BuildSource,
        of columns: [UInt32],
        among rowCount: Int,
        widths: [Int],
        byProduct: Bool,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> [Candidates] {
        let tile = DistanceTile(source, columnCountMax: columns.count)
        tile.setColumns(columns, count: columns.count)
        var lists = widths.map { Candidates(reserving: $0 + 1) }
        for i in lists.indices { lists[i].reset(width: widths[i], capacity: widths[i]) }
        var bounds = [Float](repeating: .infinity, count: columns.count)
        var rows = [UInt32](repeating: 0, count: DistanceTile.rowCountMax)
        for first in stride(from: 0, to: rowCount, by: DistanceTile.rowCountMax) {
            do throws(BuildEnd) { try pulse.check() } catch {
                for list in lists { list.deallocate() }
                throw error
            }
            let block = min(DistanceTile.rowCountMax, rowCount - first)
            for i in 0..<block { rows[i] = UInt32(truncatingIfNeeded: first + i) }
            tile.measure(rows, count: block)
            for i in 0..<block {
                let found = (byProduct ? tile.products : tile.distances) + i * tile.stride
                for column in columns.indices where found[column] < bounds[column] {
                    _ = lists[column].insertLive(Candidates.key(found[column], rows[i]))
                    if lists[column].count == widths[column] {
                        bounds[column] = Candidates.distance(lists[column].bound)
                    }
                }
            }
        }
        return lists
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
        var scorer = rowStore.exactScorer()
        scorer.aim(at: row)
        let rows = (0..<list.count).map { Candidates.row(list.keys[$0]) }
        var distances = [Float](repeating: 0, count: rows.count)
        scorer.score(rows, rows.count, into: &distances)
        return distances.sorted()
    }
}
