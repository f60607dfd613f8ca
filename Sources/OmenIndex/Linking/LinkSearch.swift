internal import COmenKernels

/// Best-first search of level 0 for the candidates of a row to be linked.
///
/// Unlike the search for an answer it keeps more rows than it expands: the rule that thins them to
/// links wants a choice, while expanding costs most of the time.
struct LinkSearch {
    let links: UnsafePointer<UInt32>
    let slots: Int
    let mask: RowMask
    let visited: UnsafeMutablePointer<UInt8>
    let epoch: UInt8
    let frontier: UnsafeMutablePointer<UInt32>
    let distances: UnsafeMutablePointer<Float>
    /// How many candidates, from the front of the list, are expanded at most.
    let expansionWidth: Int
    /// Entries expanded together: their neighbours' cache misses overlap.
    private static let expansionsPerHop = 2

    /// Fills `beam` with the nearest rows that a walk from the first `startCount` rows in
    /// `frontier` finds; the marks of `beam` mean "expanded".
    func run(_ scorer: Scorer, startCount: Int, beam: inout Candidates) {
        for i in 0..<startCount { visited[Int(frontier[i])] = epoch }
        // A copy of its own stays in registers.
        var list = beam
        var count = startCount
        var cursor = 0
        while count > 0 {
            scorer.score(frontier, count, into: distances)
            cursor =
                mask.hidesSome
                ? admitMixed(count, &list, cursor) : admitLive(count, &list, cursor)
            count = 0
            var left = Self.expansionsPerHop
            let end = min(list.count, expansionWidth)
            while cursor < end, left > 0 || count == 0 {
                let key = list.keys[cursor]
                if !Candidates.isMarked(key) {
                    left &-= 1
                    list.keys[cursor] = key | 1
                    count = gather(Candidates.row(key), count)
                }
                cursor &+= 1
            }
        }
        beam = list
    }

    /// Appends the unvisited neighbours of `row` to the `already` rows in `frontier`, and stamps
    /// them.
    ///
    /// - Returns: How many rows are in `frontier` now.
    @inline(__always)
    private func gather(_ row: UInt32, _ already: Int) -> Int {
        let list = links + Int(row) &* slots
        let visited = visited
        let frontier = frontier
        let epoch = epoch
        var count = already
        for i in 0..<slots {
            let link = list[i]
            if link == Link.none { break }
            let next = link & Link.rowMask
            frontier[count] = next
            count &+= visited[Int(next)] == epoch ? 0 : 1
            visited[Int(next)] = epoch
        }
        return count
    }

    /// Inserts what is near enough.
    ///
    /// - Returns: The first position that may hold an unexpanded entry.
    @inline(__always)
    private func admitLive(_ count: Int, _ beam: inout Candidates, _ cursor: Int) -> Int {
        let frontier = frontier
        let distances = distances
        let keys = beam.keys
        let width = beam.width
        var size = beam.count
        var lowest = cursor
        for i in 0..<count {
            let key = Candidates.key(distances[i], frontier[i])
            var at = size
            if size == width {
                if key >= keys[width &- 1] { continue }
                at &-= 1
            } else {
                size &+= 1
            }
            while at > 0, keys[at &- 1] > key {
                keys[at] = keys[at &- 1]
                at &-= 1
            }
            keys[at] = key
            lowest = min(lowest, at)
            prefetchLinks(frontier[i])
        }
        beam.count = size
        return lowest
    }

    @inline(__always)
    private func admitMixed(_ count: Int, _ beam: inout Candidates, _ cursor: Int) -> Int {
        var lowest = cursor
        for i in 0..<count {
            let key = Candidates.key(distances[i], frontier[i])
            if key >= beam.bound { continue }
            let at = beam.insert(key, mask)
            lowest = min(lowest, at)
            prefetchLinks(frontier[i])
        }
        return lowest
    }

    @inline(__always)
    private func prefetchLinks(_ row: UInt32) {
        let list = links + Int(row) &* slots
        omen_prefetch(list)
        omen_prefetch(list + 16)
    }
}
