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

    /// More candidates where a list has more slots than usual, and all where there are few rows.
    ///
    /// - Parameters:
    ///   - slots: Links of a row on level 0.
    ///   - count: Rows to be linked.
    init(slots: Int, count: Int) {
        candidateCountMax = max(32, slots)
        if count <= Self.leafCountMax {
            fanOut = 1
            nearestCount = candidateCountMax
        } else {
            fanOut = 5
            nearestCount = max(10, slots / 3)
        }
    }
}
