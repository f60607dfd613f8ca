/// How often a shard's worker died lately, and how long the next start waits for that.
struct RestartRecord: Equatable, Sendable {
    /// Times of the latest deaths, oldest first.
    private var deaths: [UInt64] = []
    /// The wait before the last start after a death, in nanoseconds; 0 with a clean record.
    private var wait: UInt64 = 0

    /// Counts a death.
    ///
    /// - Parameters:
    ///   - now: The time of the death.
    ///   - readyAt: When the process had become ready; nil when it never was.
    ///   - deathCountMax: The deaths within the window after which a shard is given up.
    ///   - timing: The window, and the time after which a worker has a clean record.
    /// - Returns: How long the next start waits, in nanoseconds; nil when the worker has died too
    ///   often to be started again.
    mutating func waitAfterDeath(
        at now: UInt64,
        readyAt: UInt64?,
        deathCountMax: Int,
        timing: CoordinatorCore.Timing
    ) -> UInt64? {
        if let readyAt, now - readyAt >= timing.stabilityTime { clear() }
        deaths.append(now)
        if deaths.count > deathCountMax { deaths.removeFirst() }
        if deaths.count == deathCountMax, let first = deaths.first,
            now - first <= timing.restartWindow
        {
            return nil
        }
        return nextWait(timing)
    }

    /// Tells how long the next start waits after one that made no process, which is no death.
    ///
    /// - Parameter timing: The shortest and the longest wait.
    /// - Returns: Twice the last wait, within these limits, in nanoseconds.
    mutating func nextWait(_ timing: CoordinatorCore.Timing) -> UInt64 {
        let doubled = wait.saturatingAdd(wait)
        wait = min(max(doubled, timing.restartBackoffMin), timing.restartBackoffMax)
        return wait
    }

    /// Forgets all deaths.
    mutating func clear() { self = RestartRecord() }
}
