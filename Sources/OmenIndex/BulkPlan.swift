/// How a bulk build looks for near neighbours.
struct BulkPlan {
    /// Groups that each row joins.
    var fanOut: Int
    /// Nearest rows kept in each group; at most `OMEN_SELECT_MAX`.
    let nearestCount: Int
    /// Different candidates a row keeps from all its groups; further ones are dropped.
    let candidateCountMax: Int
    /// Rows of the largest group whose pairs are all compared.
    static let leafCountMax = 1000
    /// Leaders of one partition.
    static let leaderCountMax = 1000
    /// Partitions within partitions, before rows are just cut into leaves.
    static let depthMax = 16
    /// Rows below which they look at more candidates.
    static let smallCountMax = 50_000
    /// Stretch of the occlusion rule; more than streaming takes, whose candidates come from farther
    /// off: 1.1 loses 0.008 of recall at ef 32 on 100,000 SIFT descriptors.
    static let alpha: Float = 1.2

    /// More candidates where a list has more slots than usual, and all where there are few rows.
    ///
    /// Many groups and few rows of each: as many candidates from fewer groups find less. Recall
    /// at ef 16, 32, 64 and seconds on 100,000 SIFT descriptors: 5 groups of 10 rows 0.892, 0.950,
    /// 0.984, 1.42; 6 of 8 0.891, 0.952, 0.985, 1.41; 8 of 6 0.893, 0.956, 0.986, 1.49; 8 of 5
    /// 0.883, 0.951, 0.985, 1.33.
    ///
    /// - Parameters:
    ///   - slots: Links of a row on level 0.
    ///   - count: Rows to be linked.
    init(slots: Int, count: Int) {
        // Where groups are no larger than needed, more of each costs little.
        let isSmall = count < Self.smallCountMax
        candidateCountMax = isSmall ? max(48, slots * 3 / 2) : max(32, slots)
        if count <= Self.leafCountMax {
            fanOut = 1
            nearestCount = min(128, candidateCountMax)
        } else {
            fanOut = 8
            nearestCount = isSmall ? max(8, slots / 4) : max(6, slots * 3 / 16)
        }
    }
}
