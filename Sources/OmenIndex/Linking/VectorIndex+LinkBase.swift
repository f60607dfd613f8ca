internal import COmenKernels
internal import OmenCore

extension VectorIndex {
    /// Links of a row when it is inserted: the rest of its slots waits for links to it.
    ///
    /// With all slots filled at once nearly every link back overflows a list: three times the work
    /// for 0.005 more recall at equal width.
    var insertLinkCount: Int { layout.baseSlots * 3 / 4 }
    /// Links an overflowing list is thinned to.
    var pruneLinkCount: Int { layout.baseSlots * 15 / 16 }
    /// Pinned links a row takes as a parent.
    private var pinnedCountMax: Int { layout.baseSlots / 2 }

    /// Links a row, the last linked one, on level 0 both ways, and into the tree of pinned links.
    func connectBase(_ row: UInt32, from batch: LinkBatch) {
        let wanted = batch.chosen(batch.position)
        let chosen = scratch.chosen
        var count = 0
        for i in 0..<Int(batch.chosenCounts[batch.position]) {
            let target = wanted[i]
            // Rows of the same batch: later ones will link to this one themselves, and those that
            // were deleted may never have been linked.
            if target >= batch.firstRow, target >= row || isDeleted(target) { continue }
            chosen[count] = target
            count += 1
        }
        if count == 0 {
            chosen[0] = batch.nearest[batch.position]
            count = 1
        }
        if let parent = (0..<count).first(where: { pinnedCount(chosen[$0]) < pinnedCountMax }) {
            chosen[parent] |= Link.pinned
        } else {
            count = splice(row, chosen: chosen, count: count)
        }
        let list = graph.baseLinks(row)
        for i in 0..<count { list[i] = chosen[i] }
        var occlusion = occlusion()
        for i in 0..<count {
            addBaseLink(
                from: chosen[i] & Link.rowMask,
                to: row | (chosen[i] & Link.pinned),
                scorer: &occlusion
            )
        }
    }

    /// Links in a list, whose rest is `Link.none`.
    @inline(__always)
    private func linkCount(_ list: UnsafePointer<UInt32>) -> Int {
        var low = 0
        var high = layout.baseSlots
        while low < high {
            let middle = (low &+ high) >> 1
            if list[middle] == Link.none { high = middle } else { low = middle &+ 1 }
        }
        return low
    }

    /// Where an unpinned link to a deleted row is.
    private func deadLink(_ list: UnsafePointer<UInt32>, _ count: Int) -> Int? {
        let deleted = UnsafePointer(rowStore.deleted)
        return (0..<count).first {
            list[$0] & Link.pinned == 0 && deleted.bit(list[$0])
        }
    }

    /// Asks for the lists that linking the row `index` of a batch will change.
    func prefetchLists(of index: Int, in batch: LinkBatch) {
        guard batch.chosenCounts[index] != LinkBatch.undecided else { return }
        let rows = batch.chosen(index)
        for i in 0..<Int(batch.chosenCounts[index]) {
            let list = graph.baseLinks(rows[i])
            for word in stride(from: 0, to: layout.baseSlots, by: 16) { omen_prefetch(list + word) }
        }
    }

    private func pinnedCount(_ row: UInt32) -> Int {
        let list = graph.baseLinks(row)
        var count = 0
        for i in 0..<layout.baseSlots {
            if list[i] == Link.none { break }
            count &+= Int(list[i] >> 31)
        }
        return count
    }

    /// Puts a row into the tree between the nearest row and one of its tree neighbours.
    ///
    /// For the case that every chosen row has its fill of pinned links. Both old links are
    /// overwritten in place, so no list grows.
    /// - Returns: The number of chosen links, now with both neighbours among them.
    private func splice(_ row: UInt32, chosen: UnsafeMutablePointer<UInt32>, count: Int) -> Int {
        let upper = chosen[0]
        let upperList = graph.baseLinks(upper)
        guard
            let at = (0..<layout.baseSlots).last(where: {
                upperList[$0] != Link.none && upperList[$0] & Link.pinned != 0
            })
        else { preconditionFailure("row \(upper) has no pinned link to splice") }
        let lower = upperList[at] & Link.rowMask
        let lowerList = graph.baseLinks(lower)
        // Only a damaged file holds a pinned link without a way back; the row then does without.
        guard
            let back = (0..<layout.baseSlots).first(where: {
                lowerList[$0] == upper | Link.pinned
            })
        else { return count }
        upperList[at] = row | Link.pinned
        lowerList[back] = row | Link.pinned
        chosen[0] |= Link.pinned
        if let known = (1..<count).first(where: { chosen[$0] == lower }) {
            chosen[known] |= Link.pinned
            return count
        }
        let last = min(count, insertLinkCount - 1)
        chosen[last] = lower | Link.pinned
        return last + 1
    }

    /// Adds one link; an overflowing list is thinned, where pinned links stay and deleted rows go.
    private func addBaseLink(from row: UInt32, to link: UInt32, scorer occlusion: inout Occlusion) {
        let list = graph.baseLinks(row)
        let slots = layout.baseSlots
        let target = link & Link.rowMask
        // Only splicing wrote the link before.
        if link & Link.pinned != 0, (0..<slots).contains(where: { list[$0] == link }) { return }
        let count = linkCount(list)
        // A live row takes the place of a deleted one at once, or searches would wade through ever
        // more of those where rows are replaced over and over.
        if deletedCount > 0, let dead = deadLink(list, count) {
            list[dead] = link
            return
        }
        if count < slots {
            list[count] = link
            return
        }
        let rows = scratch.rows
        let distances = scratch.distances
        for i in 0..<slots { rows[i] = list[i] & Link.rowMask }
        rows[slots] = target
        guard !rowStore.areLinkedByProduct else {
            return thinByBoth(list, and: link, of: row, &occlusion)
        }
        occlusion.scorer.aim(at: row)
        occlusion.scorer.score(rows, slots + 1, into: distances)
        let settledCount = sortLinks(list, and: link)
        let keptCount = occlusion.rechoose(
            scratch.results.keys,
            settledCount: settledCount,
            freshCount: scratch.results.count - settledCount,
            rows: rows,
            limit: pruneLinkCount,
            into: list
        )
        for i in keptCount..<slots { list[i] = Link.none }
    }

    /// Thins a full list and one more link: half by distance, the others by inner product.
    ///
    /// The rows are in `scratch.rows`.
    private func thinByBoth(
        _ list: UnsafeMutablePointer<UInt32>,
        and link: UInt32,
        of row: UInt32,
        _ near: inout Occlusion
    ) {
        let slots = layout.baseSlots
        let rows = scratch.rows
        let isDead = { [rowStore] (row: UInt32) in
            rowStore.deletedCount > 0 && rowStore.isDeleted(row)
        }
        var marks = 0
        var candidateCount = 0
        for i in 0...slots {
            let isPinned = (i < slots ? list[i] : link) & Link.pinned != 0
            if !isPinned, isDead(rows[i]) { continue }
            marks += isPinned ? 1 : 0
            rows[candidateCount] = rows[i] | (isPinned ? Link.pinned : 0)
            candidateCount += 1
        }
        var kept = 0
        var long = productOcclusion()
        for half in 0..<2 {
            let limit = half == 0 ? max(pruneLinkCount / 2, marks) : pruneLinkCount - kept
            let chosen =
                half == 0
                ? choose(&near, row, candidateCount, limit: limit)
                : choose(&long, row, candidateCount, limit: limit)
            for i in 0..<chosen {
                let key = scratch.results.keys[i]
                list[kept + i] = Candidates.row(key) | (Candidates.isMarked(key) ? Link.pinned : 0)
            }
            kept += chosen
            var left = 0
            for i in 0..<candidateCount
            where !(0..<kept).contains(where: { list[$0] == rows[i] }) {
                rows[left] = rows[i]
                left += 1
            }
            candidateCount = left
        }
        for i in kept..<slots { list[i] = Link.none }
    }

    /// Chooses among the first `count` links in `scratch.rows`, which stay; those with the pinned
    /// mark always.
    ///
    /// - Returns: How many keys of chosen ones are in the scratch results.
    private func choose(
        _ occlusion: inout Occlusion,
        _ row: UInt32,
        _ count: Int,
        limit: Int
    ) -> Int {
        let bare = scratch.rechosen
        for i in 0..<count { bare[i] = scratch.rows[i] & Link.rowMask }
        occlusion.scorer.aim(at: row)
        occlusion.scorer.score(bare, count, into: scratch.distances)
        scratch.results.reset(width: count + 1, capacity: count + 1)
        for i in 0..<count {
            let mark: UInt64 = scratch.rows[i] & Link.pinned != 0 ? 1 : 0
            _ = scratch.results.insertLive(Candidates.key(scratch.distances[i], bare[i]) | mark)
        }
        let results = scratch.results.keys
        return occlusion.choose(
            results,
            count: count,
            limit: limit,
            rowOf: { $0 },
            kept: bare,
            keptKeys: results
        )
    }

    /// Leaves keys of a full list and of one more link in the scratch results, without unpinned
    /// deleted rows; their rows and distances are in the scratch memory.
    ///
    /// A list is ascending when thinned, and what came since is behind. So the keys are those that
    /// ascend from the first one on, then the others, ascending among themselves.
    /// - Returns: How many the first part has.
    private func sortLinks(_ list: UnsafePointer<UInt32>, and link: UInt32) -> Int {
        let slots = layout.baseSlots
        let rows = scratch.rows
        let keys = scratch.results.keys
        let deleted = UnsafePointer(rowStore.deleted)
        var count = 0
        var settledCount = 0
        for i in 0...slots {
            let isPinned = (i < slots ? list[i] : link) & Link.pinned != 0
            if deletedCount > 0, !isPinned, deleted.bit(rows[i]) { continue }
            let key = Candidates.key(scratch.distances[i], rows[i]) | (isPinned ? 1 : 0)
            var at = count
            if settledCount == count, count == 0 || key > keys[count - 1] {
                settledCount += 1
            } else {
                while at > settledCount, keys[at - 1] > key {
                    keys[at] = keys[at - 1]
                    at -= 1
                }
            }
            keys[at] = key
            count += 1
        }
        scratch.results.count = count
        return settledCount
    }
}
