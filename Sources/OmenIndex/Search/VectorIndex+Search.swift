internal import OmenSystem
package import OmenCore

extension VectorIndex {
    /// Decides how searches of this index are carried out.
    package var planner: ShardPlanner { ShardPlanner(self) }

    /// Finds the nearest live rows.
    ///
    /// Distances are exact, and the same to the bit whether a row is hot or linked. The answer has
    /// exactly `min(k, liveCount)` hits, less those beyond `maxDistance`. Unless every row is
    /// compared, near rows may be missing in favour of farther ones; then a limited answer can be
    /// short of some.
    /// - Parameters:
    ///   - query: `schema.dim` elements; need not be aligned.
    ///   - element: Type of the query's elements, not necessarily that of the rows.
    ///   - k: Hits wanted, above 0.
    ///   - effort: What `planner` made of what was asked.
    ///   - maxDistance: Farther hits are left out.
    ///   - own: The memory to search with, which tells afterwards what was done; nil for the
    ///     owner's.
    ///   - hits: Replaced by the hits, ascending by distance, then row.
    /// - Throws: `.badRequest` for a zero query under cosine, `.stopped`.
    package func search(
        _ query: UnsafeRawPointer,
        element: ElementType,
        k: Int,
        effort: ShardEffort,
        maxDistance: Float = .infinity,
        using own: Scratch? = nil,
        into hits: inout [Neighbor]
    ) throws(OmenError) {
        precondition(k > 0, "k must be positive, got \(k)")
        let scratch = own ?? self.scratch
        hits.removeAll(keepingCapacity: true)
        let prepared = try codeStore.prepare(query, element: element, scratch)
        let mask = RowMask(rowStore)
        var plan = planner.plan(effort, k: k, mask)
        scratch.wasStranger = false
        defer { scratch.plan = plan }
        guard plan.wanted > 0 else { return }
        scratch.counts.queries &+= 1
        scratch.results.reset(width: plan.wanted, capacity: plan.wanted)
        if case .walk(let walk) = plan.method {
            searchGraph(prepared, plan.wanted, walk, mask, scratch)
            try scan(linkedCount..<rowCount, prepared.exact, mask, scratch)
            if scratch.results.count < plan.wanted {
                plan = ShardPlan(wanted: plan.wanted, method: .scan(.short))
                scratch.results.reset(width: plan.wanted, capacity: plan.wanted)
            }
        }
        if case .scan = plan.method {
            scratch.counts.scans &+= 1
            try scan(0..<rowCount, prepared.exact, mask, scratch)
        }
        scratch.emit(atMost: k, maxDistance: maxDistance, into: &hits)
    }

    /// Leaves the best `wanted` rows of the graph, with exact distances, in the scratch results.
    private func searchGraph(
        _ prepared: PreparedQuery,
        _ wanted: Int,
        _ walk: ShardPlan.Walk,
        _ mask: RowMask,
        _ scratch: Scratch
    ) {
        guard let entry = graph.entry else { return }
        let startCount = findStarts(prepared.traversal, from: entry, scratch)
        let isStranger =
            settings.strangerLimit < .infinity
            && strangeness(prepared, startCount: startCount, scratch) > settings.strangerLimit
        scratch.wasStranger = isStranger
        let width = isStranger ? walk.strangerWidth : walk.width
        let results = walk.rerankCount > 0 ? walk.rerankCount : wanted
        searchBase(
            prepared.traversal,
            startCount: startCount,
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

    /// Rows scanned between two looks at `Stop.current`: about a hundred microseconds.
    private static let rowsPerLook = 4096

    /// Merges the live rows of a range into the scratch results.
    private func scan(
        _ range: Range<Int>,
        _ scorer: Scorer,
        _ mask: RowMask,
        _ scratch: Scratch
    ) throws(OmenError) {
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
                if mask.hidesSome, mask.hides(row) { continue }
                _ = scratch.results.insertLive(key)
            }
            first += count
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
