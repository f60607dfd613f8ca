/// What searches did, summed up.
package struct SearchCounts: Equatable, Sendable {
    package var queries: UInt64 = 0
    /// Queries that were compared with every row.
    package var scans: UInt64 = 0
    /// Distances to rows, in walks on level 0 and in scans.
    package var distances: UInt64 = 0

    package init() {}

    package static func += (left: inout SearchCounts, right: SearchCounts) {
        left.queries &+= right.queries
        left.scans &+= right.scans
        left.distances &+= right.distances
    }
}
