internal import OmenCore
internal import OmenSystem

/// Drives a shard's engine through time: the one place that knows how often what is due, and how
/// long a slice of background work may take.
///
/// The owner of the engine calls `drain` when it was woken, `endTurn` after everything that arrived
/// together, `tick` every `tickInterval` or more often, and `work` while nothing else is to do. The
/// driver belongs to the same thread as the engine.
package final class ShardDriver {
    /// The shard.
    package let engine: ShardEngine
    /// Longest time between two calls of `tick`.
    package let tickInterval: Duration

    /// Longest time that one slice of linking and the like may take, in nanoseconds, before others
    /// are let in.
    private static let workSlice: UInt64 = 500_000
    /// Steps of linking, or rows caught up, between two looks at the clock.
    private static let workStep = 8
    /// Marks of what is durable are written this long after the last sync, at most.
    private static let markInterval = Duration.milliseconds(100)

    private let time: TimeSource
    private var sync: Schedule
    private var maintenance: Schedule
    private var telling: Schedule

    /// What is to be done again and again.
    private struct Schedule {
        let interval: UInt64
        private var next: UInt64

        init(every interval: Duration, from now: UInt64) {
            self.interval = UInt64(max(1, interval / .nanoseconds(1)))
            next = now + self.interval
        }

        /// Whether it is time; then the next time is one interval later.
        ///
        /// An eighth of the interval early is on time: a timer that is set to the interval may fire
        /// some microseconds before it is over, and the next look would be a whole one later.
        mutating func isDue(_ now: UInt64) -> Bool {
            guard now + interval / 8 >= next else { return false }
            // After a long pause once is enough.
            next = max(next + interval, now + interval / 2)
            return true
        }
    }

    /// Takes an engine that nobody else drives.
    ///
    /// - Parameter engine: Just opened.
    package init(_ engine: ShardEngine) {
        self.engine = engine
        time = engine.machine.time
        var syncInterval = Self.markInterval
        if case .interval(let milliseconds) = engine.core.durability {
            syncInterval = .milliseconds(milliseconds)
        }
        let now = time.now
        sync = Schedule(every: syncInterval, from: now)
        maintenance = Schedule(every: RebuildPolicy.interval, from: now)
        telling = Schedule(every: Limits.progressInterval, from: now)
        tickInterval = min(syncInterval, RebuildPolicy.interval)
    }

    /// Takes in what other threads have finished; call it after the engine's `wake`.
    package func drain() { engine.drainCompletions() }

    /// Commits what arrived since the last call as one batch.
    package func endTurn() { engine.turnEnded() }

    /// Does what the clock says is due: syncs and marks, looks for collections to build, and tells
    /// how far the shard has come.
    package func tick() {
        let now = time.now
        if sync.isDue(now) { engine.syncDue() }
        if maintenance.isDue(now) { engine.maintain() }
        if telling.isDue(now) { engine.tellProgress() }
    }

    /// Whether `work` would do something.
    package var hasWork: Bool { engine.hasWork }

    /// Does one slice of what can wait: links rows, and ends builds.
    ///
    /// - Parameter isWanted: Tells that something else waits for the engine; ends the slice early.
    /// - Returns: Whether there may be more to do.
    package func work(unless isWanted: () -> Bool = { false }) -> Bool {
        let start = time.now
        repeat {
            if !engine.work(atMost: Self.workStep) { return false }
        } while !isWanted() && time.now - start < Self.workSlice
        return true
    }
}
