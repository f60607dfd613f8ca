internal import CUV
internal import Glibc
package import OmenCore
internal import OmenSystem

/// One thread's event loop: sockets, timers, signals and children, over libuv.
///
/// Not thread-safe: everything but `LoopWakeup.signal` belongs to the thread that runs the loop.
/// One turn is: due timers, idle work, `onTurnEnd` bodies, one write per connection that has
/// something queued, then sleep until something happens and handle it.
///
/// Making a loop ignores SIGPIPE in the whole process: a closed peer is seen as an error instead.
package final class EventLoop {
    let state = LoopState()
    private var isClosed = false

    /// - Throws: `.ioFailure` when the system gives no descriptors for it.
    package init() throws(OmenError) {
        signal(SIGPIPE, SIG_IGN)
        do throws(OmenError) {
            try checkUV(uv_loop_init(state.uv), "cannot make an event loop")
        } catch {
            isClosed = true
            throw error
        }
        let turnEnd = TurnEnd(state: state)
        turnEnd.start()
    }

    deinit { close() }

    /// Nanoseconds of the monotonic clock; unrelated to the time of day.
    package var now: UInt64 { MonotonicClock.now }

    /// Runs turns until `stop()`, or until nothing is left that could wake the loop.
    ///
    /// What was queued on connections is offered to the system once more before this returns.
    package func run() {
        precondition(!isClosed, "the loop is closed")
        uv_run(state.uv, UV_RUN_DEFAULT)
        TurnEnd.flush(state)
    }

    /// Runs one turn without sleeping.
    ///
    /// - Returns: Whether something is left that could wake the loop.
    @discardableResult
    package func runOnce() -> Bool {
        precondition(!isClosed, "the loop is closed")
        return uv_run(state.uv, UV_RUN_NOWAIT) != 0
    }

    /// Makes `run()` return after the present turn.
    package func stop() { uv_stop(state.uv) }

    /// Calls `body` in every turn before the loop sleeps, in the order of registration.
    ///
    /// What it writes to connections still goes out in the same turn.
    package func onTurnEnd(_ body: @escaping () -> Void) { state.turnEndBodies.append(body) }

    /// Makes the loop begin its next turn without sleeping, for work that was left for it.
    package func beginNextTurnAtOnce() { state.hasWorkLeft = true }

    /// Closes every handle without calling anyone back and frees the loop; idempotent.
    ///
    /// Needed where closures given to the loop hold the loop itself, else done when it goes away.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        state.isTearingDown = true
        state.turnEndBodies = []
        uv_walk(
            state.uv,
            { handle, _ in
                let object: LoopHandle? = LoopHandle.object(handle)
                object?.beginClose()
            },
            nil
        )
        // Every handle is closing, so this returns as soon as the close callbacks have run.
        uv_run(state.uv, UV_RUN_DEFAULT)
        state.unflushed = []
        let result = uv_loop_close(state.uv)
        precondition(result == 0, "event loop still in use: \(uvMessage(result))")
    }
}

/// The handle that runs at the end of every turn.
private final class TurnEnd: LoopHandle {
    /// Keeps the loop from sleeping while something is left to flush.
    private let again: SleepGuard

    init(state: LoopState) {
        again = SleepGuard(state: state)
        super.init(state: state, uv_prepare_t.self)
    }

    func start() {
        // These two cannot fail: they only fill in memory (uv_prepare_init, uv_prepare_start).
        uv_prepare_init(state.uv, pointer(as: uv_prepare_t.self))
        attach()
        again.attachIdle()
        uv_prepare_start(pointer(as: uv_prepare_t.self)) { handle in
            guard let turnEnd: TurnEnd = LoopHandle.object(handle) else { return }
            turnEnd.state.hasWorkLeft = false
            for body in turnEnd.state.turnEndBodies { body() }
            TurnEnd.flush(turnEnd.state)
            let isBusy = turnEnd.state.hasWorkLeft || !turnEnd.state.unflushed.isEmpty
            if isBusy { turnEnd.again.start() }
        }
        uv_unref(base)
    }

    /// One write for each connection that has something queued.
    ///
    /// Whatever is queued meanwhile waits for the next turn, so that nobody starves the rest.
    static func flush(_ state: LoopState) {
        let connections = state.unflushed
        state.unflushed = []
        for connection in connections { connection.flush() }
    }
}

/// An idle handle that runs for one turn: with one active the loop polls without sleeping.
private final class SleepGuard: LoopHandle {
    init(state: LoopState) { super.init(state: state, uv_idle_t.self) }

    func attachIdle() {
        uv_idle_init(state.uv, pointer(as: uv_idle_t.self))
        attach()
    }

    func start() {
        uv_idle_start(pointer(as: uv_idle_t.self)) { handle in uv_idle_stop(handle) }
    }
}
