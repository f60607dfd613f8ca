internal import OmenCore

extension VectorIndex {
    /// Chooses how searches walk, and measures how much they find at each width.
    ///
    /// The queries lie as rows behind the linked rows, and are not linked. They are searched for as
    /// by any caller, so what makes searching better shows in the table. Foreign queries are no
    /// rows of the collection, and have no codes.
    /// - Precondition: Nobody else uses the index; rows before `queries` are linked, none deleted.
    /// - Complexity: O(linked rows * queries * dim), by the fastest of kernels.
    func calibrate(
        _ queries: Range<Int>,
        areForeign: Bool = false,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> SearchCalibration {
        precondition(queries.lowerBound == linkedCount && queries.upperBound == rowCount)
        // Truth and searches both leave out what lies behind the rows.
        rowCount = linkedCount
        defer {
            rowCount = queries.upperBound
            // Nobody asked for these.
            scratch.counts = SearchCounts()
        }
        let truth = try GroundTruth(self, queries: queries, isByVectors: areForeign, pulse)
        settings = SearchSettings()
        // Inner products say nothing about how near rows are.
        let nearest = schema.metric == .ip ? [] : linkDistances()
        let lost = try chooseStarts(truth, nearest: nearest, pulse)
        settings.farLimit = (nearest.last ?? .infinity) * Landmarks.farFactor
        settings.strangerLimit = try largestStrangeness(of: queries, pulse)
        try chooseStretch(truth, pulse)
        let (near, wideRecall) = try curve(
            SearchCalibration.nearEfs,
            rankCount: SearchCalibration.nearRankCount,
            truth,
            pulse
        )
        let (far, _) = try curve(
            SearchCalibration.farEfs,
            rankCount: SearchCalibration.farRankCount,
            queryCountMax: SearchCalibration.farQueryCount,
            truth,
            pulse
        )
        // Not before the last measurement: it makes some of them scans.
        settings.wideRecall = min(wideRecall, 1 - lost)
        return SearchCalibration(near: near, far: far)
    }

    /// Lets searches begin at more than one row where that finds clearly more.
    ///
    /// Groups of near-duplicates are each other's links, and a walk down from group to group often
    /// ends in a wrong one. Elsewhere further starts cost time and find nothing.
    ///
    /// `nearest` are distances of rows to the nearest of their links, ascending.
    /// - Returns: The part of some stored rows whose group is not found for all that.
    private func chooseStarts(
        _ truth: GroundTruth,
        nearest: [Float],
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> Float {
        guard schema.metric != .ip else {
            try chooseProductLandmarks(truth, pulse)
            return 0
        }
        guard !nearest.isEmpty else { return 0 }
        let apart = nearest[nearest.count / 2] * Landmarks.apartFactor
        var best = Trial(starts: .walk, landmarks: [], recall: -1, lost: 0)
        landmarks = []
        for starts in [Starts.walk, .few] {
            try choose(starts, ifBetterThan: &best, truth, apart: apart, pulse)
            if best.lost < Starts.lostEnough { break }
        }
        if best.lost >= Starts.lostEnough {
            try chooseLandmarks(apart: apart, pulse)
            let found = landmarks
            for starts in Starts.costly(landmarkCount: found.count) {
                landmarks = starts == .landmarks ? found : []
                try choose(starts, ifBetterThan: &best, truth, apart: apart, pulse)
                if best.lost < Starts.lostEnough { break }
            }
        }
        if best.lost > 0 {
            landmarks = best.landmarks
            try coverGroups(apart: apart, pulse)
            try choose(best.starts, ifBetterThan: &best, truth, apart: apart, pulse)
        }
        settings.starts = best.starts
        landmarks = best.landmarks
        chosenLandmarkCount = landmarks.count
        return best.lost
    }

    /// What searches found with some starts.
    private struct Trial {
        var starts: Starts
        var landmarks: [UInt32]
        /// Recall@10 at the standard width.
        var recall: Float
        /// Part of some rows that did not even find their group, in narrow searches for them.
        var lost: Float
    }

    /// Tries starts with the landmarks that there are.
    private func choose(
        _ starts: Starts,
        ifBetterThan best: inout Trial,
        _ truth: GroundTruth,
        apart: Float,
        _ pulse: BuildProgress
    ) throws(BuildEnd) {
        if starts == .landmarks, landmarks.isEmpty { return }
        settings.starts = starts
        let tried = Trial(
            starts: starts,
            landmarks: landmarks,
            recall: try standardRecall(truth, pulse).mean,
            lost: try lostShare(apart: apart, pulse)
        )
        let gain = (tried.recall - tried.lost) - (best.recall - best.lost)
        if best.recall < 0 || gain >= Starts.gainMin { best = tried }
    }

    /// The part of some rows that narrow searches for them end too far from.
    private func lostShare(apart: Float, _ pulse: BuildProgress) throws(BuildEnd) -> Float {
        // Under cosine a distance of 0 may be rounded.
        let limit = schema.metric == .cosine ? max(apart, 1e-6) : apart
        let queryCount = min(linkedCount, Starts.lostQueryCount)
        var lostCount = 0
        var hits: [Neighbor] = []
        for i in 0..<queryCount {
            try find(1, of: i * linkedCount / queryCount, ef: Starts.narrowEf, pulse, into: &hits)
            if hits.isEmpty || hits[0].distance > limit { lostCount += 1 }
        }
        return Float(lostCount) / Float(max(1, queryCount))
    }

    /// Searches for the nearest rows of a row.
    private func find(
        _ k: Int,
        of row: Int,
        ef: Int,
        _ pulse: BuildProgress,
        into hits: inout [Neighbor]
    ) throws(BuildEnd) {
        try pulse.check()
        do throws(OmenError) {
            try search(
                vectors + row * layout.vectorStride,
                element: schema.element,
                k: k,
                ef: ef,
                exact: false,
                maxDistance: .infinity,
                into: &hits
            )
        } catch {
            throw .failed(error)
        }
    }

    /// Under ip every search begins at landmarks; at more of them where that finds clearly more.
    private func chooseProductLandmarks(
        _ truth: GroundTruth,
        _ pulse: BuildProgress
    ) throws(BuildEnd) {
        // Inner products say nothing about how near rows are: only equal rows are left out.
        try chooseLandmarks(apart: 0, pulse)
        let all = landmarks
        landmarks = Array(all.prefix(Landmarks.productCount))
        defer { chosenLandmarkCount = landmarks.count }
        guard all.count > landmarks.count else { return }
        let few = (landmarks, try standardRecall(truth, pulse).mean)
        guard few.1 < SearchSettings.recallEnough else { return }
        landmarks = all
        if try standardRecall(truth, pulse).mean < few.1 + Starts.gainMin { landmarks = few.0 }
    }

    /// Lets searches walk wider than asked where that finds too little.
    private func chooseStretch(_ truth: GroundTruth, _ pulse: BuildProgress) throws(BuildEnd) {
        for tried in SearchSettings.stretches {
            settings.stretch = tried
            let recall = try standardRecall(truth, pulse).mean
            if recall >= SearchSettings.recallEnough { return }
        }
    }

    /// How strange the strangest of the queries is.
    private func largestStrangeness(
        of queries: Range<Int>,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> Float {
        guard let entry else { return .infinity }
        var largest = -Float.infinity
        for query in queries {
            try pulse.check()
            let prepared: PreparedQuery
            do throws(OmenError) {
                prepared = try prepare(
                    vectors + query * layout.vectorStride,
                    element: schema.element,
                    scratch
                )
            } catch {
                throw .failed(error)
            }
            let startCount = findStarts(prepared.traversal, from: entry, scratch)
            largest = max(largest, strangeness(prepared, startCount: startCount, scratch))
        }
        return largest
    }

    /// Recalls of the nearest ten at the standard width.
    private func standardRecall(
        _ truth: GroundTruth,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> FoundShares {
        try recalls(ef: Self.efStandard, truth, pulse)
    }

    /// What searches of one width found.
    private struct FoundShares {
        /// Recalls of the nearest one to all ranks, less what they may be wrong by.
        var atLeast: [Float]
        /// Recall of all ranks.
        var mean: Float
    }

    /// Recalls at each of some widths, up to one that finds nearly all, and the mean recall there.
    private func curve(
        _ efs: [Int],
        rankCount: Int,
        queryCountMax: Int = .max,
        _ truth: GroundTruth,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> (RecallCurve, wideRecall: Float) {
        var recalls: [Float] = []
        var tried: [Int] = []
        var mean: Float = 0
        for ef in efs {
            let found = try self.recalls(
                ef: ef,
                rankCount: rankCount,
                queryCountMax: queryCountMax,
                truth,
                pulse
            )
            tried.append(ef)
            recalls += found.atLeast
            mean = found.mean
            if mean >= SearchCalibration.recallComplete { break }
            // Whether wide searches find all rows is only asked of the nearest ten.
            if rankCount > SearchCalibration.nearRankCount,
                found.atLeast[rankCount - 1] >= SearchCalibration.promiseComplete
            {
                break
            }
        }
        return (RecallCurve(efs: tried, rankCount: rankCount, recalls: recalls), mean)
    }

    /// Searches for the nearest `rankCount` rows of some of the queries, by default all.
    private func recalls(
        ef: Int,
        rankCount: Int = SearchCalibration.nearRankCount,
        queryCountMax: Int = .max,
        _ truth: GroundTruth,
        _ pulse: BuildProgress
    ) throws(BuildEnd) -> FoundShares {
        var sums = [Double](repeating: 0, count: rankCount)
        var squares = sums
        var hits: [Neighbor] = []
        let all = truth.queries.count
        let queryCount = min(queryCountMax, SearchCalibration.queryCount(of: all, ef: ef))
        for i in 0..<queryCount {
            // Evenly spaced: neighbours in the order of rows may be neighbours in space.
            let position = i * all / queryCount
            let query = truth.queries.lowerBound + position
            try find(min(rankCount, ef), of: query, ef: ef, pulse, into: &hits)
            for k in 1...rankCount {
                let share = Double(truth.count(hits, amongNearest: k, of: position)) / Double(k)
                sums[k - 1] += share
                squares[k - 1] += share * share
            }
        }
        let count = Double(queryCount)
        let atLeast = zip(sums, squares).map { sum, square in
            let mean = sum / count
            let variance = max(0, square / count - mean * mean)
            // A part of one more query, which found nothing, counts for the error.
            let missed = SearchCalibration.missedPart * mean * mean / count
            let error = ((variance + missed) / count).squareRoot()
            return Float(max(0, mean - SearchCalibration.errorFactor * error))
        }
        return FoundShares(
            atLeast: atLeast,
            mean: Float(sums[rankCount - 1] / count)
        )
    }
}
