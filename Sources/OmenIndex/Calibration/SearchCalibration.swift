/// How well one index finds near rows at different widths, measured on queries whose nearest rows
/// are known.
///
/// The queries are rows that were left out of the graph while measuring, unless an owner gave a
/// sample of queries. So what is told holds for queries like those.
package struct SearchCalibration: Equatable, Sendable {
    /// For the nearest ten rows.
    package let near: RecallCurve
    /// For the nearest hundred rows.
    package let far: RecallCurve

    static let nearRankCount = 10
    static let farRankCount = 100
    static let nearEfs = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024]
    static let farEfs = [100, 128, 192, 256, 512, 1024]
    /// Width at which ways of searching are compared.
    static let probeEf = 64
    /// Recall of all ranks from which on wider searches are not tried.
    static let recallComplete: Float = 0.9995
    /// Recall that is told of all ranks from which on no promise needs a wider search.
    static let promiseComplete: Float = 0.995
    /// Queries that look for a hundred rows; each of them tells more than one that looks for ten.
    static let farQueryCount = 64
    /// Standard errors that a recall is told less than what was measured.
    static let errorFactor = 2.0
    /// What counts as missed besides what was, in queries.
    static let missedPart = 0.14
    /// Indexes with fewer rows are not calibrated.
    package static let rowCountMin = 1024

    /// How many of `rowCount` rows are held out as queries.
    static func queryCount(of rowCount: Int) -> Int {
        rowCount < rowCountMin ? 0 : min(256, rowCount / 64)
    }

    /// How many of `count` queries are searched at a width: wide searches take longer, and their
    /// recalls differ less from query to query.
    static func queryCount(of count: Int, ef: Int) -> Int {
        min(count, ef <= 128 ? 256 : ef <= 256 ? 128 : 64)
    }

    /// Which of the queries look for a hundred rows.
    static func farPositions(of count: Int) -> Set<Int> {
        let farCount = min(farQueryCount, count)
        return Set((0..<farCount).map { $0 * count / farCount })
    }

    /// The least width at which `shardCount` shards like this one together find the wanted share of
    /// the nearest `k`: see `RecallCurve`.
    ///
    /// For more than a hundred rows, the width grows with them.
    /// - Returns: A width of at least `k`, or nil: no width that was tried reaches that.
    package func ef(recall wanted: Double, k: Int, shardCount: Int) -> Int? {
        let curve = k <= near.rankCount ? near : far
        // Of several shards each is asked for fewer than k where k is large. That their nearest are
        // the easier part of these is left as a reserve.
        let found = curve.ef(
            recall: wanted,
            k: min(k, curve.rankCount),
            shardCount: k <= near.rankCount ? shardCount : 1
        )
        guard var found else { return nil }
        if shardCount == 1, k < near.rankCount {
            // A sample tells little of the first ranks alone: they take the width of all ten.
            guard let all = near.ef(recall: wanted, k: near.rankCount, shardCount: 1) else {
                return nil
            }
            found = max(found, all)
        }
        let scaled =
            k <= curve.rankCount ? found : (found * k + curve.rankCount - 1) / curve.rankCount
        return max(scaled, k)
    }
}
