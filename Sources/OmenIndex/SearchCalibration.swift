/// How well one index finds near rows at different widths, measured on rows of its own.
package struct SearchCalibration: Equatable, Sendable {
    /// Widths tried, ascending.
    package static let efs = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]
    /// Nearest rows looked for.
    package static let rankCount = 16

    /// Share of the queries whose r-th nearest row was found with `efs[e]`, as
    /// `found[e * rankCount + r]`, r counting from 0.
    package var found: [Float]

    package init(found: [Float]) { self.found = found }
}

extension VectorIndex {
    /// Rows left out of the graph of a build until they served as queries.
    static let heldOutCountMax = 100
    /// Fewer rows than this are not calibrated.
    static let calibratedRowCountMin = 2048

    /// Searches for the hot rows among the linked ones, at each width.
    ///
    /// - Precondition: Some rows are linked, some are hot, none is deleted.
    /// - Complexity: O(linked rows) distances for each hot row.
    func calibrate() -> SearchCalibration {
        let rankCount = SearchCalibration.rankCount
        let queries = linkedCount..<rowCount
        let truth = nearestOfHotRows(rankCount)
        var found = [Float](repeating: 0, count: SearchCalibration.efs.count * rankCount)
        guard let entry else { return SearchCalibration(found: found) }
        for (position, query) in queries.enumerated() {
            var scorer = rowScorer()
            scorer.aim(at: UInt32(truncatingIfNeeded: query))
            for (e, ef) in SearchCalibration.efs.enumerated() {
                scratch.todo[0] = descend(scorer, from: entry, to: 0)
                searchBase(scorer, startCount: 1, width: max(ef, rankCount))
                for rank in 0..<rankCount {
                    let wanted = truth[position * rankCount + rank]
                    let isFound = (0..<min(ef, scratch.beam.count)).contains {
                        Candidates.row(scratch.beam.keys[$0]) == wanted
                    }
                    if isFound { found[e * rankCount + rank] += 1 / Float(queries.count) }
                }
            }
        }
        return SearchCalibration(found: found)
    }

    /// The nearest linked rows of each hot row, `[hot rows][count]`, nearest first.
    private func nearestOfHotRows(_ count: Int) -> [UInt32] {
        let queries = linkedCount..<rowCount
        var lists = queries.map { _ in [UInt64](repeating: .max, count: count) }
        // Block by block, so that a block stays in the cache for all queries.
        let block = 16 * Scratch.scanCount
        for first in stride(from: 0, to: linkedCount, by: block) {
            let end = min(first + block, linkedCount)
            for (position, query) in queries.enumerated() {
                var scorer = rowScorer()
                scorer.aim(at: UInt32(truncatingIfNeeded: query))
                scanNearest(scorer, first..<end, into: &lists[position])
            }
        }
        return lists.flatMap { list in list.map(Candidates.row) }
    }

    private func scanNearest(_ scorer: Scorer, _ rows: Range<Int>, into list: inout [UInt64]) {
        scratch.results.reset(width: list.count, capacity: list.count)
        for key in list where key != .max { _ = scratch.results.insertLive(key) }
        var first = rows.lowerBound
        while first < rows.upperBound {
            let count = min(Scratch.scanCount, rows.upperBound - first)
            scorer.scan(first: first, count, into: scratch.distances)
            for i in 0..<count {
                let row = UInt32(truncatingIfNeeded: first &+ i)
                let key = Candidates.key(scratch.distances[i], row)
                if key < scratch.results.bound { _ = scratch.results.insertLive(key) }
            }
            first += count
        }
        for i in 0..<scratch.results.count { list[i] = scratch.results.keys[i] }
    }
}
