internal import Glibc

/// The clock that never goes back and does not know the time of day (clock_gettime(2)).
package enum MonotonicClock {
    /// Nanoseconds since some moment before the process began.
    package static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The moment that lies `milliseconds` after now; at most a day.
    package static func after(milliseconds: Int) -> UInt64 {
        now + UInt64(min(max(0, milliseconds), 86_400_000)) * 1_000_000
    }
}
