internal import OmenCore

/// The tables of keys that a path has; numbers are positions in files.
///
/// Numbers have three, each with keys of 8 bytes that sort as the numbers do: one of 8 bytes for
/// all does not exist, since whole numbers from -2^63 to 2^64 - 1 and doubles compare exactly.
enum KeyTableKind: Int, CaseIterable, Sendable {
    /// Numbers that a double holds.
    case doubles = 0
    /// Whole numbers below 0 that no double holds.
    case negatives = 1
    /// Whole numbers above 0 that no double holds.
    case positives = 2
    /// Strings, as bytes of UTF-8.
    case strings = 3
    /// Strings that are dates, a second time: as microseconds.
    case dates = 4

    /// Whether keys are numbers of 8 bytes.
    var isNumeric: Bool { self != .strings }
}

/// Numbers as keys of 8 bytes.
enum NumberKey {
    /// The table and the key of a number.
    ///
    /// - Parameter number: The number.
    /// - Returns: Both.
    static func of(_ number: JSONNumber) -> (kind: KeyTableKind, key: UInt64) {
        guard number.rest != 0 else { return (.doubles, ordered(number.base)) }
        let whole = Int128(number.base) + Int128(number.rest)
        return whole < 0
            ? (.negatives, UInt64(whole - Int128(Int64.min))) : (.positives, UInt64(whole))
    }

    /// The number of a key; nil for a key that stands for none, as damage leaves it.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - kind: A table of numbers.
    /// - Returns: The number.
    static func number(_ key: UInt64, in kind: KeyTableKind) -> JSONNumber? {
        switch kind {
        case .doubles:
            let double = double(key)
            return double.isFinite ? JSONNumber(double) : nil
        case .negatives:
            // Keys of this table are those of negative `Int64`.
            return key < 1 << 63 ? JSONNumber(whole: Int128(key) + Int128(Int64.min)) : nil
        case .positives: return JSONNumber(whole: Int128(key))
        case .strings, .dates: return nil
        }
    }

    /// The bits of a double so that they sort as doubles do.
    private static func ordered(_ double: Double) -> UInt64 {
        let bits = double.bitPattern
        return bits >> 63 == 0 ? bits | 1 << 63 : ~bits
    }

    private static func double(_ key: UInt64) -> Double {
        Double(bitPattern: key >> 63 == 0 ? ~key : key & ~(1 << 63))
    }

    /// The least key that a table can have for a number, or for one above it.
    ///
    /// - Parameters:
    ///   - number: Any number, also one that the table cannot have.
    ///   - kind: A table of numbers.
    /// - Returns: The key, and whether it is that of the number itself; nil when all keys that the
    ///   table can have are below the number.
    static func position(
        of number: JSONNumber,
        in kind: KeyTableKind
    ) -> (key: UInt64, isEqual: Bool)? {
        if kind == .doubles {
            let key = ordered(number.base)
            // A whole number between two doubles is above the lower one.
            return number.rest == 0 ? (key, true) : (key + 1, false)
        }
        let range =
            kind == .negatives
            ? Int128(Int64.min)...(-1) : 1...Int128(UInt64.max)
        if number.base < -0x1p63 { return (0, false) }
        if number.base >= 0x1p64 { return nil }
        let floor = Int128(number.base.rounded(.down)) + Int128(number.rest)
        let isWhole = number.base == number.base.rounded(.down)
        // The lowest whole number that is not below `number`.
        let whole = isWhole ? floor : floor + 1
        if whole > range.upperBound { return nil }
        if whole < range.lowerBound { return (0, false) }
        let key = kind == .negatives ? UInt64(whole - Int128(Int64.min)) : UInt64(whole)
        return (key, isWhole)
    }
}
