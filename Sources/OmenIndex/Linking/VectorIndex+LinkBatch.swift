internal import OmenSystem
internal import OmenCore

extension VectorIndex {
    /// What batches are made of.
    enum Batch {
        /// Stretch of the occlusion rule; on squared distances under every metric.
        ///
        /// Recall at ef 32 for 1.1, 1.15, 1.2, in a hurry: 0.938, 0.945, 0.946 on 100,000 SIFT
        /// descriptors, and 0.952, 0.957, 0.954 on 20,000 text embeddings; each step takes a
        /// twentieth longer.
        static let alpha: Float = 1.15
        /// Most rows: enough that neighbours in space, searched for one after the other, find each
        /// other's rows in the cache.
        static let rowCountMax = 1024
        /// The graph has at least this many times the rows of a batch, or searching it would miss
        /// too many of a row's true neighbours.
        static let graphFactor = 8
        /// Hot rows up to which there is time for searches of the full width: one batch.
        static let patientCount = rowCountMax
        /// Rows of a batch that are compared with a row, before and after it in the order of keys.
        static let windowCount = 16
    }

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
        codeStore.pack(linkedCount: linkedCount)
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
        codeStore.pack(linkedCount: linkedCount)
        if taken > 0, Self.checksInvariants { mustHoldInvariants() }
        return taken
    }

    /// Takes one step with the running batch, or begins one of at most `rows` rows.
    ///
    /// - Returns: Whether a row left the hot part.
    private func stepBatch(atMost rows: Int) -> Bool {
        var batch = batch
        // A plan for another graph is void.
        if let running = batch, running.nextRow != linkedCount { batch = nil }
        let current = batch ?? beginBatch(atMost: rows)
        let position = current.position
        let phase = current.phase
        switch phase {
        case .locating: locate(position, in: current)
        case .choosing: choosePlanned(position, in: current)
        case .linking:
            if position + 1 < current.count { prefetchLists(of: position + 1, in: current) }
            linkNext(from: current)
        }
        self.batch = current.advance() ? nil : current
        return phase == .linking
    }

    private func beginBatch(atMost rows: Int) -> LinkBatch {
        trainCodes()
        let hot = rowCount - linkedCount
        // Rows deleted while hot count as linked; the first level samples only rows of the graph.
        let nodeRows = graph.entry == nil ? 0 : graph.upperCounts[0] * schema.m
        let isHurried = hot > Batch.patientCount
        let width = isHurried ? max(schema.m, schema.efConstruction * 3 / 8) : schema.efConstruction
        return LinkBatch(
            firstRow: linkedCount,
            count: min(hot, rows, Batch.rowCountMax, max(1, nodeRows / Batch.graphFactor)),
            linkCountMax: insertLinkCount,
            width: width,
            keptCount: isHurried ? width * 5 / 4 : width
        )
    }

    private func locate(_ index: Int, in batch: LinkBatch) {
        let row = UInt32(batch.firstRow + index)
        if codeStore.areTraversed { batch.clampedCounts[index] = UInt32(codeStore.write(Int(row))) }
        var place = LinkBatch.Place(key: 0, start: 0, index: UInt32(index))
        if let entry = graph.entry, !isDeleted(row) {
            var scorer = codeStore.rowScorer()
            scorer.aim(at: row)
            var slot = entry.slot
            for level in stride(from: entry.level, to: 0, by: -1) {
                place.key = place.key << 21 | UInt64(slot & 0x1F_FFFF)
                let node = Graph.Entry(level: level, slot: slot)
                slot = graph.descend(scorer, from: node, to: level - 1, scratch)
            }
            place.key = place.key << 21 | UInt64(slot & 0x1F_FFFF)
            place.start = nearestStart(scorer, from: entry, walkEnd: slot)
            batch.isStranger[index] = isStranger(from: place.start, scorer)
        }
        batch.places[index] = place
    }

    /// Where the search for links of a row begins.
    ///
    /// Where searches begin at more than the end of a walk, it would come to the wrong group as
    /// often as they did, and the row would be linked to that.
    private func nearestStart(_ scorer: Scorer, from entry: Graph.Entry, walkEnd: UInt32) -> UInt32
    {
        guard schema.metric != .ip, settings.starts != .walk || !graph.landmarks.isEmpty else {
            return walkEnd
        }
        let count = findStarts(scorer, from: entry, scratch)
        scorer.score(scratch.frontier, count, into: scratch.distances)
        let best = (0..<count).min { scratch.distances[$0] < scratch.distances[$1] }
        return best.map { scratch.frontier[$0] } ?? walkEnd
    }

    /// Chooses links for the row at `position`, unless many before it begin where it does.
    ///
    /// Such a crowd is far denser than the graph is there: its rows are each other's neighbours,
    /// and more of them than a plan compares. The later ones search when the earlier are linked.
    private func choosePlanned(_ position: Int, in batch: LinkBatch) {
        let place = batch.places[position]
        let index = Int(place.index)
        guard graph.entry != nil, !isDeleted(UInt32(batch.firstRow + index)) else { return }
        let isCrowded =
            position >= Batch.windowCount
            && batch.places[position - Batch.windowCount].start == place.start
        if isCrowded {
            batch.nearest[index] = place.start
            batch.chosenCounts[index] = LinkBatch.undecided
            return
        }
        let first = max(0, position - Batch.windowCount)
        let last = min(batch.count - 1, position + Batch.windowCount)
        let rows = scratch.rows
        var count = 0
        for other in first...last where other != position {
            let row = UInt32(batch.firstRow) + batch.places[other].index
            if isDeleted(row) { continue }
            rows[count] = row
            count += 1
        }
        chooseLinks(index, in: batch, from: place.start, besides: count)
    }

    /// Chooses links for a row among what a search from `start` finds and the first `besideCount`
    /// rows in `scratch.rows`.
    func chooseLinks(
        _ index: Int,
        in batch: LinkBatch,
        from start: UInt32,
        besides besideCount: Int
    ) {
        let row = UInt32(batch.firstRow + index)
        let byProduct = rowStore.areLinkedByProduct
        // Starting points of a search by product take the place of the rows beside.
        if byProduct { scratch.rechosen.update(from: scratch.rows, count: besideCount) }
        var near = occlusion()
        near.scorer.aim(at: row)
        scratch.frontier[0] = start
        searchLinks(near.scorer, startCount: 1, in: batch)
        batch.nearest[index] = Candidates.row(scratch.beam.keys[0])
        let target = batch.chosen(index)
        var count = thinLinks(
            &near,
            besides: scratch.rows,
            besideCount,
            except: 0,
            limit: byProduct ? batch.linkCountMax / 2 : batch.linkCountMax,
            in: batch,
            into: target
        )
        if byProduct {
            var long = productOcclusion()
            long.scorer.aim(at: row)
            let startCount = findProductStarts(long.scorer, besides: batch.nearest[index], scratch)
            searchLinks(long.scorer, startCount: startCount, in: batch)
            count += thinLinks(
                &long,
                besides: scratch.rechosen,
                besideCount,
                except: count,
                limit: batch.linkCountMax - count,
                in: batch,
                into: target
            )
        }
        batch.chosenCounts[index] = UInt32(count)
    }

    /// Thins what a search left in the scratch beam, and the first `besideCount` of `rows`, to at
    /// most `limit` links, which are written behind the first `except` of `links`.
    ///
    /// Those are links already, and are left out. The scorer of `occlusion` is aimed at the row to
    /// be linked.
    /// - Returns: How many there are.
    private func thinLinks(
        _ occlusion: inout Occlusion,
        besides rows: UnsafeMutablePointer<UInt32>,
        _ besideCount: Int,
        except: Int,
        limit: Int,
        in batch: LinkBatch,
        into links: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let keys = scratch.beam.keys
        occlusion.scorer.score(rows, besideCount, into: scratch.distances)
        for i in 0..<besideCount {
            let key = Candidates.key(scratch.distances[i], rows[i])
            let count = scratch.beam.count
            if count == batch.keptCount, key >= keys[count - 1] { continue }
            _ = scratch.beam.insertLive(key)
        }
        if except > 0 {
            var left = 0
            for i in 0..<scratch.beam.count {
                let row = Candidates.row(keys[i])
                if (0..<except).contains(where: { links[$0] == row }) { continue }
                keys[left] = keys[i]
                left += 1
            }
            scratch.beam.count = left
        }
        let count = occlusion.choose(
            keys,
            count: min(scratch.beam.count, Scratch.scanCount),
            limit: limit,
            rowOf: { $0 },
            kept: scratch.chosen,
            keptKeys: keys
        )
        (links + except).update(from: scratch.chosen, count: count)
        return count
    }

    /// Leaves the rows worth linking to in the scratch beam, without marks: live ones, and deleted
    /// ones only where those are few.
    ///
    /// Begins with the first `startCount` rows in the scratch frontier.
    private func searchLinks(_ scorer: Scorer, startCount: Int, in batch: LinkBatch) {
        let mask = RowMask(rowStore)
        let width = batch.keptCount
        scratch.beam.reset(width: width, capacity: mask.hidesSome ? 8 * width + 64 : width)
        let search = LinkSearch(
            links: UnsafePointer(graph.links),
            slots: layout.baseSlots,
            mask: mask,
            visited: stamps.bytes,
            epoch: stamps.next(rowCount: rowCount),
            frontier: scratch.frontier,
            distances: scratch.distances,
            // Deleted rows lead on, but fill places that live ones should have.
            expansionWidth: min(8 * batch.width, batch.width * rowCount / max(1, liveCount))
        )
        search.run(scorer, startCount: startCount, beam: &scratch.beam)
        let keys = scratch.beam.keys
        let count = scratch.beam.count
        for i in 0..<count { keys[i] &= ~1 }
        guard mask.hidesSome else { return }
        let liveCount = (0..<count).count { !mask.hides(Candidates.row(keys[$0])) }
        // Where live rows are few they may be far away, and only deleted ones lead there.
        var deletedLeft = max(0, min(width, batch.linkCountMax) - liveCount)
        var kept = 0
        for i in 0..<count {
            if mask.hides(Candidates.row(keys[i])) {
                guard deletedLeft > 0 else { continue }
                deletedLeft -= 1
            }
            keys[kept] = keys[i]
            kept += 1
        }
        scratch.beam.count = kept
    }
}
