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

extension VectorIndex {
    /// The level above level 0 with number `level`, counting from 1.
    func upper(_ level: Int) -> UpperLevel {
        UpperLevel(
            nodes: uppers[level - 1],
            nodeWords: layout.nodeWords,
            slots: layout.upperSlots
        )
    }

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

    /// Best-first search of one upper level; fills the scratch beam with slots.
    func searchUpper(_ scorer: Scorer, level: Int, from start: UInt32, width: Int) {
        let upper = upper(level)
        let epoch = nextEpoch()
        let visited = visitedRegion.base.assumingMemoryBound(to: UInt8.self)
        let frontier = scratch.frontier
        let rows = scratch.rows
        let distances = scratch.distances
        scratch.beam.reset(width: width, capacity: width)
        rows[0] = upper.row(start)
        visited[Int(start)] = epoch
        scorer.score(rows, 1, into: distances)
        _ = scratch.beam.insertLive(Candidates.key(distances[0], start))
        var cursor = 0
        while cursor < scratch.beam.count {
            let key = scratch.beam.keys[cursor]
            if Candidates.isMarked(key) {
                cursor += 1
                continue
            }
            scratch.beam.keys[cursor] = key | 1
            let links = upper.links(Candidates.row(key))
            var count = 0
            var index = 0
            while index < upper.slots, links[index] != Link.none {
                let next = links[index]
                index &+= 1
                if visited[Int(next)] == epoch { continue }
                visited[Int(next)] = epoch
                frontier[count] = next
                rows[count] = upper.row(next)
                count &+= 1
            }
            scorer.score(rows, count, into: distances)
            for i in 0..<count {
                let key = Candidates.key(distances[i], frontier[i])
                if key >= scratch.beam.bound { continue }
                cursor = min(cursor, scratch.beam.insertLive(key))
            }
        }
    }
}
