internal import Glibc
package import OmenCore

/// What the system knows of this process's memory.
package enum ProcessMemory {
    /// Bytes of this process that are in RAM, shared file pages included (proc(5), statm).
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read.
    package static func residentByteCount() throws(OmenError) -> Int {
        let fields = try statistics()
        guard fields.count > 1 else { throw OmenError(.ioFailure, "\(path) has no second number") }
        return fields[1] * Int(getpagesize())
    }

    /// Bytes of this process that are in RAM and nowhere else: without pages of files, which the
    /// system takes back when it needs room (proc(5), statm).
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read.
    package static func ownByteCount() throws(OmenError) -> Int {
        let fields = try statistics()
        guard fields.count > 2 else { throw OmenError(.ioFailure, "\(path) has no third number") }
        return max(0, fields[1] - fields[2]) * Int(getpagesize())
    }

    /// Bytes of addresses that are mapped (proc(5), statm).
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read.
    static func addressByteCount() throws(OmenError) -> Int {
        let fields = try statistics()
        guard let pages = fields.first else {
            throw OmenError(.ioFailure, "\(path) has no first number")
        }
        return pages * Int(getpagesize())
    }

    private static let path = "/proc/self/statm"

    private static func statistics() throws(OmenError) -> [Int] {
        guard let text = KernelText.of(path) else {
            throw OmenError(.ioFailure, "cannot read \(path)")
        }
        return text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    }
}
