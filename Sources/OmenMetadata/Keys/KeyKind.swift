internal import OmenCore

/// The kinds of values that sort, each by itself.
package enum KeyKind: Sendable {
    /// All numbers, in one exact order.
    case numbers
    /// All strings, by their bytes in UTF-8, which is the order of code points.
    case strings
    /// Strings that are dates, by the instant; they are among the strings, too.
    case dates

    /// The tables of the kind.
    var tables: [KeyTableKind] {
        switch self {
        case .numbers: [.doubles, .negatives, .positives]
        case .strings: [.strings]
        case .dates: [.dates]
        }
    }
}

extension KeyTable {
    /// The keys of a table of numbers that are in a range.
    ///
    /// - Parameter range: The range.
    /// - Returns: Their numbers.
    func keys(in range: KeyRanges<JSONNumber>.Range) -> Range<Int> {
        func place(_ number: JSONNumber, isBehind: Bool) -> Int {
            guard let (key, isEqual) = NumberKey.position(of: number, in: kind) else {
                return keyCount
            }
            return firstIndex(notBelow: key, isBehind: isBehind && isEqual)
        }
        let start = range.lower.map { place($0, isBehind: !range.includesLower) } ?? 0
        let end = range.upper.map { place($0, isBehind: range.includesUpper) } ?? keyCount
        return start..<max(start, end)
    }

    /// The keys of a table of dates that are in a range.
    ///
    /// - Parameter range: The range.
    /// - Returns: Their numbers.
    func keys(in range: KeyRanges<FilterDate>.Range) -> Range<Int> {
        func place(_ date: FilterDate, isBehind: Bool) -> Int {
            firstIndex(notBelow: UInt64(date.microseconds), isBehind: isBehind)
        }
        let start = range.lower.map { place($0, isBehind: !range.includesLower) } ?? 0
        let end = range.upper.map { place($0, isBehind: range.includesUpper) } ?? keyCount
        return start..<max(start, end)
    }

    /// The keys of a table of strings that are in a range.
    ///
    /// - Parameter range: The range.
    /// - Returns: Their numbers.
    /// - Throws: `.corrupt` when strings are not there.
    func keys(in range: KeyRanges<FilterText>.Range) throws(OmenError) -> Range<Int> {
        var start = 0
        var end = keyCount
        if let lower = range.lower {
            start = try firstIndex(notBelow: lower, isBehind: !range.includesLower)
        }
        if let upper = range.upper {
            end = try firstIndex(notBelow: upper, isBehind: range.includesUpper)
        }
        return start..<max(start, end)
    }
}
