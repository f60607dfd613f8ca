internal import OmenCore
package import OmenSystem

/// What a shard needs of the machine that it runs on, besides files: clocks, threads, chance and
/// memory.
///
/// A simulation hands in its own, and a file system behind the shard's `Directory`: so it decides
/// what happens to the shard, and when.
package struct Machine: Sendable {
    /// The clocks of everything in the shard.
    package var time: TimeSource
    /// What runs log, checkpoints, checks and builds.
    package var executor: any Executor
    /// Draws numbers that no other process draws, for nonces and names.
    package var random: @Sendable () -> UInt64
    /// Bytes of memory that the system has left; nil when it does not tell.
    package var availableByteCount: @Sendable () -> Int?

    /// Names all of it.
    package init(
        time: TimeSource,
        executor: any Executor,
        random: @escaping @Sendable () -> UInt64,
        availableByteCount: @escaping @Sendable () -> Int?
    ) {
        self.time = time
        self.executor = executor
        self.random = random
        self.availableByteCount = availableByteCount
    }

    /// The machine that this process runs on.
    package static let system = Machine(
        time: .system,
        executor: Threads.shared,
        random: {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        },
        availableByteCount: {
            do throws(OmenError) {
                return try SystemMemory.availableByteCount()
            } catch { return nil }
        }
    )
}
