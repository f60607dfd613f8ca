package import OmenCore

/// How a shard searches for all queries of a request: what a `SearchEffort` means for its rows.
package enum ShardEffort: Equatable, Sendable {
    /// The graph is walked with this many candidates; the shard may widen the walk.
    case walk(ef: Int)
    /// Every row is compared.
    case scan(ScanReason)
}

/// What one query does.
package struct ShardPlan: Equatable, Sendable {
    /// Nearest rows that are looked for, of which the search returns the first.
    ///
    /// Depth of reranking and early stop follow it, so that recall@1 is that of a wider search.
    package let wanted: Int
    package let method: Method

    package enum Method: Equatable, Sendable {
        case walk(Walk)
        case scan(ScanReason)
    }

    package struct Walk: Equatable, Sendable {
        /// Candidates kept while walking.
        package let width: Int
        /// The same for a query that is unlike the rows.
        package let strangerWidth: Int
        /// Candidates that are scored again on full vectors at least; 0 where the graph is walked
        /// on these.
        package let rerankCount: Int
        /// Whether a walk ends when its next candidates are far behind its results.
        package let stopsEarly: Bool
    }
}

/// Decides how a shard answers a search: whether it walks the graph or compares every row, how
/// wide it walks, and how many candidates it scores again.
///
/// The only place that decides these; a walk that finds fewer rows than it could is followed by a
/// scan.
package struct ShardPlanner {
    private let index: VectorIndex

    init(_ index: VectorIndex) { self.index = index }

    /// Rows that are all compared where it was never measured how well they are found.
    private static let unmeasuredRowCountMax = 16_384
    /// Results that a search looks for at least.
    private static let wantedMin = 10

    /// What all shards together are asked, for the rows of this one.
    ///
    /// - Parameter order: A valid order.
    /// - Returns: A width of at most `Limits.efMax` and at least `shardLimit`, or a scan.
    /// - Complexity: O(k^2) for a recall among several shards; else O(1).
    package func effort(_ order: ShardOrder) -> ShardEffort {
        let (k, shardCount) = (order.request.limit, order.shardCount)
        func share(_ ef: Int) -> ShardEffort {
            .walk(ef: UsualWidth.shardEf(clusterEf: ef, shardCount: shardCount, k: order.limit))
        }
        switch order.request.effort {
        case .exact: return .scan(.asked)
        case .standard: return share(max(UsualWidth.standard, 2 * k))
        case .ef(let ef): return share(max(ef, k))
        case .recall(let recall):
            switch index.ef(recall: Double(recall), k: order.limit, shardCount: shardCount) {
            case .width(let ef): return .walk(ef: ef)
            case .unreached: return .scan(.unreached)
            case .unmeasured where index.rowCount <= Self.unmeasuredRowCountMax:
                return .scan(.unmeasured)
            case .unmeasured: return share(UsualWidth.clusterEf(recall: recall, k: k))
            }
        }
    }

    /// What the next query does, for the rows as they are now.
    ///
    /// - Parameters:
    ///   - effort: What `effort` told.
    ///   - k: Hits that this shard returns, above 0.
    ///   - mask: The rows that may be found.
    /// - Returns: A plan that wants nothing where no row may be found.
    /// - Complexity: O(1).
    func plan(_ effort: ShardEffort, k: Int, _ mask: RowMask) -> ShardPlan {
        // The nearest row is to be found as surely by those who ask for it alone as among ten.
        let wanted = min(max(k, Self.wantedMin), mask.shownCount)
        switch effort {
        case .scan(let reason): return ShardPlan(wanted: wanted, method: .scan(reason))
        case .walk(let ef):
            let asked = max(wanted, ef)
            let settings = index.settings
            let width = stretched(asked, by: settings.stretch * (1 + index.graph.newShare))
            guard index.graph.entry != nil else {
                return ShardPlan(wanted: wanted, method: .scan(.noGraph))
            }
            guard !isBetterScanned(asked, width: width) else {
                return ShardPlan(wanted: wanted, method: .scan(.cheaper))
            }
            return ShardPlan(wanted: wanted, method: .walk(walk(wanted, width: width, mask)))
        }
    }

    private func walk(_ wanted: Int, width: Int, _ mask: RowMask) -> ShardPlan.Walk {
        let codes = index.codeStore
        return ShardPlan.Walk(
            width: width,
            strangerWidth: stretched(width, by: SearchSettings.strangerStretch),
            rerankCount: codes.areTraversed ? Self.rerankCount(wanted: wanted) : 0,
            // Inner products have no ratio, hidden rows in the list are no results, and by narrow
            // codes the order of the first is not known yet.
            stopsEarly: index.schema.metric != .ip && !mask.hidesSome && !codes.arePackedTraversed
        )
    }

    private func stretched(_ width: Int, by factor: Float) -> Int {
        // Widths stay far below 2^24.
        factor == 1 ? width : min(Limits.efMax, max(width, Int(Float(width) * factor)))
    }

    /// Whether comparing with every row takes no longer than walking the graph; or little longer,
    /// where even wide walks miss rows.
    ///
    /// In nanoseconds, roughly: a scanned row 25; an entry of the candidate list 400 for its
    /// neighbours, and more the longer the list that it is inserted into.
    private func isBetterScanned(_ asked: Int, width: Int) -> Bool {
        let misses = index.settings.wideRecall < SearchCalibration.recallComplete
        let patience =
            misses && asked >= SearchSettings.wideEf ? SearchSettings.scanPatience : 1
        return width * (400 + width * 3 / 5) * patience >= index.linkedCount * 25
    }

    /// Candidates that are scored again for `wanted` results in any case.
    ///
    /// On most data codes misplace a row by few ranks, so a quarter more than wanted, and at least
    /// 5, hold the true ones: on 20,000 text embeddings 3 more lose nothing at any width, and 16
    /// more cost a tenth of the queries per second.
    private static func rerankCount(wanted: Int) -> Int { wanted + max(5, wanted / 4) }
}
