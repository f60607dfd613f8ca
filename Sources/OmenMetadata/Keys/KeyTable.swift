internal import OmenCore

/// The shape of one table of keys; all places in it follow from that.
///
///     u64[n / 256, rounded up]  sums: rows of the keys before each 256th one
///     u64[n] or StringBlocks    keys, ascending; padded to 4 bytes
///     u32[n]                    references: where the rows of each key are
///     8 bytes each              cuts: a key's number `u32`, and a reference to the rows of all
///                               keys before it; ascending
///                               zeros up to a multiple of 8 bytes
struct KeyTableShape: Equatable {
    static let keysPerSum = 256
    static let cutByteCount = 8
    /// Most cuts of a table: each has about so great a part of its rows more than the one before.
    static let cutCountMax = 16

    var keyCount = 0
    /// Bytes of the keys, without padding.
    var keyByteCount = 0
    var cutCount = 0
    /// Whether no row has two of the keys.
    var isSingle = true

    var sumCount: Int { (keyCount + Self.keysPerSum - 1) / Self.keysPerSum }
    var keysAt: Int { sumCount * 8 }
    var referencesAt: Int { keysAt + (keyByteCount + 3) / 4 * 4 }
    var cutsAt: Int { referencesAt + keyCount * 4 }
    var byteCount: Int { (cutsAt + cutCount * Self.cutByteCount + 7) / 8 * 8 }
}

/// One table of keys, read from bytes that cannot be trusted.
struct KeyTable {
    let kind: KeyTableKind
    let shape: KeyTableShape
    /// Exactly `shape.byteCount` bytes.
    let bytes: UnsafeRawBufferPointer
    let postings: PostingReader

    var keyCount: Int { shape.keyCount }

    /// What stands in the place of the rows of a key.
    ///
    /// - Parameter index: A key's number.
    /// - Returns: The reference.
    func reference(_ index: Int) -> PostingReference {
        PostingReference(word: bytes.u32(at: shape.referencesAt + index * 4))
    }

    /// A key of a numeric table.
    ///
    /// - Parameter index: A key's number.
    /// - Returns: The key.
    func number(_ index: Int) -> UInt64 { bytes.u64(at: shape.keysAt + index * 8) }

    /// Reads strings from a block on.
    ///
    /// - Parameter block: The block.
    /// - Returns: A cursor before its first string.
    /// - Throws: `.corrupt` when it is not there.
    func strings(fromBlock block: Int) throws(OmenError) -> StringBlocks.Cursor {
        let keys = bytes[shape.keysAt..<shape.keysAt + shape.keyByteCount]
        return try StringBlocks.Cursor(
            UnsafeRawBufferPointer(rebasing: keys),
            count: keyCount,
            block: block
        )
    }

    /// The first key of a numeric table that is not below another.
    ///
    /// - Parameters:
    ///   - key: A key.
    ///   - isBehind: Whether the first key above it is asked for.
    /// - Returns: Its number; the count of keys when there is none.
    func firstIndex(notBelow key: UInt64, isBehind: Bool = false) -> Int {
        var low = 0
        var high = keyCount
        while low < high {
            let middle = (low + high) / 2
            let other = number(middle)
            if other < key || isBehind && other == key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first string that is not below another.
    ///
    /// - Parameters:
    ///   - text: A string.
    ///   - isBehind: Whether the first string above it is asked for.
    /// - Returns: Its number; the count of keys when there is none.
    /// - Throws: `.corrupt` when strings are not there.
    func firstIndex(
        notBelow text: FilterText,
        isBehind: Bool = false
    ) throws(OmenError) -> Int {
        // The last block whose first string is below the text, or is equal to it.
        var low = 0
        var high = (keyCount + StringBlocks.blockCount - 1) / StringBlocks.blockCount
        while low < high {
            let middle = (low + high) / 2
            var cursor = try strings(fromBlock: middle)
            _ = try cursor.next()
            if FilterText(cursor.string) <= text { low = middle + 1 } else { high = middle }
        }
        var cursor = try strings(fromBlock: max(low - 1, 0))
        var index = cursor.index
        while try cursor.next() {
            let string = FilterText(cursor.string)
            if string > text || string == text && !isBehind { return index }
            index = cursor.index
        }
        return index
    }

    /// Rows of some keys; a row that has two of them counts twice.
    ///
    /// - Parameter keys: The keys.
    /// - Returns: Rows.
    /// - Throws: `.corrupt` when a posting is not there.
    func rowCount(_ keys: Range<Int>) throws(OmenError) -> Int {
        guard keys.count > KeyTableShape.keysPerSum else {
            var count = 0
            for key in keys { count += try postings.count(reference(key)) }
            return count
        }
        let count = try rowCount(before: keys.upperBound) - rowCount(before: keys.lowerBound)
        guard count >= 0 else {
            throw OmenError(.corrupt, "keys of the metadata catalog have \(count) rows")
        }
        return count
    }

    private func rowCount(before index: Int) throws(OmenError) -> Int {
        guard index > 0 else { return 0 }
        // From the last sum at or before the key.
        let sum = min(index / KeyTableShape.keysPerSum, shape.sumCount - 1)
        var count = bytes.u64(at: sum * 8)
        for key in sum * KeyTableShape.keysPerSum..<index {
            count &+= UInt64(try postings.count(reference(key)))
        }
        return Int(clamping: count)
    }

    // MARK: Rows

    /// Hands over the rows of some keys.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - rows: What takes them.
    ///   - isIn: Whether they are in the set from now on, or no longer.
    /// - Throws: `.corrupt` when a posting is not there.
    func read(
        _ keys: Range<Int>,
        into rows: inout RowCollector,
        _ isIn: Bool = true
    ) throws(OmenError) {
        for key in keys { try postings.read(reference(key), into: &rows, isIn) }
    }

    /// The rows of some keys.
    ///
    /// - Parameter keys: The keys.
    /// - Returns: The rows.
    /// - Throws: `.corrupt` when a posting is not there.
    /// - Complexity: O(rows of the keys), or O(rowCount / 64 + a sixteenth of all rows) with cuts.
    func rows(_ keys: Range<Int>) throws(OmenError) -> RowSet {
        let count = try rowCount(keys)
        let rowCount = postings.rowCount
        let from = cut(nearest: keys.lowerBound)
        let to = cut(nearest: keys.upperBound)
        // Few rows are as many as there are between two cuts.
        guard from.key != to.key, count > rowCount / KeyTableShape.cutCountMax else {
            var rows = RowCollector(
                of: rowCount,
                expecting: count,
                isAscending: keys.count == 1
            )
            try read(keys, into: &rows)
            return rows.finish()
        }
        // The rows before the upper end, less those before the lower end; both from the nearest
        // cut on. No row has two keys, so taking one away leaves the others.
        var rows = RowCollector(of: rowCount, expecting: rowCount)
        try readRows(before: keys.upperBound, from: to, into: &rows, true)
        try readRows(before: keys.lowerBound, from: from, into: &rows, false)
        return rows.finish()
    }

    /// The rows of all keys before one.
    struct Cut {
        var key: Int
        var rows: PostingReference
    }

    /// The cuts, ascending; those of keys that there are not are left out.
    var cuts: [Cut] {
        (0..<shape.cutCount).map { index in
            let at = shape.cutsAt + index * KeyTableShape.cutByteCount
            return Cut(
                key: Int(bytes.u32(at: at)),
                rows: PostingReference(word: bytes.u32(at: at + 4))
            )
        }.filter { $0.key <= keyCount }
    }

    /// The cut that is fewest keys away; key 0, before which there are no rows, is one.
    private func cut(nearest key: Int) -> Cut {
        cuts.reduce(Cut(key: 0, rows: .none)) { best, cut in
            abs(cut.key - key) < abs(best.key - key) ? cut : best
        }
    }

    private func readRows(
        before key: Int,
        from cut: Cut,
        into rows: inout RowCollector,
        _ isIn: Bool
    ) throws(OmenError) {
        try postings.read(cut.rows, into: &rows, isIn)
        if cut.key < key {
            try read(cut.key..<key, into: &rows, isIn)
        } else {
            try read(key..<cut.key, into: &rows, !isIn)
        }
    }
}
