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
            walkGraph(prepared, plan.wanted, walk, mask, scratch)
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
    /// Appends the results that are near enough, ascending.
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
