/// The rule that thins candidates to links in different directions.
///
/// A candidate is left out when a kept one is nearer to it than it is to the row itself, the former
/// distance stretched by `alpha` (Malkov, Yashunin 2016, algorithm 4; Subramanya et al., "DiskANN",
/// 2019, for alpha). Distances that are equal count as occluded, or duplicates would fill a list.
struct Occlusion {
    /// Scores pairs of rows; aimed anew for each candidate.
    var scorer: Scorer
    let alpha: Float
    let distances: UnsafeMutablePointer<Float>
    /// Kept rows are compared in groups: most candidates are occluded by one of the first.
    private static let groupCount = 8

    /// Chooses up to `limit` candidates, nearest first; marked (pinned) ones always.
    ///
    /// - Parameters:
    ///   - keys: Candidates, ascending.
    ///   - count: How many.
    ///   - limit: Most to keep; at least the number of marked ones.
    ///   - rowOf: The row of a candidate's slot; the same number on level 0.
    ///   - kept: Receives the rows kept.
    ///   - keptKeys: Receives the keys kept; may be `keys` itself.
    /// - Returns: How many are kept.
    @inline(__always)
    mutating func choose(
        _ keys: UnsafePointer<UInt64>,
        count: Int,
        limit: Int,
        rowOf: (UInt32) -> UInt32,
        kept: UnsafeMutablePointer<UInt32>,
        keptKeys: UnsafeMutablePointer<UInt64>
    ) -> Int {
        var pinnedLeft = 0
        for i in 0..<count { pinnedLeft &+= Int(truncatingIfNeeded: keys[i] & 1) }
        var keptCount = 0
        for i in 0..<count {
            let key = keys[i]
            let row = rowOf(Candidates.row(key))
            if key & 1 != 0 {
                pinnedLeft &-= 1
            } else {
                if keptCount &+ pinnedLeft >= limit { continue }
                if isOccluded(row, Candidates.distance(key), by: kept, keptCount) { continue }
            }
            kept[keptCount] = row
            keptKeys[keptCount] = key
            keptCount &+= 1
        }
        return keptCount
    }

    @inline(__always)
    private mutating func isOccluded(
        _ row: UInt32,
        _ distance: Float,
        by kept: UnsafePointer<UInt32>,
        _ count: Int
    ) -> Bool {
        guard count > 0 else { return false }
        scorer.aim(at: row)
        var first = 0
        while first < count {
            let group = min(Self.groupCount, count &- first)
            scorer.score(kept + first, group, into: distances)
            for i in 0..<group where distances[i] * alpha <= distance { return true }
            first &+= group
        }
        return false
    }
}
