/// How a bulk build looks for near neighbours.
struct BuildPlan {
    /// Groups that each row joins.
    var fanOut: Int
    /// Nearest rows kept in each group; at most `OMEN_SELECT_MAX`.
    let nearestCount: Int
    /// Rows with the largest inner products kept in each group; 0 where links are chosen by
    /// distance alone.
    let productCount: Int
    /// Different candidates a row keeps from all its groups; further ones are dropped.
    let candidateCountMax: Int
    /// Words for what one group finds for a row: how many, and which; how many of a sample, and
    /// which.
    var placeCount: Int { 2 + nearestCount + productCount + Self.beyondCount }
    /// Rows beyond the nearest that are taken from a sample of each group: they are links where all
    /// groups find the same few rows, near-duplicates of each other, from which nothing leads away.
    static let beyondCount = 4
    /// Most of them from all groups.
    var beyondCountMax: Int { candidateCountMax - fewCount }
    /// Different candidates up to which a row takes those as well.
    var fewCount: Int { fanOut == 1 ? 0 : min(2 * nearestCount, candidateCountMax / 3) }
    /// The longest rows, which every row is compared with by inner product, and how many of these
    /// it keeps: the most likely answers, that no group around a short row has.
    static let longCountMax = 4000
    static let longChosenCount = 8

    /// How many of `count` rows are the longest.
    static func longCount(of count: Int) -> Int { min(longCountMax, max(500, count / 24), count) }
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

    /// Dimensions from which on rows join more groups.
    static let dimWide = 256

    /// More candidates where a list has more slots than usual, where there are few rows, and where
    /// vectors are long.
    ///
    /// Many groups and few rows of each: as many candidates from fewer groups find less. Recall
    /// at ef 16, 32, 64 and seconds on 100,000 SIFT descriptors: 5 groups of 10 rows 0.892, 0.950,
    /// 0.984, 1.42; 6 of 8 0.891, 0.952, 0.985, 1.41; 8 of 6 0.893, 0.956, 0.986, 1.49; 8 of 5
    /// 0.883, 0.951, 0.985, 1.33.
    ///
    /// On 59,000 sentence embeddings of 384 dimensions: 8 of 6 0.919, 0.949, 0.977, 1.47; 8 of 8
    /// 0.925, 0.954, 0.982, 1.70; 10 of 6 0.935, 0.964, 0.984, 1.78, and 20 % more queries a second
    /// at recall 0.95 than the first. On a million SIFT descriptors 7 of 7 gain 5 % for 6 % more
    /// time.
    ///
    /// - Parameters:
    ///   - slots: Links of a row on level 0.
    ///   - count: Rows to be linked.
    ///   - dim: Their dimensions.
    ///   - byProduct: Whether half of the links are chosen by inner product.
    init(slots: Int, count: Int, dim: Int, byProduct: Bool = false) {
        // Where groups are no larger than needed, more of each costs little.
        let isSmall = count < Self.smallCountMax
        let isWide = dim >= Self.dimWide
        let candidateCount = isSmall || isWide ? max(48, slots * 3 / 2) : max(32, slots)
        let longTileCount = (Self.longCount(of: count) + Self.leafCountMax - 1) / Self.leafCountMax
        candidateCountMax =
            byProduct
            ? min(255, 2 * candidateCount + longTileCount * Self.longChosenCount) : candidateCount
        if count <= Self.leafCountMax {
            fanOut = 1
            nearestCount = min(128, candidateCount)
        } else {
            fanOut = isWide ? 10 : 8
            nearestCount = isSmall ? max(8, slots / 4) : max(6, slots * 3 / 16)
        }
        productCount = byProduct ? nearestCount : 0
    }
}
