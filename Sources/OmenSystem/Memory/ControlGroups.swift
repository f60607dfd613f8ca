/// The control groups of a process, of both versions (cgroups(7)), as directories in which their
/// limits stand.
///
/// Version 2 has one tree for everything. Version 1 has one for each controller, mounted wherever
/// the system's administrator or a container's maker put it; both may be in use beside each other.
package struct ControlGroups {
    /// A tree that is mounted, and the group in it.
    private struct Mount {
        var isUnified: Bool
        /// What of the tree is seen at `point`.
        var root: String
        var point: String
        var options: [Substring]
    }

    private let mounts: [Mount]
    /// The path of the process's group for each controller of version 1; the empty name is for
    /// version 2.
    private let paths: [String: String]

    /// Those of this process.
    package static var own: ControlGroups {
        ControlGroups(
            cgroup: KernelText.of("/proc/self/cgroup") ?? "",
            mountinfo: KernelText.of("/proc/self/mountinfo") ?? ""
        )
    }

    /// - Parameters:
    ///   - cgroup: What /proc/PID/cgroup says.
    ///   - mountinfo: What /proc/PID/mountinfo says (proc(5)).
    init(cgroup: String, mountinfo: String) {
        var paths: [String: String] = [:]
        for line in cgroup.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            for name in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
                paths[String(name)] = String(parts[2])
            }
        }
        self.paths = paths
        mounts = mountinfo.split(separator: "\n").compactMap(Self.mount)
    }

    private static func mount(_ line: Substring) -> Mount? {
        let words = line.split(separator: " ")
        // Behind a hyphen: the kind, the source and the options of the file system.
        guard let end = words.firstIndex(of: "-"), end >= 6, words.count > end + 3 else {
            return nil
        }
        let kind = words[end + 1]
        guard kind == "cgroup" || kind == "cgroup2" else { return nil }
        return Mount(
            isUnified: kind == "cgroup2",
            root: unescaped(words[3]),
            point: unescaped(words[4]),
            options: words[end + 3].split(separator: ",")
        )
    }

    /// Blanks and the like are written as three octal digits.
    private static func unescaped(_ word: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(word.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The directories of version 2, from the root of what is seen down to the group.
    var unified: [String] {
        directories(of: paths[""], mounts.filter(\.isUnified))
    }

    /// The directories of a controller of version 1, in the same order.
    package func directories(of controller: String) -> [String] {
        directories(
            of: paths[controller],
            mounts.filter { mount in
                !mount.isUnified && mount.options.contains { $0 == controller }
            }
        )
    }

    private func directories(of path: String?, _ mounts: [Mount]) -> [String] {
        guard let path, let first = mounts.first else { return [] }
        let parts = path.split(separator: "/")
        let mount = mounts.first { mount in
            !parts.contains("..") && parts.starts(with: mount.root.split(separator: "/"))
        }
        // A group outside of what this process sees of the tree: its limits are at the top.
        guard let mount else { return [first.point] }
        var directories = [mount.point]
        for part in parts.dropFirst(mount.root.split(separator: "/").count) {
            directories.append("\(directories[directories.count - 1])/\(part)")
        }
        return directories
    }
}
