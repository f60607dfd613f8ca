internal import Glibc

/// A value that a filter compares with, and a key of an index over metadata.
///
/// Values of different kinds are never equal, and one is never above the other for a filter. The
/// order over all of them, null, false, true, numbers, strings, dates, is for sorting.
package enum FilterValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(FilterText)
    /// A string that is a date has two keys: as a string, and as this.
    case date(FilterDate)
}

extension FilterValue: Comparable {
    package static func < (left: FilterValue, right: FilterValue) -> Bool {
        switch (left, right) {
        case (.bool(let a), .bool(let b)): !a && b
        case (.number(let a), .number(let b)): a < b
        case (.string(let a), .string(let b)): a < b
        case (.date(let a), .date(let b)): a < b
        default: left.rank < right.rank
        }
    }

    private var rank: Int {
        switch self {
        case .null: 0
        case .bool: 1
        case .number: 2
        case .string: 3
        case .date: 4
        }
    }
}

/// A string, ordered by code points, which is the order of its bytes in UTF-8.
package struct FilterText: Hashable, Sendable {
    /// UTF-8, but in an upper bound, which is only compared with.
    package let utf8: [UInt8]

    package init(_ utf8: [UInt8]) { self.utf8 = utf8 }

    /// The first text behind all texts that begin with this one; nil if there is none.
    package var endOfPrefix: FilterText? {
        // No byte of UTF-8 is 255, so there is always a next one.
        guard let last = utf8.last, last < .max else { return nil }
        return FilterText(utf8.dropLast() + [last + 1])
    }

    /// How bytes that lie elsewhere stand to this text.
    ///
    /// - Returns: Below 0 if they come before it, 0 if they are equal, above 0 if they come after.
    func order(of other: UnsafeRawBufferPointer) -> Int {
        utf8.withUnsafeBytes { Self.order(other, $0) }
    }

    static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        if let a = left.baseAddress, let b = right.baseAddress {
            let order = memcmp(a, b, min(left.count, right.count))
            if order != 0 { return Int(order) }
        }
        return left.count - right.count
    }
}

extension FilterText: Comparable {
    package static func < (left: FilterText, right: FilterText) -> Bool {
        left.utf8.withUnsafeBytes { right.order(of: $0) < 0 }
    }
}

extension FilterText: CustomStringConvertible {
    package var description: String { String(decoding: utf8, as: UTF8.self) }
}

/// What stands on the right of a comparison: a value, or a list that is compared as a whole.
package enum FilterOperand: Hashable, Sendable {
    case value(FilterValue)
    /// Without dates: a list is equal to a list of the same values, written as they are.
    case list([FilterValue])
}
