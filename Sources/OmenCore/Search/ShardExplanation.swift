/// Why a shard compares every row.
package enum ScanReason: UInt8, CaseIterable, Sendable {
    case asked = 0
    case unreached = 1
    case unmeasured = 2
    case cheaper = 3
    case short = 4
    case noGraph = 5

    /// The reason, as people read it.
    package var text: String {
        switch self {
        case .asked: "exact search was asked for"
        case .unreached: "no width reaches the recall"
        case .unmeasured: "it was not measured what searches find"
        case .cheaper: "a walk would cost more"
        case .short: "the walk found too few rows"
        case .noGraph: "no row is in the graph yet"
        }
    }
}

/// What one shard decided for a search, and what it counted: what `explain` shows.
package struct ShardExplanation: Equatable, Sendable {
    package var shard: UInt32
    package var queryCount: UInt32 = 0
    /// Rows of the collection when the search began, deleted ones included.
    package var rowCount: UInt64
    /// Rows of these that are in the graph; the others are compared by every search.
    package var linkedCount: UInt64
    package var deletedCount: UInt64
    /// Candidates that walks were to keep; 0 when no query walked.
    package var width: UInt32 = 0
    /// Queries unlike the rows, which walked wider.
    package var strangerCount: UInt32 = 0
    /// Candidates that were scored again on full vectors at least; 0 where graphs are walked on
    /// these.
    package var rerankCount: UInt32 = 0
    /// Queries that were compared with every row, by `ScanReason`.
    package var scanCounts = [UInt32](repeating: 0, count: ScanReason.allCases.count)
    /// Distances to rows, in walks on level 0 and in scans.
    package var distanceCount: UInt64 = 0
    /// Time that the queries took, waiting not included.
    package var nanoseconds: UInt64 = 0

    package init(shard: UInt32, rowCount: UInt64, linkedCount: UInt64, deletedCount: UInt64) {
        self.shard = shard
        self.rowCount = rowCount
        self.linkedCount = linkedCount
        self.deletedCount = deletedCount
    }

    /// Adds what the same shard did for other queries of the same search.
    package static func += (left: inout ShardExplanation, right: ShardExplanation) {
        left.queryCount &+= right.queryCount
        left.walkCount &+= right.walkCount
        left.width = max(left.width, right.width)
        left.strangerCount &+= right.strangerCount
        left.rerankCount = max(left.rerankCount, right.rerankCount)
        for reason in left.scanCounts.indices {
            left.scanCounts[reason] &+= right.scanCounts[reason]
        }
        left.distanceCount &+= right.distanceCount
        left.nanoseconds &+= right.nanoseconds
    }

    /// Queries that were compared with every row.
    package var scanCount: UInt32 { scanCounts.reduce(0, &+) }
    /// Queries that walked the graph; not those of an empty collection.
    package var walkCount: UInt32 = 0
}
