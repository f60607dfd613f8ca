internal import COmenKernels

/// Best-first search of level 0: the hot loop of searching and of linking.
///
/// Holds plain pointers only, so that running it touches no reference count and checks no bounds;
/// every link was checked when the index was opened or written by ourselves.
struct BaseSearch {
    let links: UnsafePointer<UInt32>
    let slots: Int
    let mask: RowMask
    let visited: UnsafeMutablePointer<UInt64>
    let journal: UnsafeMutablePointer<UInt32>
    let journalCount: Int
    let distances: UnsafeMutablePointer<Float>
    /// When to stop before every entry is expanded.
    let stop: EarlyStop
    /// Rows in the journal before those of this hop.
    private(set) var journaled = 0
    /// Whether the journal has started over.
    private(set) var isJournalLost = false
    /// Rows of this hop, not scored yet.
    private var pending = 0
    /// Rows scored so far.
    private(set) var scoredCount = 0
    /// No entry before this position is unexpanded.
    private var cursor = 0

    /// Entries expanded together: enough neighbours to keep memory busy while the next are fetched.
    static let expansionsPerHop = 4

    init(
        links: UnsafePointer<UInt32>,
        slots: Int,
        mask: RowMask,
        visited: VisitedSet,
        distances: UnsafeMutablePointer<Float>,
        stop: EarlyStop
    ) {
        self.links = links
        self.slots = slots
        self.mask = mask
        self.visited = visited.words
        journal = visited.journal
        journalCount = visited.journalCount
        self.distances = distances
        self.stop = stop
    }

    /// Fills an empty `beam` with the nearest rows that a walk from `count` distinct rows finds.
    ///
    /// Marks of `beam` mean "expanded" meanwhile; some are set at the end.
    mutating func run(
        _ scorer: Scorer,
        from rows: UnsafePointer<UInt32>,
        _ count: Int,
        beam: inout Candidates
    ) {
        for i in 0..<count {
            journal[i] = rows[i]
            visited[Int(rows[i] >> 6)] |= 1 << UInt64(rows[i] & 63)
        }
        pending = count
        while step(scorer, beam: &beam) {}
    }

    /// Scores the rows of a hop and chooses those of the next.
    ///
    /// - Returns: Whether there is a next hop.
    @inline(__always)
    private mutating func step(_ scorer: Scorer, beam: inout Candidates) -> Bool {
        let rows = journal + journaled
        scorer.score(rows, pending, into: distances)
        scoredCount &+= pending
        let lowest =
            mask.hidesSome
            ? admitMixed(rows, beam: &beam)
            : beam.admitLive(distances, rows, pending, links: links, slots: slots)
        cursor = min(cursor, lowest)
        journaled &+= pending
        if journaled >= journalCount {
            journaled = 0
            isJournalLost = true
        }
        pending = 0
        repeat {
            if !expand(&beam) { return false }
        } while pending == 0
        return true
    }

    /// Expands the nearest few unexpanded entries.
    ///
    /// - Returns: Whether there were any.
    @inline(__always)
    private mutating func expand(_ beam: inout Candidates) -> Bool {
        if stop.isDue(beam, from: cursor) { return false }
        // Several entries per hop: their neighbours' cache misses overlap.
        var left = Self.expansionsPerHop
        var index = cursor
        while index < beam.count {
            let key = beam.keys[index]
            if !Candidates.isMarked(key) {
                if left == 0 { break }
                left &-= 1
                beam.keys[index] = key | 1
                gather(Candidates.row(key))
            }
            index &+= 1
        }
        cursor = index
        return left < Self.expansionsPerHop
    }

    /// Adds the unvisited neighbours of `row` to the rows of this hop.
    @inline(__always)
    private mutating func gather(_ row: UInt32) {
        let list = links + Int(row) &* slots
        let rows = journal + journaled
        var count = pending
        for i in 0..<slots {
            let link = list[i]
            if link == Link.none { break }
            let next = link & Link.rowMask
            let word = visited + Int(next >> 6)
            let old = word.pointee
            rows[count] = next
            count &+= Int(truncatingIfNeeded: ~(old &>> UInt64(next & 63)) & 1)
            word.pointee = old | 1 &<< UInt64(next & 63)
        }
        pending = count
    }

    /// Inserts what is near enough where some rows are hidden.
    ///
    /// - Returns: The first position that may hold an unexpanded entry.
    private func admitMixed(_ rows: UnsafePointer<UInt32>, beam: inout Candidates) -> Int {
        var lowest = beam.count
        for i in 0..<pending {
            let key = Candidates.key(distances[i], rows[i])
            if key >= beam.bound { continue }
            let at = beam.insert(key, mask)
            lowest = min(lowest, at)
            // Most are expanded sooner or later.
            let list = links + Int(rows[i]) &* slots
            omen_prefetch(list)
            omen_prefetch(list + 16)
        }
        return lowest
    }
}
