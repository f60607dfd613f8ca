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

    /// Fills `beam` with the nearest rows that a walk from `start` finds.
    ///
    /// Marks of `beam` mean "expanded" meanwhile; all are set at the end.
    /// - Parameter mixed: Whether some rows are deleted.
    func run(_ scorer: Scorer, from start: UInt32, mixed: Bool, beam: inout Candidates) {
        todo[0] = start
        visited[Int(start)] = epoch
        scorer.score(todo, 1, into: distances)
        if mixed {
            admitMixed(1, beam: &beam, cursor: 0)
        } else {
            _ = beam.insertLive(Candidates.key(distances[0], start))
        }
        var cursor = 0
        while cursor < beam.count {
            let key = beam.keys[cursor]
            if key & 1 != 0 {
                cursor &+= 1
                continue
            }
            beam.keys[cursor] = key | 1
            let count = gather(Candidates.row(key))
            guard count > 0 else { continue }
            scorer.score(todo, count, into: distances)
            if mixed {
                cursor = admitMixed(count, beam: &beam, cursor: cursor)
            } else {
                cursor = admitLive(count, beam: &beam, cursor: cursor)
            }
        }
    }

    /// Collects the unvisited neighbours of `row` in `todo` and stamps them.
    @inline(__always)
    private func gather(_ row: UInt32) -> Int {
        let list = links + Int(row) &* slots
        var count = 0
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
        var lowest = cursor &+ 1
        for i in 0..<count {
            let key = Candidates.key(distances[i], todo[i])
            if key >= bound { continue }
            let at = beam.insertLive(key)
            bound = beam.bound
            if at <= lowest {
                lowest = at
                // Likely to be expanded next.
                prefetchLinks(todo[i])
            }
        }
        return lowest
    }

    @discardableResult
    private func admitMixed(_ count: Int, beam: inout Candidates, cursor: Int) -> Int {
        var lowest = cursor
        for i in 0..<count {
            let key = Candidates.key(distances[i], todo[i])
            if key >= beam.bound { continue }
            let isLive = !deleted.bit(todo[i])
            let at = beam.insert(key, isLive: isLive, deleted: deleted)
            if at <= lowest {
                lowest = at
                prefetchLinks(todo[i])
            }
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
