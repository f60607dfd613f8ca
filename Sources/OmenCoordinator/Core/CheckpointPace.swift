internal import OmenCore

/// How often clients' checkpoints are begun: some at once, then with pauses in proportion to what
/// they take, because they take processors and disk from searches.
struct CheckpointPace: Equatable, Sendable {
    /// Checkpoints that may begin now; grows with time, up to the burst.
    private var allowed = Limits.checkpointBurst
    /// When `allowed` last grew, in nanoseconds of the core's clock.
    private var refilledAt: UInt64 = 0
    /// What the last one took, in nanoseconds.
    private var duration: UInt64 = 0

    /// Lets `allowed` grow by the time that has passed.
    ///
    /// - Parameter now: The core's clock, in nanoseconds.
    mutating func refill(now: UInt64) {
        let passed = Double(now - min(now, refilledAt))
        refilledAt = now
        let pause = Double(duration) * Limits.checkpointPause
        allowed = min(Limits.checkpointBurst, pause > 0 ? allowed + passed / pause : allowed + 1)
    }

    /// Begins a checkpoint, if one may begin.
    ///
    /// - Returns: Whether it may; if not, the client is told to come back.
    mutating func take() -> Bool {
        guard allowed >= 1 else { return false }
        allowed -= 1
        return true
    }

    /// Notes what a checkpoint took, from its beginning to the last shard's answer.
    mutating func took(_ nanoseconds: UInt64) { duration = nanoseconds }
}
