internal import OmenCore

extension VectorIndex {
    /// Links of a row when it is inserted: the rest of its slots waits for links to it.
    ///
    /// With all slots filled at once nearly every link back overflows a list: three times the work
    /// for 0.005 more recall at equal width.
    var insertLinkCount: Int { layout.baseSlots * 3 / 4 }
    /// Links an overflowing list is thinned to.
    var pruneLinkCount: Int { layout.baseSlots * 7 / 8 }
    /// Pinned links a row takes as a parent.
    private var pinnedCountMax: Int { layout.baseSlots / 2 }

    func baseLinks(_ row: UInt32) -> UnsafeMutablePointer<UInt32> {
        links + Int(row) &* layout.baseSlots
    }

    /// Links a row on level 0 both ways, and into the tree of pinned links.
    func connectBase(_ scorer: Scorer, row: UInt32, from start: UInt32) {
        scratch.todo[0] = start
        searchBase(scorer, startCount: 1, width: schema.efConstruction)
        let keys = scratch.beam.keys
        let candidateCount = keepLinkable(keys, count: scratch.beam.count)
        let chosen = scratch.chosen
        var occlusion = occlusion()
        var count = occlusion.choose(
            keys,
            count: candidateCount,
            limit: insertLinkCount,
            rowOf: { $0 },
            kept: chosen,
            keptKeys: keys
        )
        if let parent = (0..<count).first(where: { pinnedCount(chosen[$0]) < pinnedCountMax }) {
            chosen[parent] |= Link.pinned
        } else {
            count = splice(row, chosen: chosen, count: count)
        }
        let list = baseLinks(row)
        for i in 0..<count { list[i] = chosen[i] }
        for i in 0..<count {
            addBaseLink(
                from: chosen[i] & Link.rowMask,
                to: row | (chosen[i] & Link.pinned),
                scorer: &occlusion
            )
        }
    }

    /// Clears the marks and takes deleted rows out, unless nothing else is there.
    private func keepLinkable(_ keys: UnsafeMutablePointer<UInt64>, count: Int) -> Int {
        for i in 0..<count { keys[i] &= ~1 }
        guard scratch.beam.liveCount > 0, scratch.beam.liveCount < count else { return count }
        var kept = 0
        for i in 0..<count where !UnsafePointer(deleted).bit(Candidates.row(keys[i])) {
            keys[kept] = keys[i]
            kept += 1
        }
        return kept
    }

    private func pinnedCount(_ row: UInt32) -> Int {
        let list = baseLinks(row)
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
        let upperList = baseLinks(upper)
        guard
            let at = (0..<layout.baseSlots).last(where: {
                upperList[$0] != Link.none && upperList[$0] & Link.pinned != 0
            })
        else { preconditionFailure("row \(upper) has no pinned link to splice") }
        let lower = upperList[at] & Link.rowMask
        let lowerList = baseLinks(lower)
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
        let list = baseLinks(row)
        let slots = layout.baseSlots
        let target = link & Link.rowMask
        var count = 0
        while count < slots, list[count] != Link.none {
            if list[count] & Link.rowMask == target { return }
            count &+= 1
        }
        if count < slots {
            list[count] = link
            return
        }
        let rows = scratch.rows
        let distances = scratch.distances
        for i in 0..<slots { rows[i] = list[i] & Link.rowMask }
        rows[slots] = target
        occlusion.scorer.aim(at: row)
        occlusion.scorer.score(rows, slots + 1, into: distances)
        scratch.results.reset(width: slots + 1, capacity: slots + 1)
        let deleted = UnsafePointer(deleted)
        for i in 0...slots {
            let isPinned = (i < slots ? list[i] : link) & Link.pinned != 0
            if deletedCount > 0, !isPinned, deleted.bit(rows[i]) { continue }
            let key = Candidates.key(distances[i], rows[i]) | (isPinned ? 1 : 0)
            _ = scratch.results.insertLive(key)
        }
        let keys = scratch.results.keys
        let kept = occlusion.choose(
            keys,
            count: scratch.results.count,
            limit: pruneLinkCount,
            rowOf: { $0 },
            kept: scratch.rechosen,
            keptKeys: keys
        )
        for i in 0..<slots {
            guard i < kept else {
                list[i] = Link.none
                continue
            }
            list[i] = Candidates.row(keys[i]) | (keys[i] & 1 != 0 ? Link.pinned : 0)
        }
    }
}
