/// Gathers rows, in any order and also twice, to a `RowSet`.
struct RowCollector {
    let rowCount: Int
    /// One bit for each row; empty while rows are kept as they come.
    private var bits: [UInt64] = []
    private var rows: [UInt32] = []
    private let isDense: Bool

    /// Rows that there are for each that comes, from which on sorting takes longer than bits do.
    private static let rowCountPerSorted = 512

    /// Makes a collector without rows.
    ///
    /// - Parameters:
    ///   - rowCount: Rows that there are.
    ///   - countMax: Rows that will come; a row that comes twice is counted twice.
    ///   - isAscending: Whether they come in ascending order.
    init(of rowCount: Int, expecting countMax: Int, isAscending: Bool = false) {
        self.rowCount = rowCount
        isDense =
            !RowSet.isSparse(countMax, of: rowCount)
            || !isAscending && countMax > rowCount / Self.rowCountPerSorted
        if isDense {
            bits = [UInt64](repeating: 0, count: RowSet.wordCount(rowCount))
        } else {
            rows.reserveCapacity(countMax)
        }
    }

    /// Takes a row, or takes it back.
    ///
    /// - Parameters:
    ///   - row: A row below `rowCount`.
    ///   - isIn: Whether it is in the set from now on; false only in a dense collector.
    @inline(__always)
    mutating func set(_ row: UInt32, _ isIn: Bool = true) {
        guard isDense else { return rows.append(row) }
        bits.withUnsafeMutableBufferPointer { bits in
            let word = Int(row) / 64
            bits[word] = isIn ? bits[word] | RowSet.bit(row) : bits[word] & ~RowSet.bit(row)
        }
    }

    /// Takes the rows that words have a bit for, or takes them back.
    ///
    /// - Parameters:
    ///   - words: Little-endian words of 64 rows; no bit is of a row that there is not.
    ///   - first: The row of the lowest bit, a multiple of 64.
    ///   - isIn: Whether they are in the set from now on.
    mutating func set(words: UnsafeRawBufferPointer, from first: Int, _ isIn: Bool) {
        guard isDense else {
            for index in 0..<words.count / 8 {
                var rest = Self.word(words, index)
                while rest != 0 {
                    rows.append(UInt32(first + index * 64 + rest.trailingZeroBitCount))
                    rest &= rest &- 1
                }
            }
            return
        }
        bits.withUnsafeMutableBufferPointer { bits in
            // The last container may have fewer words than it has room for.
            let count = min(words.count / 8, bits.count - first / 64)
            for index in 0..<count {
                let word = Self.word(words, index)
                let at = first / 64 + index
                bits[at] = isIn ? bits[at] | word : bits[at] & ~word
            }
        }
    }

    /// Takes rows that follow each other, or takes them back.
    ///
    /// - Parameters:
    ///   - range: Rows below `rowCount`; not empty.
    ///   - isIn: Whether they are in the set from now on.
    mutating func set(range: Range<Int>, _ isIn: Bool) {
        guard isDense else {
            for row in range { rows.append(UInt32(row)) }
            return
        }
        let first = range.lowerBound / 64
        let last = (range.upperBound - 1) / 64
        bits.withUnsafeMutableBufferPointer { bits in
            for word in first...last {
                var mask = UInt64.max
                if word == first { mask &= .max << UInt64(range.lowerBound % 64) }
                if word == last { mask &= .max >> UInt64(63 - (range.upperBound - 1) % 64) }
                bits[word] = isIn ? bits[word] | mask : bits[word] & ~mask
            }
        }
    }

    /// Takes the rows of a set.
    ///
    /// - Parameters:
    ///   - set: The set.
    ///   - offset: What is added to each row.
    mutating func insert(_ set: RowSet, at offset: Int) {
        if case .bits(let words) = set.form, offset % 64 == 0 {
            return words.withUnsafeBytes { self.set(words: $0, from: offset, true) }
        }
        set.forEach { self.set($0 + UInt32(offset)) }
    }

    private static func word(_ words: UnsafeRawBufferPointer, _ index: Int) -> UInt64 {
        UInt64(littleEndian: words.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
    }

    /// Ends the gathering.
    ///
    /// - Returns: The rows.
    consuming func finish() -> RowSet {
        if isDense { return RowSet(bits: bits, of: rowCount) }
        if zip(rows, rows.dropFirst()).allSatisfy(<) { return RowSet(rows, of: rowCount) }
        rows.sort()
        var kept = 0
        for (index, row) in rows.enumerated() where index == 0 || rows[kept - 1] != row {
            rows[kept] = row
            kept += 1
        }
        rows.removeLast(rows.count - kept)
        return RowSet(rows, of: rowCount)
    }
}
