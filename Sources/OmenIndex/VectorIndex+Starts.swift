internal import OmenCore

/// Where searches of level 0 begin.
enum Starts: UInt8, CaseIterable {
    /// Where a walk down the levels ends, from each node to the best of its neighbours.
    case walk = 0
    /// At the best few nodes of level 1.
    case few = 1
    /// At the best of a whole level, the lowest that is quickly scanned.
    case level = 2

    /// Nodes of level 1 under `few`, and most rows to begin with under all others.
    static let fewCount = 8
    static let countMax = 16
    /// Recall that costlier starts have to add.
    static let gainMin: Float = 0.005
    /// Most nodes of a level that is scanned.
    static let scannedCountMax = 4096
    /// The same under ip, where every search does that.
    static let scannedProductCountMax = Scratch.scanCount
}

extension VectorIndex {
    /// Leaves the rows to begin with on level 0 in `scratch.frontier`, all different.
    ///
    /// - Returns: How many.
    func findStarts(_ scorer: Scorer, from entry: Entry, _ scratch: Scratch) -> Int {
        if schema.metric == .ip {
            let first = descend(scorer, from: entry, to: 0, scratch)
            return findProductStarts(scorer, besides: first, scratch)
        }
        if starts == .few, entry.level > 0 { return findFewStarts(scorer, from: entry, scratch) }
        scratch.frontier[0] = descend(scorer, from: entry, to: 0, scratch)
        guard starts == .level else { return 1 }
        scratch.beam.reset(width: Starts.countMax, capacity: Starts.countMax)
        addLevel(scorer, atMost: Starts.scannedCountMax, scratch)
        return takeStarts(besides: scratch.frontier[0], scratch)
    }

    /// Leaves `first` and other rows with large inner products in `scratch.frontier`, all
    /// different.
    ///
    /// Under ip a walk down often ends at the wrong one of several groups. So there the best of a
    /// level begin too, a random sample of the rows; and the best of the longest rows.
    /// - Returns: How many.
    func findProductStarts(_ scorer: Scorer, besides first: UInt32, _ scratch: Scratch) -> Int {
        scratch.beam.reset(width: Starts.countMax, capacity: Starts.countMax)
        addLevel(scorer, atMost: Starts.scannedProductCountMax, scratch)
        if linksByProduct {
            let long = longRows.rows
            for i in long.indices { scratch.rows[i] = long[i] }
            addStarts(scorer, long.count, scratch)
        }
        return takeStarts(besides: first, scratch)
    }

    /// Offers all nodes of the lowest level that has at most so many.
    private func addLevel(_ scorer: Scorer, atMost limit: Int, _ scratch: Scratch) {
        let scanned = (1...Section.uppers.count).first { upperCounts[$0 - 1] <= limit }
        guard let scanned else { return }
        let nodes = upper(scanned)
        var slot = 0
        while slot < upperCounts[scanned - 1] {
            let count = min(Scratch.scanCount, upperCounts[scanned - 1] - slot)
            for i in 0..<count { scratch.rows[i] = nodes.row(UInt32(slot + i)) }
            addStarts(scorer, count, scratch)
            slot += count
        }
    }

    /// Offers the first `count` rows of `scratch.rows` to the beam.
    private func addStarts(_ scorer: Scorer, _ count: Int, _ scratch: Scratch) {
        scorer.score(scratch.rows, count, into: scratch.distances)
        for i in 0..<count {
            let key = Candidates.key(scratch.distances[i], scratch.rows[i])
            if key < scratch.beam.bound { scratch.beam.insertNew(key) }
        }
    }

    /// Leaves `first` and the rows of the beam in `scratch.frontier`.
    private func takeStarts(besides first: UInt32, _ scratch: Scratch) -> Int {
        scratch.frontier[0] = first
        var count = 1
        for i in 0..<scratch.beam.count {
            let row = Candidates.row(scratch.beam.keys[i])
            if row == first { continue }
            scratch.frontier[count] = row
            count += 1
        }
        return count
    }

    /// Leaves the rows of the nearest nodes of level 1 in `scratch.frontier`.
    private func findFewStarts(_ scorer: Scorer, from entry: Entry, _ scratch: Scratch) -> Int {
        let level = upper(1)
        let journal = scratch.visited.journal
        scratch.beam.reset(width: Starts.fewCount, capacity: Starts.fewCount)
        var pending = 0
        var journaled = 0
        // Slots of level 1 stand for rows here: there are fewer of them.
        if scratch.visited.isNew(descend(scorer, from: entry, to: 1, scratch), at: 0) {
            pending = 1
        }
        var cursor = 0
        while pending > 0, journaled + pending < scratch.visited.journalCount {
            let slots = journal + journaled
            for i in 0..<pending { scratch.rows[i] = level.row(slots[i]) }
            scorer.score(scratch.rows, pending, into: scratch.distances)
            for i in 0..<pending {
                let key = Candidates.key(scratch.distances[i], slots[i])
                if key < scratch.beam.bound { cursor = min(cursor, scratch.beam.insertLive(key)) }
            }
            journaled += pending
            pending = 0
            while pending == 0, cursor < scratch.beam.count {
                let key = scratch.beam.keys[cursor]
                scratch.beam.keys[cursor] = key | 1
                cursor += 1
                if key & 1 != 0 { continue }
                let links = level.links(Candidates.row(key))
                for i in 0..<level.slots where links[i] != Link.none {
                    if scratch.visited.isNew(links[i], at: journaled + pending) { pending += 1 }
                }
            }
        }
        scratch.visited.clear(journaled + pending, rowCount: linkedCount)
        for i in 0..<scratch.beam.count {
            scratch.frontier[i] = level.row(Candidates.row(scratch.beam.keys[i]))
        }
        return scratch.beam.count
    }
}
