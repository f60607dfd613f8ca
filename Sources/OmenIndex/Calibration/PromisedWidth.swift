internal import OmenCore

/// The width that a promised recall takes.
package enum PromisedWidth: Equatable, Sendable {
    case width(Int)
    /// No width that was tried reaches it.
    case unreached
    /// It was never measured what searches find.
    case unmeasured
}

extension VectorIndex {
    /// The least width at which `shardCount` shards like this one together find the wanted share of
    /// the nearest `k`: see `RecallCurve`.
    ///
    /// Rows that were linked one by one after the measurement are found less often, so the width
    /// grows with their share, besides what it grows by in each search; twice as much for many
    /// hits, of which more are such rows.
    /// - Parameters:
    ///   - wanted: The recall of all shards, above 0 and below 1.
    ///   - k: Hits that this shard returns, above 0.
    ///   - shardCount: Above 0.
    /// - Returns: A width of at most `Limits.efMax`, or why there is none.
    package func ef(recall wanted: Double, k: Int, shardCount: Int) -> PromisedWidth {
        guard let calibration else { return .unmeasured }
        guard let ef = calibration.ef(recall: wanted, k: k, shardCount: shardCount) else {
            return .unreached
        }
        let growth = Double(graph.newShare) * (k > SearchCalibration.nearRankCount ? 2 : 1)
        return .width(min(Limits.efMax, Int(Double(ef) * (1 + growth))))
    }
}
