internal import OmenCore
internal import OmenStorage
internal import OmenSystem
internal import Synchronization

/// When a build gives way to searches; pure.
///
/// The scheduler does that too late: threads of other processes are compared group by group, where
/// a low priority does not count (autogroups, sched(7)), and are taken off the processor at the
/// next tick, up to 4 ms later. So a build itself rests every fifth of a millisecond while searches
/// come in.
struct BuildPace {
    /// Longest stretch of work between two pauses, in nanoseconds.
    static let stretch: UInt64 = 200_000
    /// A pause, in nanoseconds; the kernel's timers add some 50,000.
    static let pause: UInt64 = 100_000
    /// Nanoseconds after the last search for which more are expected.
    static let memory: UInt64 = 50_000_000

    private var searchCount: Int
    /// No search is expected from then on.
    private var quietFrom: UInt64 = 0
    private var workingSince: UInt64

    init(now: UInt64, searchCount: Int) {
        self.searchCount = searchCount
        workingSince = now
    }

    /// Decides on a pause.
    ///
    /// - Parameters:
    ///   - now: Monotonic time, in nanoseconds.
    ///   - searchCount: Searches so far.
    /// - Returns: Whether it is time for one, while searches come in.
    mutating func shouldPause(now: UInt64, searchCount: Int) -> Bool {
        areSearchesExpected(now: now, searchCount: searchCount)
            && now &- workingSince >= Self.stretch
    }

    /// Whether searches come in.
    mutating func areSearchesExpected(now: UInt64, searchCount: Int) -> Bool {
        if searchCount != self.searchCount {
            self.searchCount = searchCount
            quietFrom = now &+ Self.memory
        }
        return now < quietFrom
    }

    /// Notes the end of a pause.
    mutating func resume(now: UInt64) { workingSince = now }
}

/// Holds a build's thread back while searches come in.
///
/// One build of all shards of the cluster goes on then, so that a search finds a processor.
/// Belongs to the build's thread.
package final class BuildBrake {
    /// Queries of a shard so far.
    final class Searches: Sendable {
        private let value = Atomic<Int>(0)
        var count: Int { value.load(ordering: .relaxed) }
        func add() { value.add(1, ordering: .relaxed) }
    }

    /// Nanoseconds between two looks whether another build's turn has ended.
    private static let turnPollTime: UInt64 = 5_000_000

    let searches: Searches
    /// Nil where there is no turn to wait for, or the file cannot be used.
    private var turnPath: String?
    private var turn: LockFile?
    private var pace: BuildPace
    let time: TimeSource

    /// - Parameters:
    ///   - searches: Of the shard; every shard of a cluster gets every search.
    ///   - turnPath: The lock file of all builds of the cluster; nil for no such thing.
    ///   - time: The clocks that it reads, and sleeps by.
    init(_ searches: Searches, turnPath: String?, time: TimeSource) {
        self.searches = searches
        self.turnPath = turnPath
        self.time = time
        pace = BuildPace(now: time.now, searchCount: searches.count)
    }

    /// Pauses if it is time to; call it every few microseconds where that is possible.
    ///
    /// - Parameters:
    ///   - rests: Whether to pause also when it is this build's turn.
    ///   - shouldStop: Ends the waiting for the turn.
    func breathe(rests: Bool, shouldStop: () -> Bool) {
        guard isTime else { return }
        if takeTurn() {
            if rests { time.sleep(nanoseconds: BuildPace.pause) }
        } else {
            while !shouldStop(), isTime, !takeTurn() { waitForTurn() }
        }
        pace.resume(now: time.now)
    }

    /// Whether searches come in.
    func areSearchesExpected() -> Bool {
        pace.areSearchesExpected(now: time.now, searchCount: searches.count)
    }

    /// Sleeps until it is time to look again whether a turn has ended.
    func waitForTurn() { time.sleep(nanoseconds: Self.turnPollTime) }

    private var isTime: Bool {
        pace.shouldPause(now: time.now, searchCount: searches.count)
    }

    /// - Returns: False while another build has the turn.
    private func takeTurn() -> Bool {
        guard turn == nil, let turnPath else { return true }
        do throws(OmenError) {
            turn = try LockFile.acquire(turnPath)
        } catch {
            if error.code == .locked { return false }
            // Without the file everything still works, only less smoothly.
            self.turnPath = nil
        }
        return true
    }
}
