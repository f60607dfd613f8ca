internal import Glibc

/// What each shard is asked so that the merged answer is what the client asked of the cluster.
package struct SearchPlan: Equatable, Sendable {
    /// Candidate list width on each shard.
    package var ef: Int
    /// Hits each shard returns per query.
    package var k: Int

    /// Cluster-level candidate width when the client names neither `ef` nor `recall`.
    ///
    /// Measured on 1 M SIFT descriptors: 80 gives recall@10 0.952, 128 gives 0.978; the margin is
    /// for data that is harder.
    package static let defaultEf = 128

    /// Chance that some shard held more of the true nearest than it was asked for.
    static let truncationRisk = 1e-9

    /// Plans a search by what the client asked of the cluster.
    ///
    /// `largestShare` is the part of the hash slots on the largest shard: `1 / shardCount` where
    /// slots are dealt evenly.
    package init(
        k: Int,
        ef: Int,
        recall: Float,
        exact: Bool,
        shardCount: Int,
        largestShare: Double
    ) {
        self.k = exact ? k : Self.shardK(k: k, shardCount: shardCount, share: largestShare)
        var wanted = max(Self.defaultEf, 2 * k)
        if ef > 0 {
            wanted = max(ef, k)
        } else if recall > 0 {
            wanted = Self.clusterEf(recall: recall, k: k)
        }
        self.ef = Self.shardEf(clusterEf: wanted, shardCount: shardCount, k: self.k)
    }

    /// Divides the cluster's `ef` among shards: `ef / S^(2/3)`, never below `k`.
    ///
    /// Hash placement spreads the true nearest evenly, so each shard needs far less than the whole.
    /// Equal merged recall was measured with 80, 48, 32 and 20 on 1, 2, 4 and 8 shards; the formula
    /// gives 80, 51, 32 and 20.
    package static func shardEf(clusterEf: Int, shardCount: Int, k: Int) -> Int {
        let divided = Double(clusterEf) / pow(Double(shardCount), 2.0 / 3.0)
        // Rounded before rounding up: 8^(2/3) is not exactly 4 in binary.
        let whole = Int((divided - 1e-6).rounded(.up))
        return min(max(whole, k, 1), Limits.efMax)
    }

    /// Hits to ask of each shard so that none of the nearest `k` is cut off.
    ///
    /// Each of the nearest `k` lies on a given shard with probability `p`, so that a shard holds
    /// Binomial(k, p) of them. Bernstein's inequality bounds the tail:
    /// `P(X >= kp + t) <= exp(-t^2 / (2(kp(1-p) + t/3)))`. Solved for the `t` at which all shards
    /// together exceed it with probability `truncationRisk`: for 8 shards 44 of 100 and 204 of
    /// 1,000; below about 25 the bound is no help and every shard returns `k`.
    package static func shardK(k: Int, shardCount: Int, share: Double) -> Int {
        guard shardCount > 1 else { return k }
        let exponent = log(Double(shardCount) / truncationRisk)
        let mean = Double(k) * share
        let variance = mean * max(0, 1 - share)
        let excess = exponent / 3 + sqrt(exponent * exponent / 9 + 2 * exponent * variance)
        let bound = (mean + excess).rounded(.up)
        guard bound < Double(k) else { return k }
        return max(Int(bound), 1)
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
    package static func clusterEf(recall: Float, k: Int) -> Int {
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
