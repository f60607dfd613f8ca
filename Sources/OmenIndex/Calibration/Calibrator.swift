internal import OmenCore

/// Chooses how searches of an index walk, and measures how much they find at each width.
///
/// Searches are made as by any caller, so what makes searching better shows in the table.
struct Calibrator {
    private let index: VectorIndex
    private let meter: RecallMeter
    private let pulse: BuildProgress

    /// What searches found with some starts.
    private struct Trial {
        var starts: Starts
        var landmarks: [UInt32]
        /// Recall@10 at the standard width.
        var recall: Float
        /// Part of some rows that did not even find their group, in narrow searches for them.
        var lost: Float
    }

    /// Finds the nearest rows of the queries, which lie as rows behind the linked rows.
    ///
    /// - Parameters:
    ///   - index: Nobody else uses it; rows before `queries` are linked, none of them is deleted.
    ///   - queries: All rows that are not linked.
    ///   - areForeign: The queries are no rows of the collection, and have no codes.
    ///   - team: The threads that measure.
    /// - Throws: `.stopped`, `.failed` without address space.
    /// - Complexity: O(linked rows * queries * dim), by the fastest of kernels.
    init(
        _ index: VectorIndex,
        queries: Range<Int>,
        areForeign: Bool,
        _ team: BuildTeam
    ) throws(BuildEnd) {
        precondition(queries.lowerBound == index.linkedCount)
        precondition(queries.upperBound == index.rowCount)
        self.index = index
        pulse = team.pulses[0]
        let truth = try GroundTruth(index, queries: queries, isByVectors: areForeign, team)
        meter = try RecallMeter(index, truth, team)
    }

    /// Sets the index, and measures.
    ///
    /// - Throws: `.stopped`, `.failed`.
    func run() throws(BuildEnd) -> SearchCalibration {
        let rowCount = index.rowCount
        // Truth and searches both leave out what lies behind the rows.
        index.rowCount = index.linkedCount
        defer {
            index.rowCount = rowCount
            // Nobody asked for these.
            index.scratch.counts = SearchCounts()
        }
        index.settings = SearchSettings()
        // Inner products say nothing about how near rows are.
        let nearest = index.schema.metric == .ip ? [] : index.linkDistances()
        let (lost, recall) = try chooseStarts(nearest: nearest)
        index.settings.farLimit = (nearest.last ?? .infinity) * Landmarks.farFactor
        index.settings.strangerLimit = try meter.largestStrangeness()
        try chooseStretch(recall: recall)
        let (near, wideRecall) = try meter.curve(
            SearchCalibration.nearEfs,
            rankCount: SearchCalibration.nearRankCount
        )
        let (far, _) = try meter.curve(
            SearchCalibration.farEfs,
            rankCount: SearchCalibration.farRankCount,
            queryCountMax: SearchCalibration.farQueryCount
        )
        // Not before the last measurement: it makes some of them scans.
        index.settings.wideRecall = min(wideRecall, 1 - lost)
        return SearchCalibration(near: near, far: far)
    }

    /// Lets searches begin at more than one row where that finds clearly more.
    ///
    /// Groups of near-duplicates are each other's links, and a walk down from group to group often
    /// ends in a wrong one. Elsewhere further starts cost time and find nothing.
    /// - Parameter nearest: Distances of rows to the nearest of their links, ascending.
    /// - Returns: The part of some stored rows whose group is not found for all that; and the
    ///   recall at the standard width.
    private func chooseStarts(
        nearest: [Float]
    ) throws(BuildEnd) -> (lost: Float, recall: Float) {
        guard index.schema.metric != .ip else { return (0, try chooseProductLandmarks()) }
        guard !nearest.isEmpty else { return (0, try meter.standardRecall().mean) }
        let apart = nearest[nearest.count / 2] * Landmarks.apartFactor
        var best = Trial(starts: .walk, landmarks: [], recall: -1, lost: 0)
        index.landmarks = []
        for starts in [Starts.walk, .few] {
            try choose(starts, ifBetterThan: &best, apart: apart)
            if best.lost < Starts.lostEnough { break }
        }
        if best.lost >= Starts.lostEnough {
            try index.chooseLandmarks(apart: apart, pulse)
            let found = index.landmarks
            for starts in Starts.costly(landmarkCount: found.count) {
                index.landmarks = starts == .landmarks ? found : []
                try choose(starts, ifBetterThan: &best, apart: apart)
                if best.lost < Starts.lostEnough { break }
            }
        }
        if best.lost > 0 {
            index.landmarks = best.landmarks
            try index.coverGroups(apart: apart, pulse)
            try choose(best.starts, ifBetterThan: &best, apart: apart)
        }
        index.settings.starts = best.starts
        index.landmarks = best.landmarks
        index.chosenLandmarkCount = best.landmarks.count
        return (best.lost, best.recall)
    }

    /// Tries starts with the landmarks that there are.
    private func choose(
        _ starts: Starts,
        ifBetterThan best: inout Trial,
        apart: Float
    ) throws(BuildEnd) {
        if starts == .landmarks, index.landmarks.isEmpty { return }
        index.settings.starts = starts
        let tried = Trial(
            starts: starts,
            landmarks: index.landmarks,
            recall: try meter.standardRecall().mean,
            // Under cosine a distance of 0 may be rounded.
            lost: try meter.lostShare(
                beyond: index.schema.metric == .cosine ? max(apart, 1e-6) : apart
            )
        )
        let gain = (tried.recall - tried.lost) - (best.recall - best.lost)
        if best.recall < 0 || gain >= Starts.gainMin { best = tried }
    }

    /// Under ip every search begins at landmarks; at more of them where that finds clearly more.
    ///
    /// - Returns: The recall at the standard width.
    private func chooseProductLandmarks() throws(BuildEnd) -> Float {
        // Inner products say nothing about how near rows are: only equal rows are left out.
        try index.chooseLandmarks(apart: 0, pulse)
        let all = index.landmarks
        let few = Array(all.prefix(Landmarks.productCount))
        index.landmarks = few
        defer { index.chosenLandmarkCount = index.landmarks.count }
        let recall = try meter.standardRecall().mean
        guard all.count > few.count, recall < SearchSettings.recallEnough else { return recall }
        index.landmarks = all
        let recallOfAll = try meter.standardRecall().mean
        guard recallOfAll < recall + Starts.gainMin else { return recallOfAll }
        index.landmarks = few
        return recall
    }

    /// Lets searches walk wider than asked where that finds too little.
    ///
    /// - Parameter recall: What they find at the standard width now.
    private func chooseStretch(recall: Float) throws(BuildEnd) {
        var recall = recall
        for stretch in SearchSettings.stretches.dropFirst() {
            guard recall < SearchSettings.recallEnough else { return }
            index.settings.stretch = stretch
            recall = try meter.standardRecall().mean
        }
    }
}
