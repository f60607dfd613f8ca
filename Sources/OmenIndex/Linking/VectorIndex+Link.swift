internal import OmenCore

extension VectorIndex {
    /// Links the next hot row as its batch has planned.
    func linkNext(from batch: LinkBatch) {
        let index = batch.position
        let row = UInt32(linkedCount)
        if codeStore.areTraversed {
            codeStore.quantizer.encodedCount += 1
            codeStore.quantizer.clampedCount += Int(batch.clampedCounts[index])
        }
        graph.baseLinks(row).update(repeating: Link.none, count: layout.baseSlots)
        graph.linkedCount += 1
        // Nothing would ever be found through it.
        if isDeleted(row) { return }
        defer { if schema.metric == .ip { graph.noteLongRow(row, of: rowStore) } }
        // The levels of a built graph lead well to its rows, and to new ones near these; links to
        // new nodes would take places there. Far rows are landmarks.
        let level =
            linkedCount <= 2 * builtCount ? 0 : graph.level(of: row, rowCapacity: rowStore.capacity)
        guard let entry = graph.entry else {
            graph.entry = graph.addNodes(row, level: level)
            return
        }
        if batch.chosenCounts[index] == LinkBatch.undecided {
            chooseLinks(index, in: batch, from: batch.nearest[index], besides: 0)
        }
        let top = graph.addNodes(row, level: level)
        if level > 0 { connectUppers(row, level: level, node: top.slot, from: entry) }
        connectBase(row, from: batch)
        noteFarRow(row, nearest: batch.nearest[index], isStranger: batch.isStranger[index])
        if top.level > entry.level { graph.entry = top }
    }

    /// Links the nodes of a row on the levels `1...level`, the highest of which is `node`.
    private func connectUppers(_ row: UInt32, level: Int, node: UInt32, from entry: Graph.Entry) {
        var scorer = codeStore.rowScorer()
        scorer.aim(at: row)
        var slot = graph.descend(scorer, from: entry, to: min(level, entry.level), scratch)
        var node = node
        for current in stride(from: level, to: 0, by: -1) {
            if current <= entry.level {
                slot = connectUpper(scorer, level: current, node: node, from: slot)
            }
            node = graph.upper(current).below(node)
        }
    }

    func occlusion() -> Occlusion {
        Occlusion(
            scorer: codeStore.rowScorer(),
            alpha: Batch.alpha,
            distances: scratch.distances
        )
    }

    /// Thins candidates that rank by inner product.
    func productOcclusion() -> Occlusion {
        Occlusion(
            scorer: codeStore.productScorer(),
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
        let upper = graph.upper(level)
        graph.searchUpper(
            scorer,
            level: level,
            from: start,
            width: max(schema.m, schema.efConstruction / 2),
            scratch
        )
        let keys = scratch.beam.keys
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
