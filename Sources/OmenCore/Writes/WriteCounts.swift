/// What a write did on one shard, or summed over the shards.
package struct WriteCounts: Equatable, Sendable {
    /// Distinct ids that now hold the written vector.
    package var upserted: UInt64 = 0
    /// Those of `upserted` that replaced an older record.
    package var replaced: UInt64 = 0
    /// Records removed by delete, clear or drop.
    package var deleted: UInt64 = 0

    package init(upserted: UInt64 = 0, replaced: UInt64 = 0, deleted: UInt64 = 0) {
        self.upserted = upserted
        self.replaced = replaced
        self.deleted = deleted
    }

    /// Sums that would overflow stay at the largest number: counts may come from a damaged file.
    package static func += (left: inout WriteCounts, right: WriteCounts) {
        left.upserted = sum(left.upserted, right.upserted)
        left.replaced = sum(left.replaced, right.replaced)
        left.deleted = sum(left.deleted, right.deleted)
    }

    private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}
