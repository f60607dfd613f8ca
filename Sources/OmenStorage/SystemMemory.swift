internal import Glibc
package import OmenCore

/// How much memory the system has left for this process.
package enum SystemMemory {
    /// Names a limit in bytes for each process, below what the system would give.
    package static let limitVariable = "OMENDB_MEMORY_LIMIT"

    /// Bytes that may be taken before the system has to swap or kill.
    ///
    /// The least of what is available on the machine (proc(5), MemAvailable), in each control group
    /// above the process (cgroups(7), version 2), and below the limit that the environment names.
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read; `.badRequest` for a limit that is no
    ///   number.
    package static func availableByteCount() throws(OmenError) -> Int {
        guard let meminfo = KernelText.of("/proc/meminfo"),
            let machine = KernelText.field("MemAvailable", of: meminfo)
        else { throw OmenError(.ioFailure, "/proc/meminfo does not tell MemAvailable") }
        var available = machine * 1024
        for path in KernelText.groupPaths {
            guard let limit = KernelText.of("\(path)/memory.max").flatMap(number),
                let used = KernelText.of("\(path)/memory.current").flatMap(number)
            else { continue }
            let statistics = KernelText.of("\(path)/memory.stat") ?? ""
            // Pages of files count as used, but go when others need the memory.
            let cached =
                (KernelText.field("inactive_file", of: statistics) ?? 0)
                + (KernelText.field("active_file", of: statistics) ?? 0)
            available = min(available, max(0, limit - max(0, used - cached)))
        }
        if let variable = getenv(limitVariable) {
            let value = String(cString: variable)
            guard let limit = Int(value), limit > 0 else {
                throw OmenError(.badRequest, "\(limitVariable) is \"\(value)\", expected bytes")
            }
            available = min(available, max(0, limit - (try ProcessMemory.ownByteCount())))
        }
        return available
    }

    /// Refuses what would not fit into memory.
    ///
    /// - Parameters:
    ///   - needed: Bytes.
    ///   - available: Bytes, from `availableByteCount`.
    ///   - what: Begins the message: who needs them.
    /// - Throws: `.resourceExhausted` with both numbers.
    package static func require(
        _ needed: Int,
        available: Int,
        for what: String
    ) throws(OmenError) {
        guard needed > available else { return }
        throw OmenError(
            .resourceExhausted,
            "\(what) needs \(needed) bytes of memory, \(available) are available"
        )
    }

    /// The whole text as a number; nil for "max".
    private static func number(_ text: String) -> Int? {
        Int(text.split(separator: "\n").first ?? "")
    }
}
