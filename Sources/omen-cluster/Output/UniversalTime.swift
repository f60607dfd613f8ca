internal import Glibc

/// A time of day for people and for programs, as ISO 8601 writes it.
///
/// - Parameter microseconds: Since 1970.
/// - Returns: For example `2026-11-28T19:20:11.004217Z`; the number where no calendar has it.
func universalTime(microseconds: UInt64) -> String {
    var seconds = time_t(microseconds / 1_000_000)
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "\(microseconds)" }
    func padded(_ number: Int, _ digitCount: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
    }
    let day =
        "\(parts.tm_year + 1900)-\(padded(Int(parts.tm_mon) + 1, 2))-\(padded(Int(parts.tm_mday), 2))"
    let hour = "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2))"
    let second = "\(padded(Int(parts.tm_sec), 2)).\(padded(Int(microseconds % 1_000_000), 6))"
    return "\(day)T\(hour):\(second)Z"
}
