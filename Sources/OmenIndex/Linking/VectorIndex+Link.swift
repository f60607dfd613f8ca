internal import OmenCore

extension VectorIndex {
    /// Links the next hot rows into the graph.
    ///
    /// - Returns: How many rows left the hot part, at most `rows`; 0 when frozen or none is hot.
    /// - Complexity: about 20 µs per row at 128 dimensions, 45 while few are hot; more once in a
    ///   while, when the quantizer is trained.
    package func link(atMost rows: Int) -> Int {
        guard !isFrozen else { return 0 }
        var linked = 0
        while linked < rows, linkedCount < rowCount {
            if stepBatch(atMost: rows - linked) { linked += 1 }
        }
        packCodes()
        if linked > 0, Self.checksInvariants { mustHoldInvariants() }
        return linked
    }

    /// Works on linking for a while; what is begun goes on with the next call.
    ///
    /// Each row takes three steps, all first steps of a batch before all second ones.
    /// - Returns: Steps taken, at most `steps`; 0 when frozen or no row is hot.
    /// - Complexity: O(1) rows per step, about 7 µs on average at 128 dimensions; once per batch
    ///   0.2 ms for sorting it.
    package func link(steps: Int) -> Int {
        guard !isFrozen else { return 0 }
        var taken = 0
        while taken < steps, linkedCount < rowCount {
            _ = stepBatch(atMost: .max)
            taken += 1
        }
        packCodes()
        if taken > 0, Self.checksInvariants { mustHoldInvariants() }
        return taken
    }

    /// Links the next hot row as its batch has planned.
    func linkNext(from batch: LinkBatch) {
        let index = batch.position
        let row = UInt32(linkedCount)
        if traversesCodes {
            quantizer.encodedCount += 1
            quantizer.clampedCount += Int(batch.clampedCounts[index])
        }
        baseLinks(row).update(repeating: Link.none, count: layout.baseSlots)
        linkedCount += 1
        // Nothing would ever be found through it.
        if isDeleted(row) { return }
        defer { noteLongRow(row) }
        // The levels of a built graph lead well to its rows, and to new ones near these; links to
        // new nodes would take places there. Far rows are landmarks.
        let level = linkedCount <= 2 * builtCount ? 0 : level(of: row)
        guard let entry else {
            self.entry = addNodes(row, level: level)
            return
        }
        if batch.chosenCounts[index] == LinkBatch.undecided {
            chooseLinks(index, in: batch, from: batch.nearest[index], besides: 0)
        }
        let top = addNodes(row, level: level)
        if level > 0 { connectUppers(row, level: level, node: top.slot, from: entry) }
        connectBase(row, from: batch)
        noteFarRow(row, nearest: batch.nearest[index], isStranger: batch.isStranger[index])
        if top.level > entry.level { self.entry = top }
    }

    /// Keeps a row that is linked among the longest, if it is one of these.
    private func noteLongRow(_ row: UInt32) {
        guard schema.metric == .ip else { return }
        let deleted = UnsafePointer(deleted)
        let hasDeleted = deletedCount > 0
        longRows.add(
            row,
            squaredLength: aux[Int(row)],
            isDeleted: { hasDeleted && deleted.bit($0) },
            isEqual: { areEqual(row, $0) }
        )
    }

    /// Links the nodes of a row on the levels `1...level`, the highest of which is `node`.
    private func connectUppers(_ row: UInt32, level: Int, node: UInt32, from entry: Entry) {
        var scorer = rowScorer()
        scorer.aim(at: row)
        var slot = descend(scorer, from: entry, to: min(level, entry.level), scratch)
        var node = node
        for current in stride(from: level, to: 0, by: -1) {
            if current <= entry.level {
                slot = connectUpper(scorer, level: current, node: node, from: slot)
            }
            node = upper(current).below(node)
        }
    }

    /// The highest level of a row: `level` with probability m^-level, fixed by seed and row.
    func level(of row: UInt32) -> Int {
        Self.level(of: row, seed: seed, m: schema.m) {
            upperCounts[$0 - 1] < layout.nodeCountMax(level: $0, of: rowCapacity)
        }
    }

    /// The highest level of a row, at most the last before one that `hasRoom` denies.
    static func level(of row: UInt32, seed: UInt64, m: Int, hasRoom: (Int) -> Bool) -> Int {
        var generator = SplitMix64(seed: seed ^ UInt64(row) &* 0x9E37_79B9_7F4A_7C15)
        var level = 0
        while level < Section.uppers.count, generator.next() % UInt64(m) == 0, hasRoom(level + 1) {
            level += 1
        }
        return level
    }

    /// Adds unlinked nodes for `row` on the levels `1...level`.
    ///
    /// - Returns: The highest of them.
    func addNodes(_ row: UInt32, level: Int) -> Entry {
        var below = row
        for current in 0..<level {
            let slot = upperCounts[current]
            let node = uppers[current] + slot * layout.nodeWords
            node[0] = row
            node[1] = below
            (node + 2).update(repeating: Link.none, count: layout.upperSlots)
            upperCounts[current] += 1
            below = UInt32(slot)
        }
        return Entry(level: level, slot: below)
    }

    func occlusion() -> Occlusion {
        Occlusion(
            scorer: rowScorer(),
            alpha: Batch.alpha,
            distances: scratch.distances
        )
    }

    /// Thins candidates that rank by inner product.
    func productOcclusion() -> Occlusion {
        Occlusion(
            scorer: productScorer(),
            alpha: Occlusion.productAlpha,
            distances: scratch.distances
        )
    }

    /// Links a new node of an upper level both ways.
    ///
    /// - Returns: The slot one level below where the search goes on.
    private func connectUpper(
        _ scorer: Scorer,
        level: Int,
        node: UInt32,
        from start: UInt32
    ) -> UInt32 {
        let upper = upper(level)
        searchUpper(
            scorer,
            level: level,
            from: start,
            width: max(schema.m, schema.efConstruction / 2)
        )
        let keys = scratch.beam.keys
        for i in 0..<scratch.beam.count { keys[i] &= ~1 }
        let nearest = Candidates.row(keys[0])
        var occlusion = occlusion()
        let count = occlusion.choose(
            keys,
            count: scratch.beam.count,
            limit: upper.slots,
            rowOf: upper.row,
            kept: scratch.chosen,
            keptKeys: keys
        )
        let links = upper.links(node)
        for i in 0..<count { links[i] = Candidates.row(keys[i]) }
        for i in 0..<count {
            addUpperLink(upper, from: links[i], to: node, key: keys[i])
        }
        return upper.below(nearest)
    }

    /// Adds one link on an upper level; an overflowing list is thinned.
    private func addUpperLink(_ upper: UpperLevel, from slot: UInt32, to node: UInt32, key: UInt64)
    {
        let links = upper.links(slot)
        var count = 0
        while count < upper.slots, links[count] != Link.none { count += 1 }
        if count < upper.slots {
            links[count] = node
            return
        }
        let rows = scratch.rows
        for i in 0..<count { rows[i] = upper.row(links[i]) }
        var occlusion = occlusion()
        occlusion.scorer.aim(at: upper.row(slot))
        occlusion.scorer.score(rows, count, into: scratch.distances)
        scratch.results.reset(width: count + 1, capacity: count + 1)
        for i in 0..<count {
            _ = scratch.results.insertLive(Candidates.key(scratch.distances[i], links[i]))
        }
        _ = scratch.results.insertLive(Candidates.key(Candidates.distance(key), node))
        let keys = scratch.results.keys
        let kept = occlusion.choose(
            keys,
            count: count + 1,
            limit: upper.slots,
            rowOf: upper.row,
            kept: scratch.rechosen,
            keptKeys: keys
        )
        for i in 0..<upper.slots { links[i] = i < kept ? Candidates.row(keys[i]) : Link.none }
    }
}
