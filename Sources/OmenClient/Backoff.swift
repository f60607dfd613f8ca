internal import OmenSystem
internal import Glibc
internal import OmenCore

/// Waits between tries: doubling, with jitter so that many clients do not come back at once.
struct Backoff {
    private var next = Self.first
    private static let first = Duration.milliseconds(10)
    private static let longest = Duration.seconds(1)

    /// The wait before the next try after `error`.
    ///
    /// At least as long as the refusal asks for, and up to twice that: otherwise all who were
    /// refused together would come back together.
    mutating func wait(after error: OmenError? = nil) -> Duration {
        defer { next = min(next * 2, Self.longest) }
        let asked = Duration.milliseconds(min(error?.retryAfterMilliseconds ?? 0, Self.askedMax))
        return max(next * Double.random(in: 0.5...1), asked * Double.random(in: 1...2))
    }

    /// Longest wait that is taken from a refusal, in milliseconds.
    private static let askedMax: UInt32 = 10_000

    mutating func reset() { next = Self.first }
}

/// Blocks the thread; for a client that is blocking by design.
func sleep(until instant: ContinuousClock.Instant) {
    while true {
        let left = ContinuousClock.now.duration(to: instant)
        if left <= .zero { return }
        // Longer sleeps in parts: usleep takes less than a second.
        usleep(UInt32(min(left / .microseconds(1), 500_000).rounded(.up)))
    }
}

/// The same for a caller that may be stopped.
///
/// - Returns: False, early, when it was.
func sleepUnlessStopped(until instant: ContinuousClock.Instant) -> Bool {
    guard let stop = Stop.current else {
        sleep(until: instant)
        return true
    }
    while ContinuousClock.now < instant {
        if stop.isDue { return false }
        sleep(until: min(instant, .now + .milliseconds(Stop.lookInterval)))
    }
    return true
}

extension OmenError {
    /// Whether a write that failed so may be sent again under the same key.
    var isRetryable: Bool {
        switch code {
        case .unavailable, .unknownOutcome, .resourceExhausted: true
        case .badRequest, .notFound, .alreadyExists, .corrupt, .locked, .unsupportedVersion,
            .ioFailure, .protocolViolation, .stopped:
            false
        }
    }
}
