internal import OmenSystem
internal import OmenCore

/// The rows that one search of level 0 has seen: a bit each, and a journal of those set.
///
/// Bits of a million rows fit the second-level cache, where a stamp per row would not, and every
/// link of every expanded row is looked up here. Clearing them costs what was set, not the rows.
struct VisitedSet {
    private let region: ReservedRegion
    /// One bit per row; all zero between searches.
    let words: UnsafeMutablePointer<UInt64>
    /// Rows in the order they were seen, each hop's one after the other.
    let journal: UnsafeMutablePointer<UInt32>

    /// Rows the journal holds before it starts over; one more hop fits behind them.
    let journalCount: Int

    init(journalCount: Int = 1 << 15) throws(OmenError) {
        self.journalCount = journalCount
        // A bit for every value that a link can have: even a link that rotted in a file and was not
        // checked yet makes no search write elsewhere.
        region = try ReservedRegion(growingTo: (Int(Link.rowMask) + 1) / 8, from: 0)
        words = region.base.assumingMemoryBound(to: UInt64.self)
        journal = .allocate(capacity: journalCount + Scratch.scanCount)
    }

    func deallocate() { journal.deallocate() }

    /// Makes room for `rowCount` rows, where addresses are limited; then only for links of files
    /// that were checked.
    func reserve(_ rowCount: Int) throws(OmenError) {
        try region.grow(to: (rowCount + 63) / 64 * 8)
    }

    /// Whether a row was not seen; then it is from now on, and stands in the journal at `place`.
    @inline(__always)
    func isNew(_ row: UInt32, at place: Int) -> Bool {
        let bit: UInt64 = 1 &<< UInt64(row & 63)
        let word = words + Int(row >> 6)
        guard word.pointee & bit == 0 else { return false }
        word.pointee |= bit
        journal[place] = row
        return true
    }

    /// Forgets everything.
    ///
    /// - Parameters:
    ///   - count: Rows in the journal; nil when it has started over.
    ///   - rowCount: Rows there are.
    func clear(_ count: Int?, rowCount: Int) {
        let wordCount = (rowCount + 63) / 64
        // A cache line of eight words is written about as fast as one word of it.
        if let count, count < wordCount / 8 {
            for i in 0..<count { words[Int(journal[i] >> 6)] = 0 }
        } else {
            words.update(repeating: 0, count: wordCount)
        }
    }
}
