internal import OmenCore

/// How a search goes through the graph: from its starts along the links, then over the best of what
/// it found once more with better distances.
extension VectorIndex {
    /// Leaves the best `wanted` rows of the graph, with exact distances, in the scratch results.
    func walkGraph(
        _ prepared: PreparedQuery,
        _ wanted: Int,
        _ walk: ShardPlan.Walk,
        _ mask: RowMask,
        _ scratch: Scratch
    ) {
        guard let entry = graph.entry else { return }
        let starts = findStarts(of: prepared, from: entry, scratch)
        scratch.wasStranger = starts.areFar
        let width = starts.areFar ? walk.strangerWidth : walk.width
        let results = walk.rerankCount > 0 ? walk.rerankCount : wanted
        searchBase(
            prepared.traversal,
            startCount: starts.count,
            width: width,
            stop: walk.stopsEarly ? EarlyStop(wanted: results, width: width) : .never,
            mask,
            scratch
        )
        if walk.rerankCount > 0 {
            if let middle = prepared.middle { scratch.sortBeam(by: middle) }
            return rerank(prepared, wanted, walk.rerankCount, mask, scratch)
        }
        let beam = scratch.beam
        var index = 0
        while index < beam.count, scratch.results.count < wanted {
            let key = beam.keys[index] & ~Candidates.mark
            index += 1
            if mask.hidesSome, mask.hides(Candidates.row(key)) { continue }
            scratch.results.append(key)
        }
    }

    /// Best-first search of level 0 with the scratch beam, from the first rows in
    /// `scratch.frontier`.
    private func searchBase(
        _ scorer: Scorer,
        startCount: Int,
        width: Int,
        stop: EarlyStop,
        _ mask: RowMask,
        _ scratch: Scratch
    ) {
        scratch.beam.reset(width: width, capacity: mask.hidesSome ? 8 * width + 64 : width)
        var search = BaseSearch(
            links: UnsafePointer(graph.links),
            slots: layout.baseSlots,
            mask: mask,
            visited: scratch.visited,
            distances: scratch.distances,
            stop: stop
        )
        search.run(scorer, from: scratch.frontier, startCount, beam: &scratch.beam)
        scratch.counts.distances &+= UInt64(truncatingIfNeeded: search.scoredCount)
        scratch.visited.clear(
            search.isJournalLost ? nil : search.journaled,
            rowCount: linkedCount
        )
    }

    /// Scores the first candidates of the beam again, on their full vectors; more of them while
    /// the next could still belong to the results, by how far the codes were wrong so far.
    private func rerank(
        _ prepared: PreparedQuery,
        _ wanted: Int,
        _ leastCount: Int,
        _ mask: RowMask,
        _ scratch: Scratch
    ) {
        let scorer = prepared.exact
        let beam = scratch.beam
        var errors = CodeErrors(unit: prepared.codeUnit)
        var left = leastCount
        var index = 0
        while index < beam.count {
            var count = 0
            let first = index
            while index < beam.count, count < min(left, Scratch.scanCount) {
                let row = Candidates.row(beam.keys[index])
                index += 1
                if mask.hidesSome, mask.hides(row) { continue }
                // Overwrites places before `first + count` only.
                beam.keys[first + count] = beam.keys[index - 1]
                scratch.frontier[count] = row
                count += 1
            }
            scorer.score(scratch.frontier, count, into: scratch.distances)
            for i in 0..<count {
                errors.add(
                    exact: scratch.distances[i],
                    code: Candidates.distance(beam.keys[first + i])
                )
                let key = Candidates.key(scratch.distances[i], scratch.frontier[i])
                if key >= scratch.results.bound { continue }
                _ = scratch.results.insertLive(key)
            }
            left -= count
            guard left == 0 else { continue }
            guard index < beam.count, scratch.results.count == wanted,
                errors.least(code: Candidates.distance(beam.keys[index]))
                    < Double(Candidates.distance(scratch.results.bound))
            else { break }
            left = CodeErrors.stepCount
        }
    }
}

extension Scratch {
    /// Sorts the whole beam by distances of another scorer.
    fileprivate func sortBeam(by scorer: Scorer) {
        let count = beam.count
        let keys = beam.keys
        middle.reset(width: count, capacity: count)
        var first = 0
        while first < count {
            let share = min(Self.scanCount, count - first)
            for i in 0..<share { frontier[i] = Candidates.row(keys[first + i]) }
            scorer.score(frontier, share, into: distances)
            for i in 0..<share {
                let key = Candidates.key(distances[i], frontier[i])
                _ = middle.insertLive(key)
            }
            first += share
        }
        keys.update(from: middle.keys, count: count)
    }
}
