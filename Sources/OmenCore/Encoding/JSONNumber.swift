/// A number of JSON text that compares exactly with any other.
///
/// Whole numbers from -2^63 to 2^64 - 1 that are written without a point and an exponent keep every
/// digit. All others are the nearest double, as nearly every reader of JSON takes them. So 1 equals
/// 1.0, and 2^53 differs from 2^53 + 1.
///
/// The order of (`base`, `rest`) is the order of the numbers, so two columns of these two, or ten
/// bytes, sort as the numbers do.
package struct JSONNumber: Hashable, Sendable {
    /// The greatest double that is not above the number; never -0, never infinite.
    package let base: Double
    /// What the number has beyond `base`: 0 for each double, at most 2,047 for a whole number.
    package let rest: UInt16

    /// A double.
    ///
    /// - Precondition: It is finite.
    package init(_ double: Double) {
        precondition(double.isFinite, "\(double) is no number of JSON")
        base = double == 0 ? 0 : double
        rest = 0
    }

    /// A whole number.
    ///
    /// - Precondition: It is from -2^63 to 2^64 - 1.
    package init(whole: Int128) {
        let nearest = Double(whole)
        let floor = Int128(nearest) > whole ? nearest.nextDown : nearest
        base = floor
        rest = UInt16(whole - Int128(floor))
    }

    /// Reads digits that a scanner stepped over; nil for a number that is beyond all doubles.
    ///
    /// - Parameter text: A number as RFC 8259 writes it.
    package init?(_ text: UnsafeRawBufferPointer) {
        var digits = Digits(text)
        if let number = digits.read() {
            self = number
            return
        }
        guard let double = Double(String(decoding: text, as: UTF8.self)), double.isFinite else {
            return nil
        }
        self.init(double)
    }
}

extension JSONNumber: Comparable {
    package static func < (left: JSONNumber, right: JSONNumber) -> Bool {
        left.base != right.base ? left.base < right.base : left.rest < right.rest
    }
}

extension JSONNumber: CustomStringConvertible {
    /// The number as JSON text, from which the same number is read.
    package var description: String {
        let isWhole = base >= -0x1p63 && base < 0x1p64 && base == base.rounded(.towardZero)
        return isWhole ? "\(Int128(base) + Int128(rest))" : "\(base)"
    }
}

/// Reads the numbers that nearly all numbers are without the library's conversion, which takes ten
/// times as long.
private struct Digits {
    private let text: UnsafeRawBufferPointer
    private var at = 0
    private var mantissa: UInt64 = 0
    private var isExact = true

    /// 10^0 to 10^22, which doubles hold exactly.
    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// - Returns: The number; nil where only the library's conversion rounds rightly.
    mutating func read() -> JSONNumber? {
        let isNegative = accept("-")
        _ = readDigits()
        guard at < text.count else { return whole(isNegative) }
        var exponent = 0
        if accept(".") { exponent -= readDigits() }
        if accept("e") || accept("E") {
            let isNegative = accept("-")
            if !isNegative { _ = accept("+") }
            guard text.count - at <= 4 else { return nil }
            var digits = Digits(UnsafeRawBufferPointer(rebasing: text[at...]))
            _ = digits.readDigits()
            exponent += isNegative ? -Int(digits.mantissa) : Int(digits.mantissa)
        }
        // Product or quotient of two numbers that doubles hold exactly: rounded once, so rightly.
        guard isExact, mantissa <= 1 << 53, abs(exponent) < Self.powers.count else { return nil }
        let power = Self.powers[abs(exponent)]
        let value = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
        return JSONNumber(isNegative ? -value : value)
    }

    private func whole(_ isNegative: Bool) -> JSONNumber? {
        guard isExact, !isNegative || mantissa <= 1 << 63 else { return nil }
        if mantissa <= 1 << 53 {
            return JSONNumber(isNegative ? -Double(mantissa) : Double(mantissa))
        }
        return JSONNumber(whole: isNegative ? -Int128(mantissa) : Int128(mantissa))
    }

    private mutating func accept(_ letter: Unicode.Scalar) -> Bool {
        guard at < text.count, text[at] == UInt8(ascii: letter) else { return false }
        at += 1
        return true
    }

    /// - Returns: How many digits there were.
    private mutating func readDigits() -> Int {
        let start = at
        while at < text.count, case let digit = text[at] &- UInt8(ascii: "0"), digit < 10 {
            let (tenfold, isOver) = mantissa.multipliedReportingOverflow(by: 10)
            let (sum, isBeyond) = tenfold.addingReportingOverflow(UInt64(digit))
            isExact = isExact && !isOver && !isBeyond
            mantissa = sum
            at += 1
        }
        return at - start
    }
}
