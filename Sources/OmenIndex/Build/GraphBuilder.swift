internal import OmenCore

/// What links all rows of an index at once: rows in, links and levels out.
///
/// The processor's builder is the only one today. One for another device gets the same rows, and
/// leaves the same arrays; calibration follows either.
protocol GraphBuilder {
    /// Units of work that `build` advances its progress by.
    func unitCount(of count: Int, layout: RowLayout) -> Double

    /// Renumbers the rows as it likes, and links them on all levels.
    ///
    /// The same rows and seed give the same graph, on any number of threads.
    /// - Parameters:
    ///   - index: Has vectors, codes and norms of the rows, and no links; nobody else uses it.
    ///   - count: Rows `0..<count` are linked; those behind stay hot.
    ///   - sourceRows: One number for each row, renumbered along.
    ///   - team: The threads that build, and their progress.
    /// - Returns: How long each step took.
    /// - Throws: `.stopped`, or `.failed` without memory.
    func build(
        _ index: VectorIndex,
        count: Int,
        sourceRows: inout [UInt32],
        team: BuildTeam
    ) throws(BuildEnd) -> BuildTimes
}

/// Builds on threads of the processor.
struct ProcessorBuilder: GraphBuilder {
    func unitCount(of count: Int, layout: RowLayout) -> Double {
        BulkBuilder.unitCount(of: count, slots: layout.baseSlots, dim: layout.dim)
    }

    /// - Complexity: O(count * log(count) * dim) for data that random leaders divide evenly.
    func build(
        _ index: VectorIndex,
        count: Int,
        sourceRows: inout [UInt32],
        team: BuildTeam
    ) throws(BuildEnd) -> BuildTimes {
        var build = BulkBuilder(index, count: count, team: team)
        try build.run(sourceRows: &sourceRows)
        return build.clock.times
    }
}
