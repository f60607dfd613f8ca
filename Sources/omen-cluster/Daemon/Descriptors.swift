internal import Glibc
internal import OmenCore
internal import OmenStorage

/// How many descriptors this process may have open, and whether they suffice for a cluster.
///
/// Asked before anything is begun: a cluster that runs out of them later starts no workers and
/// cannot say why.
enum Descriptors {
    /// Standard input, output and error.
    private static let standardCount = 3
    /// Of the coordinator itself: its lock, its loop, its listener, a file and its directory.
    private static let coordinatorCount = 12
    /// A socket to each worker stays open.
    private static let perShardCount = 1
    /// While a worker is started: its end of that socket, and a pipe that tells of failures.
    private static let startingCount = 4
    /// Clients that can connect in any case, a `status` and a `stop` among them.
    private static let clientCountMin = 8
    /// Connections that are taken beyond the limit for a moment, to say so.
    private static let refusedCount = 4
    /// Numbers that are tried where the system does not list what is open.
    private static let triedCount = 4096
    /// Of a worker while it writes a checkpoint; measured as 17.
    private static let workerCount = 28

    /// Raises what is allowed as far as the system lets every process do that.
    ///
    /// - Returns: The number allowed now.
    static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(resource, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Makes sure that a cluster of `shardCount` can run.
    ///
    /// - Returns: Client connections for which there are descriptors.
    /// - Throws: `.resourceExhausted` saying how many are needed and allowed.
    @discardableResult
    static func check(shardCount: Int) throws(OmenError) -> Int {
        let allowed = raiseLimit()
        let kept = standardCount + inheritedCount(allowed) + coordinatorCount
        let withShards = kept + shardCount * perShardCount + startingCount
        let needed = max(workerCount, withShards + clientCountMin)
        guard allowed >= needed else {
            throw OmenError(
                .resourceExhausted,
                "a cluster of \(shardCount) \(shardCount == 1 ? "shard" : "shards") needs \(needed) file descriptors for each process, \(allowed) are allowed: raise the limit (ulimit -n)"
            )
        }
        return min(Limits.connectionCountMax, allowed - withShards - refusedCount)
    }

    private static var resource: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_NOFILE.rawValue) }

    /// Descriptors that this process inherited; a new process inherits them as well.
    ///
    /// Where the system does not list them, the lowest numbers are tried, which is where they are.
    private static func inheritedCount(_ allowed: Int) -> Int {
        let listed = try? Directory("/proc/self/fd").names().compactMap { Int32($0) }
        let candidates = listed ?? Array(0..<Int32(min(allowed, triedCount)))
        return candidates.count { descriptor in
            guard descriptor >= standardCount else { return false }
            let flags = fcntl(descriptor, F_GETFD)
            return flags >= 0 && flags & FD_CLOEXEC == 0
        }
    }
}
