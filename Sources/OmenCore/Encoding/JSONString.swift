internal import Glibc

/// What stands between the quotes of a JSON string, as it stands there.
///
/// Borrows the bytes of the text.
package struct JSONRawString {
    package let bytes: UnsafeRawBufferPointer
    /// Whether there are escapes in it: otherwise it is what it means.
    package let isEscaped: Bool

    /// The UTF-8 that it means, in memory of its own.
    package var utf8: [UInt8] { isEscaped ? JSONString.unescaped(bytes) : Array(bytes) }
}

/// A JSON value that is neither an object nor an array; borrows the bytes of the text.
package enum JSONScalar {
    case null
    case bool(Bool)
    /// The digits; `JSONNumber` makes a number of them.
    case number(UnsafeRawBufferPointer)
    case string(JSONRawString)
}

/// What stands between the quotes of a JSON string.
package enum JSONString {
    /// The UTF-8 that the string means.
    ///
    /// - Precondition: `JSONScanner.string` accepted it, so every escape is complete.
    package static func unescaped(_ raw: UnsafeRawBufferPointer) -> [UInt8] {
        guard raw.contains(UInt8(ascii: "\\")) else { return Array(raw) }
        var utf8: [UInt8] = []
        utf8.reserveCapacity(raw.count)
        var at = 0
        while at < raw.count {
            guard raw[at] == UInt8(ascii: "\\"), at + 1 < raw.count else {
                utf8.append(raw[at])
                at += 1
                continue
            }
            let letter = raw[at + 1]
            at += 2
            switch letter {
            case UInt8(ascii: "b"): utf8.append(0x08)
            case UInt8(ascii: "f"): utf8.append(0x0C)
            case UInt8(ascii: "n"): utf8.append(0x0A)
            case UInt8(ascii: "r"): utf8.append(0x0D)
            case UInt8(ascii: "t"): utf8.append(0x09)
            case UInt8(ascii: "u"):
                var units = [codeUnit(raw, at)]
                at += 4
                if isHalf(units[0]) {
                    units.append(codeUnit(raw, at + 2))
                    at += 6
                }
                utf8.append(contentsOf: String(decoding: units, as: UTF16.self).utf8)
            default: utf8.append(letter)
            }
        }
        return utf8
    }

    /// Whether a code unit is half of a surrogate pair.
    static func isHalf(_ unit: UInt16) -> Bool { (0xD800..<0xE000).contains(unit) }

    static func hexadecimal(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    private static func codeUnit(_ raw: UnsafeRawBufferPointer, _ start: Int) -> UInt16 {
        var unit: UInt16 = 0
        for at in start..<start + 4 where at < raw.count {
            unit = unit << 4 | (hexadecimal(raw[at]) ?? 0)
        }
        return unit
    }

    /// For errors: in quotes, cut after 40 characters.
    static func shown(_ raw: UnsafeRawBufferPointer) -> String {
        "\"" + String(decoding: raw, as: UTF8.self).prefix(40) + "\""
    }
}

/// The names of one object, to find the first that comes again; most objects have few.
struct JSONNames {
    /// As they stand in the text; without an allocation.
    private var few = InlineArray<8, UnsafeRawBufferPointer>(repeating: .init(start: nil, count: 0))
    private var fewCount = 0
    /// What they mean, once they are many.
    private var many: Set<[UInt8]> = []

    /// - Returns: False if it was there.
    mutating func insert(_ name: UnsafeRawBufferPointer) -> Bool {
        guard many.isEmpty else { return many.insert(JSONString.unescaped(name)).inserted }
        for index in 0..<fewCount where isSame(name, few[index]) { return false }
        guard fewCount == few.count else {
            few[fewCount] = name
            fewCount += 1
            return true
        }
        for index in few.indices { many.insert(JSONString.unescaped(few[index])) }
        return many.insert(JSONString.unescaped(name)).inserted
    }

    private func isSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        if one.count == other.count {
            guard let left = one.baseAddress, let right = other.baseAddress else { return true }
            if memcmp(left, right, one.count) == 0 { return true }
        }
        let escape = UInt8(ascii: "\\")
        guard one.contains(escape) || other.contains(escape) else { return false }
        return JSONString.unescaped(one) == JSONString.unescaped(other)
    }
}
