internal import OmenCore

/// Measures what searches of an index find, as it is set, for queries whose nearest rows are known.
///
/// The queries are shared among the threads of a build; what is measured does not depend on how.
struct RecallMeter {
    let index: VectorIndex
    let truth: GroundTruth
    let team: BuildTeam
    /// Memory to search with, one for each thread.
    private let scratches: [Scratch]

    /// What searches of one width found.
    struct FoundShares {
        /// Recalls of the nearest one to all ranks, less what they may be wrong by.
        var atLeast: [Float]
        /// Recall of all ranks.
        var mean: Float
    }

    /// - Throws: `.failed` without address space.
    init(_ index: VectorIndex, _ truth: GroundTruth, _ team: BuildTeam) throws(BuildEnd) {
        self.index = index
        self.truth = truth
        self.team = team
        do throws(OmenError) {
            var scratches = [index.scratch]
            while scratches.count < team.threadCount {
                let scratch = try Scratch(layout: index.layout)
                try scratch.reserve(index.rowCount)
                scratches.append(scratch)
            }
            self.scratches = scratches
        } catch {
            throw .failed(error)
        }
    }

    /// Recalls of the nearest ten at the probe width.
    func probeRecalls() throws(BuildEnd) -> FoundShares {
        try recalls(ef: SearchCalibration.probeEf, rankCount: SearchCalibration.nearRankCount)
    }

    /// Recalls of the nearest ten, up to a width that finds nearly all.
    ///
    /// - Parameter probe: What was found at the probe width.
    /// - Returns: The curve, and the mean recall at its last width.
    /// - Throws: `.stopped`, `.failed`.
    func nearCurve(
        probe: FoundShares
    ) throws(BuildEnd) -> (curve: RecallCurve, wideRecall: Float) {
        try curve(
            SearchCalibration.nearEfs,
            rankCount: SearchCalibration.nearRankCount,
            isEnough: { $0.mean >= SearchCalibration.recallComplete },
            measure: { ef throws(BuildEnd) in
                ef == SearchCalibration.probeEf
                    ? probe : try recalls(ef: ef, rankCount: SearchCalibration.nearRankCount)
            }
        )
    }

    /// Recalls of the nearest hundred, up to a width from which on no promise needs a wider one.
    func farCurve() throws(BuildEnd) -> RecallCurve {
        try curve(
            SearchCalibration.farEfs,
            rankCount: SearchCalibration.farRankCount,
            isEnough: {
                $0.mean >= SearchCalibration.recallComplete
                    || $0.atLeast[SearchCalibration.farRankCount - 1]
                        >= SearchCalibration.promiseComplete
            },
            measure: { ef throws(BuildEnd) in
                try recalls(
                    ef: ef,
                    rankCount: SearchCalibration.farRankCount,
                    queryCountMax: SearchCalibration.farQueryCount
                )
            }
        ).curve
    }

    /// Recalls at each of some widths up to one that finds enough, and the mean recall there.
    private func curve(
        _ efs: [Int],
        rankCount: Int,
        isEnough: (FoundShares) -> Bool,
        measure: (_ ef: Int) throws(BuildEnd) -> FoundShares
    ) throws(BuildEnd) -> (curve: RecallCurve, wideRecall: Float) {
        var recalls: [Float] = []
        var tried: [Int] = []
        var mean: Float = 0
        for ef in efs {
            let found = try measure(ef)
            tried.append(ef)
            recalls += found.atLeast
            mean = found.mean
            if isEnough(found) { break }
        }
        return (RecallCurve(efs: tried, rankCount: rankCount, recalls: recalls), mean)
    }

    /// Searches for the nearest `rankCount` rows of some of the queries, by default all.
    private func recalls(
        ef: Int,
        rankCount: Int,
        queryCountMax: Int = .max
    ) throws(BuildEnd) -> FoundShares {
        let all = truth.queries.count
        let queryCount = min(queryCountMax, SearchCalibration.queryCount(of: all, ef: ef))
        let plan = index.planner.plan(.walk(ef: ef), k: rankCount, RowMask(index.rowStore))
        // Rows found among the nearest one, two and so on of each query.
        let found = try perItem(queryCount, valueCount: rankCount) {
            scratch,
            i,
            found throws(BuildEnd) in
            if case .scan = plan.method {
                // It finds all of them: that need not be tried.
                for k in 1...rankCount { found[k - 1] = Float(k) }
                return
            }
            // Evenly spaced: neighbours in the order of rows may be neighbours in space.
            let position = i * all / queryCount
            try find(min(rankCount, ef), of: truth.queries.lowerBound + position, ef: ef, scratch)
            for k in 1...rankCount {
                found[k - 1] = Float(truth.count(scratch.hits, amongNearest: k, of: position))
            }
        }
        let count = Double(queryCount)
        var (atLeast, mean) = ([Float](), 0.0)
        for k in 1...rankCount {
            let shares = (0..<queryCount).map { Double(found[$0 * rankCount + k - 1]) / Double(k) }
            mean = shares.reduce(0, +) / count
            let variance = max(0, shares.reduce(0) { $0 + $1 * $1 } / count - mean * mean)
            // A part of one more query, which found nothing, counts for the error.
            let missed = SearchCalibration.missedPart * mean * mean / count
            let error = ((variance + missed) / count).squareRoot()
            atLeast.append(Float(max(0, mean - SearchCalibration.errorFactor * error)))
        }
        return FoundShares(atLeast: atLeast, mean: Float(mean))
    }

    /// The part of some stored rows that narrow searches for them end farther from than `limit`.
    func lostShare(beyond limit: Float) throws(BuildEnd) -> Float {
        let linkedCount = index.linkedCount
        let queryCount = min(linkedCount, Starts.lostQueryCount)
        let lost = try perItem(queryCount, valueCount: 1) { scratch, i, lost throws(BuildEnd) in
            try find(1, of: i * linkedCount / queryCount, ef: Starts.narrowEf, scratch)
            lost[0] = scratch.hits.first.map { $0.distance <= limit } == true ? 0 : 1
        }
        return lost.reduce(0, +) / Float(max(1, queryCount))
    }

    /// How strange the strangest of the queries is; see `VectorIndex.strangeness`.
    func largestStrangeness() throws(BuildEnd) -> Float {
        guard let entry = index.graph.entry else { return .infinity }
        let found = try perItem(truth.queries.count, valueCount: 1) {
            scratch,
            i,
            strangeness throws(BuildEnd) in
            let prepared: PreparedQuery
            do throws(OmenError) {
                prepared = try index.codeStore.prepare(
                    vector(truth.queries.lowerBound + i),
                    element: index.schema.element,
                    scratch
                )
            } catch {
                throw .failed(error)
            }
            let startCount = index.findStarts(prepared.traversal, from: entry, scratch)
            strangeness[0] = index.strangeness(prepared, startCount: startCount, scratch)
        }
        return found.max() ?? -.infinity
    }

    /// Leaves the nearest rows of a row in `scratch.hits`.
    private func find(_ k: Int, of row: Int, ef: Int, _ scratch: Scratch) throws(BuildEnd) {
        do throws(OmenError) {
            try index.search(
                vector(row),
                element: index.schema.element,
                k: k,
                effort: .walk(ef: ef),
                using: scratch,
                into: &scratch.hits
            )
        } catch {
            throw .failed(error)
        }
    }

    private func vector(_ row: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(index.rowStore.vector(row))
    }

    /// Runs `body` for every number below `count`, on all threads.
    ///
    /// - Parameters:
    ///   - count: How many numbers.
    ///   - valueCount: Values that each of them has.
    ///   - body: Receives memory to search with, a number, and where its values go.
    /// - Returns: The values, shape `[count][valueCount]`.
    /// - Throws: What `body` throws first, `.stopped`.
    private func perItem(
        _ count: Int,
        valueCount: Int,
        _ body:
            @escaping (Scratch, Int, UnsafeMutablePointer<Float>) throws(BuildEnd) -> Void
    ) throws(BuildEnd) -> [Float] {
        let values = UnsafeMutablePointer<Float>.allocate(capacity: count * valueCount)
        defer { values.deallocate() }
        values.initialize(repeating: 0, count: count * valueCount)
        let partCount = team.threadCount == 1 ? 1 : (count + Self.partSize - 1) / Self.partSize
        try team.share(count, inParts: partCount) { thread, part throws(BuildEnd) in
            for i in part {
                try team.pulses[thread].check()
                try body(scratches[thread], i, values + i * valueCount)
            }
        }
        return Array(UnsafeBufferPointer(start: values, count: count * valueCount))
    }

    /// Searches that a thread takes at once: less than a millisecond.
    private static let partSize = 8
}
