internal import Glibc

/// Lines for the operator on standard error, one `write(2)` each so that processes sharing the
/// file do not mix theirs.
package enum LogLine {
    /// Writes `2026-11-21T10:00:00Z who: text`.
    ///
    /// A log that cannot be written is not worth failing for, so the result is ignored.
    package static func write(_ who: String, _ text: String) {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        let line = Array("\(date)T\(clock)Z \(who): \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
