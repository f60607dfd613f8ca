/// What a key has in the place of its rows, 4 bytes: one row, the number of a posting, or nothing.
struct PostingReference: Equatable {
    let word: UInt32

    private static let rowFlag: UInt32 = 1 << 31

    /// No rows.
    static let none = PostingReference(word: 0x7FFF_FFFF)
    /// Most postings of a path.
    static let postingCountMax = Int(none.word)

    init(word: UInt32) { self.word = word }

    /// One row, which needs no posting.
    init(row: UInt32) { word = row | Self.rowFlag }

    /// A posting of the path's table.
    init(posting index: Int) { word = UInt32(index) }

    /// The one row; nil for all other references.
    var row: UInt32? { word & Self.rowFlag == 0 ? nil : word & ~Self.rowFlag }
}

/// An entry of a path's table of postings.
///
///     offset size field
///          0    4 offset     in the path's heap, in units of 4 bytes
///          4    4 count      rows; at least 2
///          8    4 byteCount  4 * count: the rows, `u32` each, ascending; fewer: a bitmap
struct PostingEntry {
    static let byteCount = 12
    /// What offsets are counted in, in bytes.
    static let unit = 4
    /// Most rows that are always written one by one.
    static let arrayCountMax = 32

    var offset: UInt32
    var count: UInt32
    var byteCount: UInt32

    var isArray: Bool { Int(byteCount) == Int(count) * 4 }
}
