internal import Glibc

/// How much this process may compute at once.
package enum Processors {
    /// Threads that can run at the same time, at least 1.
    ///
    /// The least of the processors that are there, of those that it may use (proc(5),
    /// Cpus_allowed, which may name some that are not there), and of what its control groups grant,
    /// rounded up (cgroups(7), version 2, cpu.max).
    package static var usableCount: Int {
        let status = KernelText.of("/proc/self/status") ?? ""
        let online = Int(exactly: sysconf(Int32(_SC_NPROCESSORS_ONLN))) ?? 1
        let quotas = KernelText.groupPaths.compactMap { path in
            KernelText.of("\(path)/cpu.max").flatMap(quota)
        }
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

    /// Processors' worth of time that a group is granted; nil without a limit.
    static func quota(_ text: String) -> Int? {
        let words = text.split(whereSeparator: \.isWhitespace).map { Int($0) }
        guard words.count == 2, let granted = words[0], let period = words[1], granted > 0,
            period > 0
        else { return nil }
        return granted / period + (granted % period > 0 ? 1 : 0)
    }
}
