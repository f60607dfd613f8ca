internal import COmenKernels
internal import OmenCore

/// Rows that searches compare with before they walk, to begin near the right one of several groups.
///
/// Chosen when the graph is built, where walks begin at the wrong group too often; afterwards a row
/// is added that lies far from all others.
enum Landmarks {
    /// Most landmarks that a build chooses.
    static let countMax = 2048
    /// Most nodes that are looked at.
    static let triedCountMax = 16_384
    /// Usual number under ip, where every search compares with them.
    static let productCount = Scratch.scanCount
    /// Most far rows that are added.
    static let farCountMax = 256
    /// Rows whose distances to their nearest are measured.
    static let measuredCount = 256
    /// A row is far if it is this many times as far from its nearest row, in squared distance, as
    /// the loneliest row that was measured.
    static let farFactor: Float = 1.5
    /// Of two rows nearer to each other than this many times the usual distance to the nearest row,
    /// in squared distance, one is a landmark at most.
    static let apartFactor: Float = 3
    /// A row is a stranger if the search for it begins this many times as far off, in squared
    /// distance, as for the strangest query of the calibration: a walk crosses such a distance,
    /// but not a larger one.
    static let strangerFactor: Float = 9
}

extension VectorIndex {
    /// Makes nodes of level 1 landmarks, of near-duplicates one.
    ///
    /// Two of them are farther from each other than `apart`, under ip by squared distance.
    /// - Complexity: O(triedCountMax * landmarks * dim).
    func chooseLandmarks(apart: Float, _ pulse: BuildProgress) throws(BuildEnd) {
        graph.landmarks = []
        var scorer = schema.metric == .ip ? rowStore.squaredScorer() : rowStore.exactScorer()
        let level = graph.upper(1)
        let triedCount = min(graph.upperCounts[0], Landmarks.triedCountMax)
        for i in 0..<triedCount where graph.landmarks.count < Landmarks.countMax {
            try pulse.check()
            let row = level.row(UInt32(i * graph.upperCounts[0] / triedCount))
            scorer.aim(at: row)
            if isApart(from: graph.landmarks[...], by: apart, scorer) {
                graph.landmarks.append(row)
            }
        }
    }

    /// The distances of some rows to the nearest that they link to, ascending.
    func linkDistances() -> [Float] {
        let count = min(linkedCount, Landmarks.measuredCount)
        var found: [Float] = []
        for i in 0..<count {
            let near = scoreLinks(of: UInt32(i * linkedCount / count))
            if near == 0 { continue }
            found.append((0..<near).reduce(.infinity) { min($0, scratch.distances[$1]) })
        }
        return found.sorted()
    }

    /// Adds landmarks in groups that have neither a node of level 1 nor a landmark.
    ///
    /// A walk comes to such a group by chance only. Of 40 rows, 8 % of groups have no node.
    /// Rows of a group are nearer to each other than `apart`.
    /// - Complexity: O(rows * slots) at most, and few distances for each row.
    func coverGroups(apart: Float, _ pulse: BuildProgress) throws(BuildEnd) {
        var isCovered = [Bool](repeating: false, count: linkedCount)
        let nodes = graph.upper(1)
        for slot in 0..<graph.upperCounts[0] {
            if slot & 63 == 0 { try pulse.check() }
            let row = nodes.row(UInt32(slot))
            isCovered[Int(row)] = true
            for near in groupLinks(of: row, apart) { isCovered[Int(near)] = true }
        }
        for row in graph.landmarks { isCovered[Int(row)] = true }
        for row in 0..<linkedCount where !isCovered[row] {
            try pulse.check()
            guard graph.landmarks.count < Landmarks.countMax else { return }
            let near = groupLinks(of: UInt32(row), apart)
            let isNew = !near.contains { isCovered[Int($0)] }
            isCovered[row] = true
            guard isNew else { continue }
            graph.landmarks.append(UInt32(row))
            for near in near { isCovered[Int(near)] = true }
        }
    }

    /// The linked rows that a row links to and that are no farther away than `apart`.
    private func groupLinks(of row: UInt32, _ apart: Float) -> [UInt32] {
        (0..<scoreLinks(of: row)).filter { scratch.distances[$0] <= apart }.map { scratch.rows[$0] }
    }

    /// Leaves the rows that a row links to in `scratch.rows`, and how far they are in
    /// `scratch.distances`.
    ///
    /// - Returns: How many.
    private func scoreLinks(of row: UInt32) -> Int {
        var scorer = rowStore.exactScorer()
        scorer.aim(at: row)
        let list = graph.baseLinks(row)
        var count = 0
        while count < layout.baseSlots, list[count] != Link.none {
            scratch.rows[count] = list[count] & Link.rowMask
            count += 1
        }
        scorer.score(scratch.rows, count, into: scratch.distances)
        return count
    }

    /// Keeps a row that was just linked as a landmark, if it is far from all others.
    ///
    /// Such a row has one link to it, from the outermost row of a group, and a walk that comes from
    /// elsewhere does not find that. When the graph is built again, it is one among others.
    /// A stranger is a landmark as well: where data move on, each row is near the one before, and
    /// all are far from where searches begin.
    /// - Parameters:
    ///   - row: The row.
    ///   - nearest: The nearest row that the search for its links found.
    ///   - isStranger: Whether that search began farther off than it does for rows of the build.
    func noteFarRow(_ row: UInt32, nearest: UInt32, isStranger: Bool) {
        // A row that was held out while measuring is none.
        guard builtCount > 0,
            graph.landmarks.count - graph.chosenLandmarkCount < Landmarks.farCountMax
        else {
            return
        }
        let added = graph.landmarks[graph.chosenLandmarkCount...]
        if isStranger {
            var scorer = codeStore.rowScorer()
            scorer.aim(at: row)
            if isApart(from: added, by: rowStrangerLimit, scorer) {
                graph.landmarks.append(row)
                return
            }
        }
        guard settings.farLimit < .infinity else { return }
        var scorer = rowStore.exactScorer()
        scorer.aim(at: row)
        // The search did not see rows of the same batch, which the row may be linked to. Of a group
        // that is far from all others one row is enough.
        if isApart(from: [nearest], by: settings.farLimit, scorer),
            groupLinks(of: row, settings.farLimit).isEmpty,
            isApart(from: added, by: settings.farLimit, scorer)
        {
            graph.landmarks.append(row)
        }
    }

    /// Distance of a start from which on a row is a stranger; under cosine at least what rounding
    /// leaves between equal rows.
    private var rowStrangerLimit: Float {
        let limit = settings.strangerLimit * Landmarks.strangerFactor
        return schema.metric == .cosine ? max(limit, 1e-6) : limit
    }

    /// Whether the search for a row, which the scorer is aimed at, begins much farther off than for
    /// every query of the calibration.
    ///
    /// Products say nothing about that, and the distances of single bits too little.
    func isStranger(from start: UInt32, _ scorer: Scorer) -> Bool {
        guard builtCount > 0, settings.strangerLimit < .infinity, schema.metric != .ip,
            schema.codes != .u1
        else { return false }
        scratch.rows[0] = start
        scorer.score(scratch.rows, 1, into: scratch.distances)
        return scratch.distances[0] > rowStrangerLimit
    }

    /// Whether all of some rows are farther away than `limit`.
    private func isApart(from rows: ArraySlice<UInt32>, by limit: Float, _ scorer: Scorer) -> Bool {
        rows.withUnsafeBufferPointer { rows in
            var first = 0
            while first < rows.count {
                let count = min(Scratch.scanCount, rows.count - first)
                for i in 0..<count { scratch.rows[i] = rows[first + i] }
                scorer.score(scratch.rows, count, into: scratch.distances)
                for i in 0..<count where scratch.distances[i] <= limit { return false }
                first += count
            }
            return true
        }
    }
}
