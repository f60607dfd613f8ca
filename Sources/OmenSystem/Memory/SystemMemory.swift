internal import Glibc
package import OmenCore

/// How much memory the system has left for this process.
package enum SystemMemory {
    /// Names a limit in bytes for each process, below what the system would give.
    package static let limitVariable = "OMENDB_MEMORY_LIMIT"

    /// Bytes that may be taken before the system has to swap or kill.
    ///
    /// The least of what is available on the machine (proc(5), MemAvailable), in each control group
    /// above the process (cgroups(7), both versions), and below the limit of the environment.
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read; `.badRequest` for a limit that is no
    ///   number.
    package static func availableByteCount() throws(OmenError) -> Int {
        guard let meminfo = KernelText.of("/proc/meminfo"),
            let machine = KernelText.field("MemAvailable", of: meminfo)
        else { throw OmenError(.ioFailure, "/proc/meminfo does not tell MemAvailable") }
        var available = machine * 1024
        let groups = ControlGroups.own
        for group in groups.unified.compactMap(unifiedGroup) {
            available = min(available, group)
        }
        let directories = groups.directories(of: "memory")
        for (index, directory) in directories.enumerated() {
            let isOwn = index == directories.count - 1
            if let group = group(directory, isOwn: isOwn) { available = min(available, group) }
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

    /// Bytes left in a group of version 2; nil without a limit.
    static func unifiedGroup(_ path: String) -> Int? {
        guard let limit = KernelText.of("\(path)/memory.max").flatMap(number),
            let used = KernelText.of("\(path)/memory.current").flatMap(number)
        else { return nil }
        let statistics = KernelText.of("\(path)/memory.stat") ?? ""
        return left(limit, used, statistics, prefix: "")
    }

    /// Bytes left in a group of version 1; nil where it limits nothing.
    ///
    /// - Parameters:
    ///   - path: Its directory.
    ///   - isOwn: Whether the process is in this very group. Groups above count only where they
    ///     count what is in the groups below.
    /// - Returns: Bytes.
    static func group(_ path: String, isOwn: Bool) -> Int? {
        guard var limit = KernelText.of("\(path)/memory.limit_in_bytes").flatMap(number),
            let used = KernelText.of("\(path)/memory.usage_in_bytes").flatMap(number)
        else { return nil }
        if !isOwn, KernelText.of("\(path)/memory.use_hierarchy").flatMap(number) == 0 {
            return nil
        }
        let statistics = KernelText.of("\(path)/memory.stat") ?? ""
        // Of groups above that are not seen from here, too.
        if isOwn, let inherited = KernelText.field("hierarchical_memory_limit", of: statistics) {
            limit = min(limit, inherited)
        }
        return left(limit, used, statistics, prefix: "total_")
    }

    private static func left(
        _ limit: Int,
        _ used: Int,
        _ statistics: String,
        prefix: String
    ) -> Int {
        // Pages of files count as used, but go when others need the memory.
        let cached =
            (KernelText.field("\(prefix)inactive_file", of: statistics) ?? 0)
            + (KernelText.field("\(prefix)active_file", of: statistics) ?? 0)
        return max(0, limit - max(0, used - cached))
    }

    /// Bytes of addresses that may still be mapped, less what is kept for messages, threads and
    /// files on their way; nil without a limit (`AddressSpace`).
    ///
    /// - Throws: `.ioFailure` when /proc cannot be read.
    package static func addressByteCountLeft() throws(OmenError) -> Int? {
        guard let limit = AddressSpace.limit else { return nil }
        let reserve = min(Limits.addressReserveByteCount, limit / 8)
        return limit - (try ProcessMemory.addressByteCount()) - reserve
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
    ///
    /// Without a limit version 1 tells a number that no machine has.
    private static func number(_ text: String) -> Int? {
        Int(text.split(separator: "\n").first ?? "")
    }
}
