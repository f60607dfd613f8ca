/// Which part of the nearest rows searches of some widths find: what was measured, less two
/// standard errors.
///
/// The queries are a sample, and where groups of rows are found or missed as a whole, few misses
/// say little. So the error counts a seventh of a query that found nothing: with 64 queries, of
/// which none missed anything, 0.988 is told, and with 256 0.997.
package struct RecallCurve: Equatable, Sendable {
    /// Widths tried, ascending.
    package let efs: [Int]
    /// Nearest rows looked for.
    package let rankCount: Int
    /// Recalls of the nearest row, the nearest two and so on at each width,
    /// `[efs.count][rankCount]`.
    let recalls: [Float]

    init(efs: [Int], rankCount: Int, recalls: [Float]) {
        precondition(recalls.count == efs.count * rankCount, "recalls of other widths")
        self.efs = efs
        self.rankCount = rankCount
        self.recalls = recalls
    }

    /// The part of the nearest `k` rows that a search of width `efs[index]` finds.
    ///
    /// - Precondition: `1...rankCount` contains `k`.
    package func recall(at index: Int, k: Int) -> Float {
        precondition((1...rankCount).contains(k), "k is \(k)")
        return recalls[index * rankCount + k - 1]
    }

    /// Above `highRecall`, what was measured may be so much less than what was asked for: a sample
    /// of 64 queries, of which none missed anything, could not promise 0.99 otherwise.
    private static let tolerance = 0.005
    private static let highRecall = 0.98

    /// The least width at which `shardCount` shards like this one, which divide a collection
    /// evenly, together find the wanted share of the nearest `k`.
    ///
    /// The j-th nearest of all lies behind Binomial(j - 1, 1 / shardCount) nearer ones on its own
    /// shard, and the nearer a row is, the narrower a search finds it.
    /// - Parameters:
    ///   - wanted: The recall of all of them, above 0 and below 1.
    ///   - k: Hits wanted of all shards together, above 0 and at most `rankCount`.
    ///   - shardCount: Above 0.
    /// - Returns: A width between those tried, or nil: no width reaches that.
    /// - Complexity: O(widths * k + k^2); without shards O(widths).
    package func ef(recall wanted: Double, k: Int, shardCount: Int) -> Int? {
        precondition((1...rankCount).contains(k) && shardCount > 0, "k is \(k)")
        let weights = shardCount == 1 ? [] : Self.rankWeights(k: k, shardCount: shardCount)
        let needed = max(min(wanted, Self.highRecall), wanted - Self.tolerance)
        var below: (ef: Int, recall: Double)?
        for e in efs.indices {
            let reached =
                shardCount == 1
                ? Double(recall(at: e, k: k))
                : weights.indices.reduce(0.0) { $0 + weights[$1] * found(at: e, rank: $1) }
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
