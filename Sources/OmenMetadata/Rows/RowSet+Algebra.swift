extension RowSet {
    /// The rows that are in both sets.
    ///
    /// - Parameter other: A set of the same rows.
    /// - Returns: The set.
    /// - Complexity: O(a log(b / a)) for two arrays, a the shorter one; O(a) for an array and bits;
    ///   O(rowCount / 64) for bits.
    package func intersection(_ other: RowSet) -> RowSet {
        check(other)
        switch (form, other.form) {
        case (.rows(let a), .rows(let b)):
            let (short, long) = a.count < b.count ? (a, b) : (b, a)
            return RowSet(Self.common(short, long), of: rowCount)
        case (.rows(let rows), .bits(let bits)), (.bits(let bits), .rows(let rows)):
            return RowSet(Self.filter(rows, bits, keeping: true), of: rowCount)
        case (.bits(let a), .bits(let b)): return combine(a, b) { $0 & $1 }
        }
    }

    /// The rows that are in all sets; begins with the smallest.
    ///
    /// - Parameter sets: At least one, all of the same rows.
    /// - Returns: The set.
    package static func intersection(of sets: [RowSet]) -> RowSet {
        let sorted = sets.sorted { $0.count < $1.count }
        return sorted.dropFirst().reduce(sorted[0]) { common, set in
            common.isEmpty ? common : common.intersection(set)
        }
    }

    /// The rows that are in at least one of two sets.
    ///
    /// - Parameter other: A set of the same rows.
    /// - Returns: The set.
    package func union(_ other: RowSet) -> RowSet {
        check(other)
        switch (form, other.form) {
        case (.rows(let a), .rows(let b)):
            guard Self.isSparse(a.count + b.count, of: rowCount) else {
                return withBits(of: self, changing: b) { $0 | $1 }
            }
            return RowSet(Self.merged(a, b), of: rowCount)
        case (.rows(let rows), .bits): return withBits(of: other, changing: rows) { $0 | $1 }
        case (.bits, .rows(let rows)): return withBits(of: self, changing: rows) { $0 | $1 }
        case (.bits(let a), .bits(let b)): return combine(a, b) { $0 | $1 }
        }
    }

    /// The rows of this set that are not in another.
    ///
    /// - Parameter other: A set of the same rows.
    /// - Returns: The set.
    package func subtracting(_ other: RowSet) -> RowSet {
        check(other)
        switch (form, other.form) {
        case (.rows(let a), .rows(let b)): return RowSet(Self.without(a, b), of: rowCount)
        case (.rows(let rows), .bits(let bits)):
            return RowSet(Self.filter(rows, bits, keeping: false), of: rowCount)
        case (.bits, .rows(let rows)): return withBits(of: self, changing: rows) { $0 & ~$1 }
        case (.bits(let a), .bits(let b)): return combine(a, b) { $0 & ~$1 }
        }
    }

    /// All rows that are not in the set.
    package var complement: RowSet {
        var bits = bits
        bits.withUnsafeMutableBufferPointer { bits in
            for index in bits.indices { bits[index] = ~bits[index] }
            // Bits behind the last row stay 0.
            if rowCount % 64 > 0 { bits[bits.count - 1] &= Self.bit(UInt32(rowCount % 64)) - 1 }
        }
        return RowSet(bits, count: rowCount - count, of: rowCount)
    }

    /// Puts the sets of catalogs together, of which each continues the rows of the one before.
    ///
    /// - Parameter sets: The sets.
    /// - Returns: The set of all their rows.
    package static func joined(_ sets: [RowSet]) -> RowSet {
        var rows = RowCollector(
            of: sets.reduce(0) { $0 + $1.rowCount },
            expecting: sets.reduce(0) { $0 + $1.count },
            isAscending: true
        )
        var offset = 0
        for set in sets {
            rows.insert(set, at: offset)
            offset += set.rowCount
        }
        return rows.finish()
    }

    private func check(_ other: RowSet) {
        precondition(rowCount == other.rowCount, "sets of \(rowCount) and \(other.rowCount) rows")
    }

    @inline(__always)
    private func combine(
        _ a: [UInt64],
        _ b: [UInt64],
        _ combined: (UInt64, UInt64) -> UInt64
    ) -> RowSet {
        var count = 0
        let bits = [UInt64](unsafeUninitializedCapacity: a.count) { words, initialized in
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    for index in a.indices {
                        let word = combined(a[index], b[index])
                        words[index] = word
                        count &+= word.nonzeroBitCount
                    }
                }
            }
            initialized = a.count
        }
        return RowSet(bits, count: count, of: rowCount)
    }

    @inline(__always)
    private func withBits(
        of set: RowSet,
        changing rows: [UInt32],
        _ changed: (UInt64, UInt64) -> UInt64
    ) -> RowSet {
        var bits = set.bits
        var count = set.count
        bits.withUnsafeMutableBufferPointer { bits in
            for row in rows {
                let old = bits[Int(row) / 64]
                let new = changed(old, Self.bit(row))
                count += new.nonzeroBitCount - old.nonzeroBitCount
                bits[Int(row) / 64] = new
            }
        }
        return RowSet(bits, count: count, of: rowCount)
    }

    private static func filter(_ rows: [UInt32], _ bits: [UInt64], keeping: Bool) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: rows.count) { kept, count in
            bits.withUnsafeBufferPointer { bits in
                for row in rows {
                    kept[count] = row
                    // Without a branch: which rows are kept cannot be foretold.
                    let isIn = bits[Int(row) / 64] & bit(row) != 0
                    count &+= isIn == keeping ? 1 : 0
                }
            }
        }
    }

    private static func common(_ short: [UInt32], _ long: [UInt32]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: short.count) { kept, count in
            long.withUnsafeBufferPointer { long in
                var at = 0
                for row in short {
                    at = firstIndex(notBelow: row, in: long, from: at)
                    guard at < long.count else { break }
                    guard long[at] == row else { continue }
                    kept[count] = row
                    count += 1
                }
            }
        }
    }

    private static func without(_ rows: [UInt32], _ others: [UInt32]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: rows.count) { kept, count in
            others.withUnsafeBufferPointer { others in
                var at = 0
                for row in rows {
                    at = firstIndex(notBelow: row, in: others, from: at)
                    if at < others.count, others[at] == row { continue }
                    kept[count] = row
                    count += 1
                }
            }
        }
    }

    private static func merged(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: a.count + b.count) { rows, count in
            var left = 0
            var right = 0
            while left < a.count || right < b.count {
                let one = left < a.count ? a[left] : .max
                let other = right < b.count ? b[right] : .max
                rows[count] = min(one, other)
                count += 1
                if one <= other { left += 1 }
                if other <= one { right += 1 }
            }
        }
    }
}
