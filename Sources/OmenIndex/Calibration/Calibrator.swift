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
        /// What they found at the probe width.
        var probe: RecallMeter.FoundShares
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
        index.rowStore.count = index.linkedCount
        defer {
            index.rowStore.count = rowCount
            // Nobody asked for these.
            index.scratch.counts = SearchCounts()
        }
        index.settings = SearchSettings()
        // Inner products say nothing about how near rows are.
        let nearest = index.schema.metric == .ip ? [] : index.linkDistances()
        let (lost, first) = try chooseStarts(nearest: nearest)
        index.settings.farLimit = (nearest.last ?? .infinity) * Landmarks.farFactor
        index.settings.strangerLimit = try meter.largestStrangeness()
        let probe = try chooseStretch(first)
        let (near, wideRecall) = try meter.nearCurve(probe: probe)
        let far = try meter.farCurve()
        // Not before the last measurement: it makes some of them scans.
        index.settings.wideRecall = min(wideRecall, 1 - lost)
        return SearchCalibration(near: near, far: far)
    }

    /// Lets searches begin at more than one row where that finds clearly more.
    ///
    /// Groups of near-duplicates are each other's links, and a walk down from group to group often
    /// ends in a wrong one. Elsewhere further starts cost time and find nothing.
    /// - Parameter nearest: Distances of rows to the nearest of their links, ascending.
    /// - Returns: The part of some stored rows whose group is not found for all that; and what
    ///   is found at the probe width.
    /// - Throws: `.stopped`, `.failed`.
    private func chooseStarts(
        nearest: [Float]
    ) throws(BuildEnd) -> (lost: Float, probe: RecallMeter.FoundShares) {
        guard index.schema.metric != .ip else { return (0, try chooseProductLandmarks()) }
        guard !nearest.isEmpty else { return (0, try meter.probeRecalls()) }
        let apart = nearest[nearest.count / 2] * Landmarks.apartFactor
        index.graph.landmarks = []
        var best = try trial(of: .walk, apart: apart)
        if best.lost >= Starts.lostEnough { try choose(.few, ifBetterThan: &best, apart: apart) }
        if best.lost >= Starts.lostEnough {
            try index.chooseLandmarks(apart: apart, pulse)
            let found = index.graph.landmarks
            for starts in Starts.costly(landmarkCount: found.count) {
                index.graph.landmarks = starts == .landmarks ? found : []
                try choose(starts, ifBetterThan: &best, apart: apart)
                if best.lost < Starts.lostEnough { break }
            }
        }
        if best.lost > 0 {
            index.graph.landmarks = best.landmarks
            try index.coverGroups(apart: apart, pulse)
            try choose(best.starts, ifBetterThan: &best, apart: apart)
        }
        index.settings.starts = best.starts
        index.graph.landmarks = best.landmarks
        index.graph.chosenLandmarkCount = best.landmarks.count
        return (best.lost, best.probe)
    }

    /// Tries starts with the landmarks that there are.
    private func choose(
        _ starts: Starts,
        ifBetterThan best: inout Trial,
        apart: Float
    ) throws(BuildEnd) {
        if starts == .landmarks, index.graph.landmarks.isEmpty { return }
        let tried = try trial(of: starts, apart: apart)
        let gain = (tried.probe.mean - tried.lost) - (best.probe.mean - best.lost)
        if gain >= Starts.gainMin { best = tried }
    }

    private func trial(of starts: Starts, apart: Float) throws(BuildEnd) -> Trial {
        index.settings.starts = starts
        return Trial(
            starts: starts,
            landmarks: index.graph.landmarks,
            probe: try meter.probeRecalls(),
            // Under cosine a distance of 0 may be rounded.
            lost: try meter.lostShare(
                beyond: index.schema.metric == .cosine ? max(apart, 1e-6) : apart
            )
        )
    }

    /// Under ip every search begins at landmarks; at more of them where that finds clearly more.
    ///
    /// - Returns: What is found at the probe width.
    /// - Throws: `.stopped`, `.failed`.
    private func chooseProductLandmarks() throws(BuildEnd) -> RecallMeter.FoundShares {
        // Inner products say nothing about how near rows are: only equal rows are left out.
        try index.chooseLandmarks(apart: 0, pulse)
        let all = index.graph.landmarks
        let few = Array(all.prefix(Landmarks.productCount))
        index.graph.landmarks = few
        defer { index.graph.chosenLandmarkCount = index.graph.landmarks.count }
        let found = try meter.probeRecalls()
        guard all.count > few.count, found.mean < SearchSettings.recallEnough else { return found }
        index.graph.landmarks = all
        let foundFromAll = try meter.probeRecalls()
        guard foundFromAll.mean < found.mean + Starts.gainMin else { return foundFromAll }
        index.graph.landmarks = few
        return found
    }

    /// Lets searches walk wider than asked where that finds too little.
    ///
    /// - Parameter first: What they find at the probe width now.
    /// - Returns: What they find then.
    /// - Throws: `.stopped`, `.failed`.
    private func chooseStretch(
        _ first: RecallMeter.FoundShares
    ) throws(BuildEnd) -> RecallMeter.FoundShares {
        var found = first
        for stretch in SearchSettings.stretches.dropFirst() {
            guard found.mean < SearchSettings.recallEnough else { break }
            index.settings.stretch = stretch
            found = try meter.probeRecalls()
        }
        return found
    }
}
