/// An instant, to the microsecond, as RFC 3339 writes it: `2026-11-28T19:05:53.25+01:00`.
///
/// Metadata has no type for dates: a string that is written like this is one, where a filter asks
/// for dates. A date without a zone is none, for it names no instant. Digits behind the microsecond
/// are dropped.
package struct FilterDate: Hashable, Sendable {
    /// Since 0000-01-01T00:00:00Z, in the calendar of today; at least 0, before the year 10000.
    package let microseconds: Int64

    /// What errors show.
    static let example = #""2026-11-28T19:05:53Z""#

    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// Days before each month of a year that has no 29 February.
    private static let daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365]

    /// Reads a date.
    ///
    /// Nil for all that is not a date and a time with a zone, for days that no calendar has, and
    /// for instants that are outside of the years 0 to 9999 in UTC.
    ///
    /// - Parameter text: UTF-8.
    package init?(_ text: UnsafeRawBufferPointer) {
        // Most strings are no dates: these are the cheapest signs.
        guard text.count >= 20, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-") else {
            return nil
        }
        var digits = DateDigits(text: text)
        guard let year = digits.number(4), digits.accept("-"),
            let month = digits.number(2), digits.accept("-"),
            let day = digits.number(2),
            digits.accept("T") || digits.accept("t") || digits.accept(" "),
            let hour = digits.number(2), digits.accept(":"),
            let minute = digits.number(2), digits.accept(":"),
            let second = digits.number(2),
            let fraction = digits.fraction(),
            let zone = digits.zone(), digits.isAtEnd,
            (1...12).contains(month), (1...Self.dayCount(month, year)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        let days = Self.days(before: year) + Self.days(before: month, of: year) + day - 1
        let minutes = (days * 24 + hour) * 60 + minute - zone
        let microseconds = Int64(minutes * 60 + second) * 1_000_000 + Int64(fraction)
        let end = Int64(Self.days(before: 10_000)) * Self.microsecondsPerDay
        guard (0..<end).contains(microseconds) else { return nil }
        self.microseconds = microseconds
    }

    private static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    private static func dayCount(_ month: Int, _ year: Int) -> Int {
        daysBefore[month] - daysBefore[month - 1] + (month == 2 && isLeap(year) ? 1 : 0)
    }

    /// Days from the beginning of the year 0 to that of `year`.
    private static func days(before year: Int) -> Int {
        // The year 0 is a leap year.
        year == 0 ? 0 : year * 365 + 1 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400
    }

    private static func days(before month: Int, of year: Int) -> Int {
        daysBefore[month - 1] + (month > 2 && isLeap(year) ? 1 : 0)
    }
}

extension FilterDate: Comparable {
    package static func < (left: FilterDate, right: FilterDate) -> Bool {
        left.microseconds < right.microseconds
    }
}

extension FilterDate: CustomStringConvertible {
    /// The instant in UTC, from which the same date is read.
    package var description: String {
        let days = Int(microseconds / Self.microsecondsPerDay)
        let seconds = Int(microseconds % Self.microsecondsPerDay / 1_000_000)
        let fraction = Int(microseconds % 1_000_000)
        // A year has at most 366 days, so this is never too late, and too early by few years.
        var year = days / 366
        while Self.days(before: year + 1) <= days { year += 1 }
        var month = 1
        let day = days - Self.days(before: year)
        while month < 12, Self.days(before: month + 1, of: year) <= day { month += 1 }
        let date = [
            Self.padded(year, 4), Self.padded(month, 2),
            Self.padded(day - Self.days(before: month, of: year) + 1, 2),
        ]
        let time = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { Self.padded($0, 2) }
        return date.joined(separator: "-") + "T" + time.joined(separator: ":")
            + (fraction == 0 ? "" : "." + Self.padded(fraction, 6)) + "Z"
    }

    private static func padded(_ number: Int, _ count: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}

/// Reads the pieces of a date one after the other.
private struct DateDigits {
    let text: UnsafeRawBufferPointer
    private var at = 0

    init(text: UnsafeRawBufferPointer) { self.text = text }

    var isAtEnd: Bool { at == text.count }

    mutating func accept(_ letter: Unicode.Scalar) -> Bool {
        guard at < text.count, text[at] == UInt8(ascii: letter) else { return false }
        at += 1
        return true
    }

    /// A number with exactly `count` digits.
    mutating func number(_ count: Int) -> Int? {
        var number = 0
        for _ in 0..<count {
            guard let digit = digit() else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    /// Microseconds; 0 where there is no fraction, nil for a point without digits.
    mutating func fraction() -> Int? {
        guard accept(".") else { return 0 }
        guard var fraction = digit() else { return nil }
        var count = 1
        while let digit = digit() {
            if count < 6 { fraction = fraction * 10 + digit }
            count += 1
        }
        for _ in count..<max(count, 6) { fraction *= 10 }
        return fraction
    }

    /// Minutes that the clocks of the zone are ahead of UTC.
    mutating func zone() -> Int? {
        if accept("Z") || accept("z") { return 0 }
        let isAhead = accept("+")
        guard isAhead || accept("-"), let hours = number(2), accept(":"), let minutes = number(2),
            hours < 24, minutes < 60
        else { return nil }
        return (isAhead ? 1 : -1) * (hours * 60 + minutes)
    }

    private mutating func digit() -> Int? {
        guard at < text.count, case let digit = text[at] &- UInt8(ascii: "0"), digit < 10 else {
            return nil
        }
        at += 1
        return Int(digit)
    }
}
