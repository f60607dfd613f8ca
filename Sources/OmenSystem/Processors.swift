internal import Glibc

/// How much this process may compute at once.
package enum Processors {
    /// Threads that can run at the same time, at least 1.
    ///
    /// The least of the processors that are there, of those that it may use (proc(5),
    /// Cpus_allowed, which may name some that are not there), and of what its control groups grant,
    /// rounded up (cgroups(7): cpu.max of version 2, cpu.cfs_quota_us of version 1).
    package static var usableCount: Int {
        let status = KernelText.of("/proc/self/status") ?? ""
        let online = Int(exactly: sysconf(Int32(_SC_NPROCESSORS_ONLN))) ?? 1
        let groups = ControlGroups.own
        let quotas =
            groups.unified.compactMap { KernelText.of("\($0)/cpu.max").flatMap(quota) }
            + groups.directories(of: "cpu").compactMap(oldQuota)
        return max(1, quotas.reduce(min(allowedCount(status) ?? online, online), min))
    }

    /// Bits of the mask in a process's status, which is written in hexadecimal.
    static func allowedCount(_ status: String) -> Int? {
        guard let mask = KernelText.word("Cpus_allowed", of: status) else { return nil }
        var count = 0
        for digit in mask where digit != "," {
            guard let value = digit.hexDigitValue else { return nil }
            count += value.nonzeroBitCount
        }
        return count
    }

    /// The same for the directory of a group of version 1.
    static func oldQuota(_ path: String) -> Int? {
        guard let granted = KernelText.of("\(path)/cpu.cfs_quota_us"),
            let period = KernelText.of("\(path)/cpu.cfs_period_us")
        else { return nil }
        // -1 without a limit.
        return quota("\(granted) \(period)")
    }

    /// Processors' worth of time that a group is granted; nil without a limit.
    static func quota(_ text: String) -> Int? {
        let words = text.split(whereSeparator: \.isWhitespace).map { Int($0) }
        guard words.count == 2, let granted = words[0], let period = words[1], granted > 0,
            period > 0
        else { return nil }
        return granted / period + (granted % period > 0 ? 1 : 0)
    }
}
