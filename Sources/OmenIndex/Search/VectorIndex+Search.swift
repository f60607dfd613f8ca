internal import OmenSystem
package import OmenCore

extension VectorIndex {
    /// Width of the candidate list where a caller gives none.
    package static let efStandard = 64
    /// Results that a search looks for at least, of which it returns the nearest.
    ///
    /// Depth of reranking and early stop follow them, so that recall@1 is that of a wider search.
    private static let wantedMin = 10

    /// Finds the nearest live rows.
    ///
    /// Distances are exact, and the same to the bit whether a row is hot or linked. The answer has
    /// exactly `min(k, liveCount)` hits, less those beyond `maxDistance`. Unless `exact`, near rows
    /// may be missing in favour of farther ones; then a limited answer can be short of some.
    /// - Parameters:
    ///   - query: `schema.dim` elements; need not be aligned.
    ///   - element: Type of the query's elements, not necessarily that of the rows.
    ///   - k: Hits wanted, above 0.
    ///   - ef: Candidates kept while searching, at least `k`; 0 for the standard.
    ///   - exact: Compare with every row.
    ///   - maxDistance: Farther hits are left out.
    ///   - own: The memory to search with; nil for the owner's.
    ///   - hits: Replaced by the hits, ascending by distance, then row.
    /// - Throws: `.badRequest` for a zero query under cosine, `.stopped`.
    package func search(
        _ query: UnsafeRawPointer,
        element: ElementType,
        k: Int,
        ef: Int,
        exact: Bool,
        maxDistance: Float,
        using own: Scratch? = nil,
        into hits: inout [Neighbor]
    ) throws(OmenError) {
        let scratch = own ?? self.scratch
        precondition(k > 0, "k must be positive, got \(k)")
        hits.removeAll(keepingCapacity: true)
        let prepared = try codeStore.prepare(query, element: element, scratch)
        // Nobody who asks for fewer is to find less of them.
        let wanted = min(max(k, Self.wantedMin), liveCount)
        guard wanted > 0 else { return }
        scratch.counts.queries &+= 1
        let asked = max(wanted, ef > 0 ? ef : Self.efStandard)
        let width = stretched(asked, by: settings.stretch * (1 + graph.newShare))
        if exact || isBetterScanned(asked, width: width) {
            scratch.counts.scans &+= 1
            scratch.results.reset(width: wanted, capacity: wanted)
            try scan(0..<rowCount, prepared.exact, scratch)
        } else {
            searchGraph(prepared, wanted: wanted, width: width, scratch)
            try scan(linkedCount..<rowCount, prepared.exact, scratch)
            if scratch.results.count < wanted {
                scratch.counts.scans &+= 1
                scratch.results.reset(width: wanted, capacity: wanted)
                try scan(0..<rowCount, prepared.exact, scratch)
            }
        }
        scratch.emit(atMost: k, maxDistance: maxDistance, into: &hits)
    }

    private func stretched(_ width: Int, by factor: Float) -> Int {
        // Widths stay far below 2^24.
        factor == 1 ? width : min(Limits.efMax, max(width, Int(Float(width) * factor)))
    }

    /// Whether comparing with every row takes no longer than walking the graph; or little longer,
    /// where even wide walks miss rows.
    ///
    /// In nanoseconds, roughly: a scanned row 25; an entry of the candidate list 400 for its
    /// neighbours, and more the longer the list that it is inserted into.
    private func isBetterScanned(_ asked: Int, width: Int) -> Bool {
        let misses = settings.wideRecall < SearchCalibration.recallComplete
        let patience =
            misses && asked >= SearchSettings.wideEf ? SearchSettings.scanPatience : 1
        return graph.entry == nil || width * (400 + width * 3 / 5) * patience >= linkedCount * 25
    }

    /// Leaves the best `wanted` rows of the graph, with exact distances, in the scratch results.
    private func searchGraph(
        _ prepared: PreparedQuery,
        wanted: Int,
        width: Int,
        _ scratch: Scratch
    ) {
        scratch.results.reset(width: wanted, capacity: wanted)
        guard let entry = graph.entry else { return }
        let startCount = findStarts(prepared.traversal, from: entry, scratch)
        var width = width
        if settings.strangerLimit < .infinity,
            strangeness(prepared, startCount: startCount, scratch) > settings.strangerLimit
        {
            width = stretched(width, by: SearchSettings.strangerStretch)
        }
        let results = codeStore.areTraversed ? rerankCount(wanted: wanted) : wanted
        // Inner products have no ratio, deleted rows in the list are no results, and by narrow
        // codes the order of the first is not known yet.
        let stop: EarlyStop =
            schema.metric == .ip || deletedCount > 0 || prepared.middle != nil
            ? .never : EarlyStop(wanted: results, width: width)
        searchBase(
            prepared.traversal,
            startCount: startCount,
            width: width,
            stop: stop,
            scratch
        )
        guard !codeStore.areTraversed else {
            if let middle = prepared.middle { scratch.sortBeam(by: middle) }
            return rerank(prepared, wanted: wanted, scratch)
        }
        let beam = scratch.beam
        let deleted = UnsafePointer(rowStore.deleted)
        var index = 0
        while index < beam.count, scratch.results.count < wanted {
            let key = beam.keys[index] & ~Candidates.mark
            index += 1
            if deletedCount > 0, deleted.bit(Candidates.row(key)) { continue }
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
        _ scratch: Scratch
    ) {
        let mixed = deletedCount > 0
        scratch.beam.reset(width: width, capacity: mixed ? 8 * width + 64 : width)
        var search = BaseSearch(
            links: UnsafePointer(graph.links),
            slots: layout.baseSlots,
            deleted: UnsafePointer(rowStore.deleted),
            mixed: mixed,
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

    /// Candidates that are scored again for `wanted` results in any case.
    ///
    /// On most data codes misplace a row by few ranks, so a quarter more than wanted, and at least
    /// 5, hold the true ones: on 20,000 text embeddings 3 more lose nothing at any width, and 16
    /// more cost a tenth of the queries per second.
    private func rerankCount(wanted: Int) -> Int { wanted + max(5, wanted / 4) }

    /// Scores the first candidates of the beam again, on their full vectors; more of them while
    /// the next could still belong to the results, by how far the codes were wrong so far.
    private func rerank(_ prepared: PreparedQuery, wanted: Int, _ scratch: Scratch) {
        let scorer = prepared.exact
        let beam = scratch.beam
        let deleted = UnsafePointer(rowStore.deleted)
        var errors = CodeErrors(unit: prepared.codeUnit)
        var left = rerankCount(wanted: wanted)
        var index = 0
        while index < beam.count {
            var count = 0
            let first = index
            while index < beam.count, count < min(left, Scratch.scanCount) {
                let row = Candidates.row(beam.keys[index])
                index += 1
                if deletedCount > 0, deleted.bit(row) { continue }
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

    /// Rows scanned between two looks at `Stop.current`: about a hundred microseconds.
    private static let rowsPerLook = 4096

    /// Merges the live rows of a range into the scratch results.
    private func scan(
        _ range: Range<Int>,
        _ scorer: Scorer,
        _ scratch: Scratch
    ) throws(OmenError) {
        let deleted = UnsafePointer(rowStore.deleted)
        let distances = scratch.distances
        scratch.counts.distances &+= UInt64(truncatingIfNeeded: range.count)
        var first = range.lowerBound
        let stop = range.count > Self.rowsPerLook ? Stop.current : nil
        var nextLook = first + Self.rowsPerLook
        while first < range.upperBound {
            if first >= nextLook {
                nextLook = first + Self.rowsPerLook
                try stop?.check()
            }
            let count = min(Scratch.scanCount, range.upperBound - first)
            scorer.scan(first: first, count, into: distances)
            for i in 0..<count {
                let row = UInt32(truncatingIfNeeded: first &+ i)
                let key = Candidates.key(distances[i], row)
                if key >= scratch.results.bound { continue }
                if deletedCount > 0, deleted.bit(row) { continue }
                _ = scratch.results.insertLive(key)
            }
            first += count
        }
    }
}

extension Scratch {
    /// Sorts the whole beam anew by distances of another scorer.
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

    fileprivate func emit(
        atMost limit: Int,
        maxDistance: Float,
        into hits: inout [Neighbor]
    ) {
        for i in 0..<min(limit, results.count) {
            let key = results.keys[i]
            let distance = Candidates.distance(key)
            guard distance <= maxDistance else { return }
            hits.append(Neighbor(distance: distance, row: Candidates.row(key)))
        }
    }
}
