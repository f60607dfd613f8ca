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
    /// - Returns: Whether the worker has died too often to be started again.
    mutating func noteDeath(
        at now: UInt64,
        readyAt: UInt64?,
        deathCountMax: Int,
        timing: CoordinatorCore.Timing
    ) -> Bool {
        if let readyAt, now - readyAt >= timing.stabilityTime { clear() }
        deaths.append(now)
        if deaths.count > deathCountMax { deaths.removeFirst() }
        guard deaths.count == deathCountMax, let first = deaths.first else { return false }
        return now - first <= timing.restartWindow
    }

    /// Twice the last wait, within the limits of `timing`.
    mutating func nextWait(_ timing: CoordinatorCore.Timing) -> UInt64 {
        let doubled = wait.saturatingAdd(wait)
        wait = min(max(doubled, timing.restartBackoffMin), timing.restartBackoffMax)
        return wait
    }

    /// Forgets all deaths.
    mutating func clear() { self = RestartRecord() }
}
