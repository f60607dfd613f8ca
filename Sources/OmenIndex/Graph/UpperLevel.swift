internal import OmenSystem
internal import OmenCore

/// One upper level: nodes of `UInt32` words, row, slot one level below, links to slots.
///
/// A plain view; valid while the index stands still.
struct UpperLevel {
    let nodes: UnsafeMutablePointer<UInt32>
    let nodeWords: Int
    let slots: Int

    @inline(__always)
    func row(_ slot: UInt32) -> UInt32 { nodes[Int(slot) &* nodeWords] }

    @inline(__always)
    func below(_ slot: UInt32) -> UInt32 { nodes[Int(slot) &* nodeWords &+ 1] }

    @inline(__always)
    func links(_ slot: UInt32) -> UnsafeMutablePointer<UInt32> {
        nodes + (Int(slot) &* nodeWords &+ 2)
    }
}

extension Graph {
    /// Walks from the entry point towards the query, always to the nearest neighbour, down to
    /// `level`.
    ///
    /// - Returns: The slot on `level` (a row if `level` is 0) where the walk ended.
    func descend(
        _ scorer: Scorer,
        from entry: Entry,
        to level: Int,
        _ scratch: Scratch
    ) -> UInt32 {
        var slot = entry.slot
        var current = entry.level
        while current > level {
            slot = upper(current).below(walk(scorer, level: current, from: slot, scratch))
            current -= 1
        }
        return slot
    }

    private func walk(
        _ scorer: Scorer,
        level: Int,
        from start: UInt32,
        _ scratch: Scratch
    ) -> UInt32 {
        let upper = upper(level)
        let frontier = scratch.frontier
        let rows = scratch.rows
        let distances = scratch.distances
        var best = start
        rows[0] = upper.row(start)
        scorer.score(rows, 1, into: distances)
        var nearest = distances[0]
        while true {
            let links = upper.links(best)
            var count = 0
            while count < upper.slots, links[count] != Link.none {
                frontier[count] = links[count]
                rows[count] = upper.row(links[count])
                count &+= 1
            }
            guard count > 0 else { return best }
            scorer.score(rows, count, into: distances)
            var moved = false
            for i in 0..<count where distances[i] < nearest {
                nearest = distances[i]
                best = frontier[i]
                moved = true
            }
            if !moved { return best }
        }
    }

    /// Best-first search of one upper level; leaves the nearest slots in the scratch beam, nearest
    /// first.
    ///
    /// It ends early when it has seen as many nodes as the journal holds.
    func searchUpper(
        _ scorer: Scorer,
        level: Int,
        from start: UInt32,
        width: Int,
        _ scratch: Scratch
    ) {
        let upper = upper(level)
        let visited = scratch.visited
        let rows = scratch.rows
        let distances = scratch.distances
        scratch.beam.reset(width: width, capacity: width)
        // Slots stand for rows in the set of visited ones: there are fewer of them.
        var pending = visited.isNew(start, at: 0) ? 1 : 0
        var journaled = 0
        var cursor = 0
        while pending > 0, journaled + pending < visited.journalCount {
            let slots = visited.journal + journaled
            for i in 0..<pending { rows[i] = upper.row(slots[i]) }
            scorer.score(rows, pending, into: distances)
            for i in 0..<pending {
                let key = Candidates.key(distances[i], slots[i])
                if key < scratch.beam.bound { cursor = min(cursor, scratch.beam.insertLive(key)) }
            }
            journaled += pending
            pending = 0
            while pending == 0, cursor < scratch.beam.count {
                let key = scratch.beam.keys[cursor]
                scratch.beam.keys[cursor] = key | Candidates.mark
                cursor += 1
                if Candidates.isMarked(key) { continue }
                let links = upper.links(Candidates.row(key))
                for i in 0..<upper.slots {
                    if links[i] == Link.none { break }
                    if visited.isNew(links[i], at: journaled + pending) { pending += 1 }
                }
            }
        }
        visited.clear(journaled + pending, rowCount: linkedCount)
        for i in 0..<scratch.beam.count { scratch.beam.keys[i] &= ~Candidates.mark }
    }
}
