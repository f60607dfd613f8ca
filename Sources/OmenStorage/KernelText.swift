internal import Glibc

/// Small files in which the kernel tells about the system.
enum KernelText {
    /// The directories of this process's control group and those above it (cgroups(7), version 2).
    static var groupPaths: [String] { groupPaths(of("/proc/self/cgroup") ?? "") }

    /// The directories of a process's control group and those above it, from its /proc/PID/cgroup.
    static func groupPaths(_ text: String) -> [String] {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return [] }
        var paths = ["/sys/fs/cgroup"]
        let parts = line.dropFirst(4).split(separator: "/")
        // A group outside of what this process sees of the tree.
        if parts.contains("..") { return paths }
        for part in parts {
            paths.append("\(paths[paths.count - 1])/\(part)")
        }
        return paths
    }

    /// The number behind a name at the start of a line, with or without a colon.
    static func field(_ name: String, of text: String) -> Int? {
        word(name, of: text).flatMap { Int($0) }
    }

    /// The word behind a name at the start of a line, with or without a colon.
    static func word(_ name: String, of text: String) -> Substring? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            if words.count > 1, words[0] == name { return words[1] }
        }
        return nil
    }

    /// The text of one; nil when there is none.
    static func of(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
