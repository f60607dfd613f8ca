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
        guard let meminfo = text(of: "/proc/meminfo"),
            let machine = field("MemAvailable", of: meminfo)
        else { throw OmenError(.ioFailure, "/proc/meminfo does not tell MemAvailable") }
        var available = machine * 1024
        for path in groupPaths(text(of: "/proc/self/cgroup") ?? "") {
            guard let limit = text(of: "\(path)/memory.max").flatMap(number),
                let used = text(of: "\(path)/memory.current").flatMap(number)
            else { continue }
            let statistics = text(of: "\(path)/memory.stat") ?? ""
            // Pages of files count as used, but go when others need the memory.
            let cached =
                (field("inactive_file", of: statistics) ?? 0)
                + (field("active_file", of: statistics) ?? 0)
            available = min(available, max(0, limit - max(0, used - cached)))
        }
        if let variable = getenv(limitVariable) {
            let value = String(cString: variable)
            guard let limit = Int(value), limit > 0 else {
                throw OmenError(.badRequest, "\(limitVariable) is \"\(value)\", expected bytes")
            }
            let resident = try ProcessMemory.residentByteCount()
            available = min(available, max(0, limit - resident))
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

    /// The directories of a process's control group and those above it, from its /proc/PID/cgroup.
    static func groupPaths(_ text: String) -> [String] {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return [] }
        var paths = ["/sys/fs/cgroup"]
        for part in line.dropFirst(4).split(separator: "/") where part != ".." {
            paths.append("\(paths[paths.count - 1])/\(part)")
        }
        return paths
    }

    /// The number behind a name at the start of a line, with or without a colon.
    static func field(_ name: String, of text: String) -> Int? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            if words.count > 1, words[0] == name { return Int(words[1]) }
        }
        return nil
    }

    /// The whole text as a number; nil for "max".
    private static func number(_ text: String) -> Int? {
        Int(text.split(separator: "\n").first ?? "")
    }

    /// A small file of the kernel's; nil when there is none.
    private static func text(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
