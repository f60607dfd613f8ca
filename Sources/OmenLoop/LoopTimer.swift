internal import CUV
internal import OmenCore

/// A timer of a loop; fires whether or not anyone holds it, until cancelled.
package final class LoopTimer: LoopHandle {
    private var body: () -> Void
    private let repeats: Bool

    fileprivate init(state: LoopState, repeats: Bool, body: @escaping () -> Void) {
        self.body = body
        self.repeats = repeats
        super.init(state: state, uv_timer_t.self)
    }

    fileprivate func start(after first: UInt64, repeating interval: UInt64) {
        let timer = pointer(as: uv_timer_t.self)
        // Neither can fail: they only fill in memory.
        uv_timer_init(state.uv, timer)
        attach()
        // Without this a long turn's stale time would make the timer fire early.
        uv_update_time(state.uv)
        uv_timer_start(
            timer,
            { handle in
                guard let timer: LoopTimer = LoopHandle.object(handle) else { return }
                timer.fire()
            },
            first,
            interval
        )
    }

    private func fire() {
        if !repeats { beginClose() }
        body()
    }

    /// Never fires again; idempotent, allowed inside its own body.
    package func cancel() { beginClose() }

    override func didClose() { body = {} }
}

extension EventLoop {
    /// Calls `body` once after `delay`, or then again and again.
    ///
    /// - Parameters:
    ///   - delay: Wait before the first call; rounded up to whole milliseconds.
    ///   - interval: Wait between calls, at least 1 ms; nil for one call only.
    ///   - body: What to do.
    /// - Returns: The timer, needed only to cancel it.
    @discardableResult
    package func timer(
        after delay: Duration,
        repeating interval: Duration? = nil,
        _ body: @escaping () -> Void
    ) -> LoopTimer {
        let timer = LoopTimer(state: state, repeats: interval != nil, body: body)
        timer.start(
            after: delay.wholeMilliseconds,
            repeating: interval.map { max(1, $0.wholeMilliseconds) } ?? 0
        )
        return timer
    }

    /// Work to do in slices while nothing more urgent waits.
    ///
    /// - Parameter body: One slice, well below a millisecond; returns whether there is more.
    /// - Returns: The work, not started yet.
    package func idleWork(_ body: @escaping () -> Bool) -> IdleWork {
        IdleWork(state: state, body: body)
    }
}

/// Work done once per turn while the loop handles io in between; see `EventLoop.idleWork`.
package final class IdleWork: LoopHandle {
    private var body: () -> Bool
    package private(set) var isRunning = false

    fileprivate init(state: LoopState, body: @escaping () -> Bool) {
        self.body = body
        super.init(state: state, uv_idle_t.self)
        uv_idle_init(state.uv, pointer(as: uv_idle_t.self))
        attach()
    }

    /// Runs the body from the next turn on, once per turn, until it returns false; idempotent.
    package func start() {
        guard !isClosing, !isRunning else { return }
        isRunning = true
        uv_idle_start(pointer(as: uv_idle_t.self)) { handle in
            guard let work: IdleWork = LoopHandle.object(handle) else { return }
            if !work.body() { work.stop() }
        }
    }

    /// Stops until the next `start()`.
    package func stop() {
        guard isRunning, !isClosing else { return }
        isRunning = false
        uv_idle_stop(pointer(as: uv_idle_t.self))
    }

    /// Stops for good and lets go of the body.
    package func cancel() { beginClose() }

    override func willClose() { isRunning = false }
    override func didClose() { body = { false } }
}

extension Duration {
    /// Milliseconds, rounded up, never negative.
    var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let milliseconds = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? UInt64(Int64.max) : UInt64(product) + UInt64(milliseconds)
    }
}
