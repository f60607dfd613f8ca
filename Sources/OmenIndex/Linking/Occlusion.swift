/// The rule that thins candidates to links in different directions.
///
/// A candidate is left out when a kept one is nearer to it than it is to the row itself, the former
/// distance stretched by `alpha` (Malkov, Yashunin 2016, algorithm 4; Subramanya et al., "DiskANN",
/// 2019, for alpha). Distances that are equal count as occluded, or duplicates would fill a list.
///
/// Each kept candidate is scored against all that are still in question, and crosses out what it
/// occludes: long kernel calls, and none for what is out already.
struct Occlusion {
    /// Scores pairs of rows; aimed at each kept candidate in turn.
    var scorer: Scorer
    let alpha: Float
    /// Room for as many distances as there are candidates in one call.
    let distances: UnsafeMutablePointer<Float>
    /// The same stretch for distances that are negative products, where 1 would keep too few: a
    /// kept row hides another when nine tenths of their product exceed that with the row itself.
    static let productAlpha: Float = 0.9
    /// Candidates looked at together: the limit is often reached long before the last of many.
    private static let blockCount = 40

    /// Chooses up to `limit` candidates, nearest first; marked (pinned) ones always.
    ///
    /// - Parameters:
    ///   - keys: Candidates, ascending.
    ///   - count: How many.
    ///   - limit: Most to keep; at least the number of marked ones.
    ///   - rowOf: The row of a candidate's slot; the same number on level 0.
    ///   - kept: Receives the rows kept; has room for `count`.
    ///   - keptKeys: Receives the keys kept; has room for `count`, may be `keys` itself.
    /// - Returns: How many are kept.
    @inline(__always)
    mutating func choose(
        _ keys: UnsafePointer<UInt64>,
        count: Int,
        limit: Int,
        rowOf: (UInt32) -> UInt32,
        kept: UnsafeMutablePointer<UInt32>,
        keptKeys: UnsafeMutablePointer<UInt64>
    ) -> Int {
        var pinnedLeft = 0
        for i in 0..<count {
            let key = keys[i]
            pinnedLeft &+= Int(truncatingIfNeeded: key & Candidates.mark)
            keptKeys[i] = key
            kept[i] = rowOf(Candidates.row(key))
        }
        var keptCount = 0
        var first = 0
        while first < count, keptCount < limit {
            let next = min(count, first &+ Self.blockCount)
            var end = next
            for i in 0..<keptCount {
                end = crossOut(kept[i], kept, keptKeys, first, end)
            }
            while first < end {
                let row = kept[first]
                let key = keptKeys[first]
                first &+= 1
                if Candidates.isMarked(key) {
                    pinnedLeft &-= 1
                } else if keptCount &+ pinnedLeft >= limit {
                    continue
                }
                kept[keptCount] = row
                keptKeys[keptCount] = key
                keptCount &+= 1
                if keptCount < limit { end = crossOut(row, kept, keptKeys, first, end) }
            }
            first = next
        }
        return keptCount
    }

    /// Chooses again from a list that was thinned before and has grown since.
    ///
    /// What was kept then is scored against the new candidates only.
    /// - Parameters:
    ///   - keys: The candidates; overwritten.
    ///   - settledCount: How many candidates at the front are ascending and do not occlude each
    ///     other.
    ///   - freshCount: How many candidates follow them, ascending by themselves.
    ///   - rows: Room for as many rows.
    ///   - limit: Most to keep; at least the number of marked ones.
    ///   - links: Receives the rows kept, nearest first, marked ones with the pinned bit.
    /// - Returns: How many are kept.
    mutating func rechoose(
        _ keys: UnsafeMutablePointer<UInt64>,
        settledCount: Int,
        freshCount: Int,
        rows: UnsafeMutablePointer<UInt32>,
        limit: Int,
        into links: UnsafeMutablePointer<UInt32>
    ) -> Int {
        var pinnedLeft = 0
        for i in 0..<settledCount &+ freshCount {
            pinnedLeft &+= Int(truncatingIfNeeded: keys[i] & Candidates.mark)
            rows[i] = Candidates.row(keys[i])
        }
        var settled = 0
        var settledEnd = settledCount
        var fresh = settledCount
        var freshEnd = settledCount &+ freshCount
        var keptCount = 0
        while keptCount < limit, settled < settledEnd || fresh < freshEnd {
            let isFresh =
                fresh < freshEnd && (settled == settledEnd || keys[fresh] < keys[settled])
            let at = isFresh ? fresh : settled
            let key = keys[at]
            if isFresh { fresh &+= 1 } else { settled &+= 1 }
            if Candidates.isMarked(key) {
                pinnedLeft &-= 1
            } else if keptCount &+ pinnedLeft >= limit {
                continue
            }
            let row = rows[at]
            links[keptCount] = row | (Candidates.isMarked(key) ? Link.pinned : 0)
            keptCount &+= 1
            if isFresh { settledEnd = crossOut(row, rows, keys, settled, settledEnd) }
            freshEnd = crossOut(row, rows, keys, fresh, freshEnd)
        }
        return keptCount
    }

    /// Takes out of the candidates `first..<end` the unmarked ones that `row` occludes.
    ///
    /// - Returns: The new end.
    @inline(__always)
    private mutating func crossOut(
        _ row: UInt32,
        _ rows: UnsafeMutablePointer<UInt32>,
        _ keys: UnsafeMutablePointer<UInt64>,
        _ first: Int,
        _ end: Int
    ) -> Int {
        guard first < end else { return end }
        scorer.aim(at: row)
        scorer.score(rows + first, end &- first, into: distances)
        var left = first
        for i in first..<end {
            let key = keys[i]
            let isLeft =
                Candidates.isMarked(key) || distances[i &- first] * alpha > Candidates.distance(key)
            keys[left] = key
            rows[left] = rows[i]
            left &+= isLeft ? 1 : 0
        }
        return left
    }
}
