internal import Glibc

/// A clock that something other than the machine moves: what a simulation puts in its place.
package protocol SimulatedTime: AnyObject, Sendable {
    /// Nanoseconds since some moment; they never go back.
    var nanoseconds: UInt64 { get }
    /// The time of day in microseconds since 1970, in UTC.
    var microsecondsSince1970: UInt64 { get }
    /// Returns when the nanoseconds have passed.
    func sleep(nanoseconds: UInt64)
}

/// The clocks of one shard: the machine's own, or those of a simulation.
///
/// Reading the machine's costs one branch more than asking the system, for a build does so often.
package struct TimeSource: Sendable {
    private let simulated: (any SimulatedTime)?

    /// The machine's own clocks.
    package static let system = TimeSource(simulated: nil)

    /// Takes a simulated clock.
    ///
    /// - Parameter simulated: Nil for the machine's own clocks.
    package init(simulated: (any SimulatedTime)?) { self.simulated = simulated }

    /// Monotonic time, in nanoseconds since some moment before the process began.
    package var now: UInt64 { simulated?.nanoseconds ?? MonotonicClock.now }

    /// The time of day in microseconds since 1970, in UTC; it may go back when a clock is set.
    package var microsecondsSince1970: UInt64 {
        if let simulated { return simulated.microsecondsSince1970 }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }

    /// Lets the calling thread sleep for at least the given time, which is below a second.
    package func sleep(nanoseconds: UInt64) {
        if let simulated { return simulated.sleep(nanoseconds: nanoseconds) }
        precondition(nanoseconds < 1_000_000_000, "a sleep of \(nanoseconds) ns")
        var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
        nanosleep(&time, nil)
    }
}
