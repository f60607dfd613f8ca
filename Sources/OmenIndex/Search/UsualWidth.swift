internal import Glibc
internal import OmenCore

/// Widths where it was not measured what searches of the rows themselves find.
enum UsualWidth {
    /// Candidate width of all shards together when a client names neither `ef` nor `recall`.
    ///
    /// Measured on 1 M SIFT descriptors: 80 gives recall@10 0.952, 128 gives 0.978; the margin is
    /// for data that is harder.
    static let standard = 128

    /// Divides the cluster's `ef` among shards: `ef / S^(2/3)`, never below `k`.
    ///
    /// Hash placement spreads the true nearest evenly, so each shard needs far less than the whole.
    /// Equal merged recall was measured with 80, 48, 32 and 20 on 1, 2, 4 and 8 shards; the formula
    /// gives 80, 51, 32 and 20.
    static func shardEf(clusterEf: Int, shardCount: Int, k: Int) -> Int {
        let divided = Double(clusterEf) / pow(Double(shardCount), 2.0 / 3.0)
        // Rounded before rounding up: 8^(2/3) is not exactly 4 in binary.
        let whole = Int((divided - 1e-6).rounded(.up))
        return min(max(whole, k, 1), Limits.efMax)
    }

    /// Recall@10 at cluster-level `ef`, least first.
    ///
    /// 80 and 128 are measured (0.952 and 0.978 on 1 M SIFT descriptors) and lowered here to leave
    /// a margin. The rest continues their line: the share that is missed falls with `ef^1.5`.
    private static let recallTable: [(recall: Double, ef: Double)] = [
        (0.80, 32), (0.90, 52), (0.95, 84), (0.975, 136), (0.99, 256), (0.995, 420),
        (0.999, 1280), (0.9999, 6400),
    ]

    /// The cluster-level `ef` for a wanted recall: interpolated between the table's entries on a
    /// logarithmic scale of what may be missed.
    static func clusterEf(recall: Float, k: Int) -> Int {
        let wanted = Double(recall)
        // Longer lists need room for themselves before they need it for quality.
        let floor = 2 * k
        guard let upper = recallTable.firstIndex(where: { $0.recall >= wanted }) else {
            return Limits.efMax
        }
        guard upper > 0 else { return max(Int(recallTable[0].ef), floor) }
        let low = recallTable[upper - 1]
        let high = recallTable[upper]
        let position =
            (log(1 - low.recall) - log(1 - wanted)) / (log(1 - low.recall) - log(1 - high.recall))
        let ef = exp(log(low.ef) + position * (log(high.ef) - log(low.ef)))
        return min(max(Int(ef.rounded(.up)), floor), Limits.efMax)
    }
}
