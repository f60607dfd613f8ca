internal import OmenCore

/// How often clients' checkpoints are begun: some at once, then with pauses in proportion to what
/// they take, because they take processors and disk from searches.
struct CheckpointPace: Equatable, Sendable {
    private var allowed = Limits.checkpointBurst
    private var refilledAt: UInt64 = 0
    /// What the last one took, in nanoseconds.
    private var duration: UInt64 = 0

    mutating func refill(now: UInt64) {
        let passed = Double(now - min(now, refilledAt))
        refilledAt = now
        let pause = Double(duration) * Limits.checkpointPause
        allowed = min(Limits.checkpointBurst, pause > 0 ? allowed + passed / pause : allowed + 1)
    }

    mutating func take() -> Bool {
        guard allowed >= 1 else { return false }
        allowed -= 1
        return true
    }

    mutating func took(_ nanoseconds: UInt64) { duration = nanoseconds }
}
