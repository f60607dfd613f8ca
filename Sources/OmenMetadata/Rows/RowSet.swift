/// Some of the rows `0..<rowCount`: an ascending array where they are few, one bit for each row
/// otherwise.
package struct RowSet: Sendable {
    /// How the rows are kept.
    enum Form: Sendable {
        /// Ascending, each once.
        case rows([UInt32])
        /// Bit r % 64 of word r / 64 is row r; bits behind the last row are 0.
        case bits([UInt64])
    }

    /// Rows that there are; all sets that are combined have the same.
    package let rowCount: Int
    /// Rows of the set.
    package let count: Int
    let form: Form

    /// Makes a set.
    ///
    /// - Parameters:
    ///   - rows: Ascending, each once, all below `rowCount`.
    ///   - rowCount: Rows that there are.
    package init(_ rows: [UInt32], of rowCount: Int) {
        if let last = rows.last {
            precondition(Int(last) < rowCount, "row \(last) of \(rowCount)")
        }
        self.rowCount = rowCount
        count = rows.count
        form = .rows(rows)
    }

    /// Makes a set of one bit for each row.
    ///
    /// - Parameters:
    ///   - bits: Words with one bit for each row, lowest first; 0 behind the last row.
    ///   - rowCount: Rows that there are.
    package init(bits: [UInt64], of rowCount: Int) {
        self.init(bits, count: bits.withUnsafeBufferPointer(Self.countBits), of: rowCount)
    }

    init(_ bits: [UInt64], count: Int, of rowCount: Int) {
        precondition(bits.count == Self.wordCount(rowCount), "\(bits.count) words for \(rowCount)")
        self.rowCount = rowCount
        self.count = count
        form = count == 0 ? .rows([]) : .bits(bits)
    }

    /// The empty set.
    ///
    /// - Parameter rowCount: Rows that there are.
    /// - Returns: The set.
    package static func none(of rowCount: Int) -> RowSet { RowSet([], of: rowCount) }

    /// The set of all rows.
    ///
    /// - Parameter rowCount: Rows that there are.
    /// - Returns: The set.
    package static func all(of rowCount: Int) -> RowSet { none(of: rowCount).complement }

    /// Words that have a bit for each row.
    static func wordCount(_ rowCount: Int) -> Int { (rowCount + 63) / 64 }

    /// Whether an array takes no more memory than bits do.
    static func isSparse(_ count: Int, of rowCount: Int) -> Bool { count <= rowCount / 32 }

    static func countBits(_ words: UnsafeBufferPointer<UInt64>) -> Int {
        var count = 0
        for word in words { count &+= word.nonzeroBitCount }
        return count
    }
}

extension RowSet {
    /// Whether there is no row in the set.
    package var isEmpty: Bool { count == 0 }

    /// Tells whether a row is in the set.
    ///
    /// - Parameter row: A row below `rowCount`.
    /// - Returns: Whether it is in the set.
    /// - Complexity: O(log n) for an array, O(1) for bits.
    package func contains(_ row: UInt32) -> Bool {
        switch form {
        case .rows(let rows):
            let at = rows.withUnsafeBufferPointer {
                Self.firstIndex(notBelow: row, in: $0, from: 0)
            }
            return at < rows.count && rows[at] == row
        case .bits(let bits): return bits[Int(row) / 64] & Self.bit(row) != 0
        }
    }

    /// Calls `body` with each row, in ascending order.
    ///
    /// - Parameter body: Called with each row.
    /// - Throws: What `body` throws.
    @inline(__always)
    package func forEach<Failure: Error>(
        _ body: (UInt32) throws(Failure) -> Void
    ) throws(Failure) {
        switch form {
        case .rows(let rows):
            for row in rows { try body(row) }
        case .bits(let bits):
            for (index, word) in bits.enumerated() {
                var rest = word
                while rest != 0 {
                    try body(UInt32(index * 64 + rest.trailingZeroBitCount))
                    rest &= rest &- 1
                }
            }
        }
    }

    /// The rows, ascending.
    package var rows: [UInt32] {
        if case .rows(let rows) = form { return rows }
        var rows: [UInt32] = []
        rows.reserveCapacity(count)
        forEach { rows.append($0) }
        return rows
    }

    /// Rows that are gone through in a few microseconds.
    static let rowsPerBreath = 4096

    /// The rows, ascending, for long work.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: The rows.
    func rows(breathe: () -> Void) -> [UInt32] {
        var rows: [UInt32] = []
        rows.reserveCapacity(count)
        forEach { row in
            rows.append(row)
            if rows.count % Self.rowsPerBreath == 0 { breathe() }
        }
        return rows
    }

    /// One bit for each row, lowest first; 0 behind the last row.
    package var bits: [UInt64] {
        switch form {
        case .bits(let bits): return bits
        case .rows(let rows):
            var bits = [UInt64](repeating: 0, count: Self.wordCount(rowCount))
            bits.withUnsafeMutableBufferPointer { bits in
                for row in rows { bits[Int(row) / 64] |= Self.bit(row) }
            }
            return bits
        }
    }

    static func bit(_ row: UInt32) -> UInt64 { 1 &<< UInt64(row % 64) }

    /// The first place in ascending rows, from `start` on, whose row is not below `row`.
    ///
    /// - Complexity: O(log d), where d is how far the place is from `start`.
    static func firstIndex(
        notBelow row: UInt32,
        in rows: UnsafeBufferPointer<UInt32>,
        from start: Int
    ) -> Int {
        var step = 1
        var low = start
        while low + step < rows.count, rows[low + step] < row {
            low += step
            step *= 2
        }
        var high = min(low + step, rows.count)
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension RowSet: Equatable {
    package static func == (left: RowSet, right: RowSet) -> Bool {
        guard left.rowCount == right.rowCount, left.count == right.count else { return false }
        switch (left.form, right.form) {
        case (.rows(let a), .rows(let b)): return a == b
        case (.bits(let a), .bits(let b)): return a == b
        case (.rows(let rows), .bits), (.bits, .rows(let rows)):
            let other = if case .bits = left.form { left } else { right }
            return rows.allSatisfy { other.contains($0) }
        }
    }
}
