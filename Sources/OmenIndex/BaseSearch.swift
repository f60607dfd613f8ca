internal import COmenKernels

/// Best-first search of level 0: the hot loop of searching and of linking.
///
/// Holds plain pointers only, so that running it touches no reference count and checks no bounds;
/// every link was checked when the index was opened or written by ourselves.
struct BaseSearch {
    let links: UnsafePointer<UInt32>
    let slots: Int
    let deleted: UnsafePointer<UInt64>
    let visited: UnsafeMutablePointer<UInt8>
    let epoch: UInt8
    let todo: UnsafeMutablePointer<UInt32>
    let distances: UnsafeMutablePointer<Float>
    /// Entries expanded together: enough neighbours to keep memory busy while the next are fetched.
    static let expansionsPerHop = 4

    /// Fills `beam` with the nearest rows that a walk from the first `startCount` rows in `todo`
    /// finds.
    ///
    /// Marks of `beam` mean "expanded" meanwhile; all are set at the end.
    /// `mixed` says whether some rows are deleted.
    func run(_ scorer: Scorer, startCount: Int, mixed: Bool, beam: inout Candidates) {
        for i in 0..<startCount { visited[Int(todo[i])] = epoch }
        scorer.score(todo, startCount, into: distances)
        if mixed {
            admitMixed(startCount, beam: &beam, cursor: 0)
        } else {
            _ = admitLive(startCount, beam: &beam, cursor: 0)
        }
        var cursor = 0
        while true {
            // Several entries per hop: their neighbours' cache misses overlap.
            var count = 0
            var left = Self.expansionsPerHop
            var index = cursor
            cursor = beam.count
            while index < beam.count {
                let key = beam.keys[index]
                if key & 1 == 0 {
                    if left == 0 {
                        cursor = index
                        break
                    }
                    left &-= 1
                    beam.keys[index] = key | 1
                    count = gather(Candidates.row(key), count)
                }
                index &+= 1
            }
            if count == 0 {
                if cursor == beam.count { return }
                continue
            }
            scorer.score(todo, count, into: distances)
            if mixed {
                cursor = admitMixed(count, beam: &beam, cursor: cursor)
            } else {
                cursor = admitLive(count, beam: &beam, cursor: cursor)
            }
        }
    }

    /// Appends the unvisited neighbours of `row` to the `already` rows in `todo` and stamps them.
    ///
    /// - Returns: How many rows are in `todo` now.
    @inline(__always)
    private func gather(_ row: UInt32, _ already: Int) -> Int {
        let list = links + Int(row) &* slots
        var count = already
        for i in 0..<slots {
            let link = list[i]
            if link == Link.none { break }
            let next = link & Link.rowMask
            todo[count] = next
            count &+= visited[Int(next)] == epoch ? 0 : 1
            visited[Int(next)] = epoch
        }
        return count
    }

    /// Inserts what is near enough.
    ///
    /// - Returns: The first position that may hold an unexpanded entry.
    @inline(__always)
    private func admitLive(_ count: Int, beam: inout Candidates, cursor: Int) -> Int {
        var bound = beam.bound
        var lowest = cursor
        for i in 0..<count {
            let key = Candidates.key(distances[i], todo[i])
            if key >= bound { continue }
            let at = beam.insertLive(key)
            bound = beam.bound
            lowest = min(lowest, at)
            // Most are expanded sooner or later.
            prefetchLinks(todo[i])
        }
        return lowest
    }

    @discardableResult
    @inline(__always)
    private func admitMixed(_ count: Int, beam: inout Candidates, cursor: Int) -> Int {
        var lowest = cursor
        for i in 0..<count {
            let key = Candidates.key(distances[i], todo[i])
            if key >= beam.bound { continue }
            let isLive = !deleted.bit(todo[i])
            let at = beam.insert(key, isLive: isLive, deleted: deleted)
            lowest = min(lowest, at)
            prefetchLinks(todo[i])
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
