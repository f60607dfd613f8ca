internal import CUV
package import OmenCore
internal import Synchronization

/// Wakes a loop from any thread.
///
/// Signals coalesce: after any number of them the body runs at least once, so what there is to do
/// must be in a queue. A signal after the loop is gone does nothing.
package final class LoopWakeup: Sendable {
    /// The handle's address, nil from the moment it closes; libuv allows only `uv_async_send` from
    /// other threads, and only while the handle is open.
    private let handle = Mutex<AsyncHandle?>(nil)

    fileprivate init() {}

    fileprivate func open(_ pointer: UnsafeMutablePointer<uv_async_t>) {
        let opened = AsyncHandle(pointer: pointer)
        handle.withLock { $0 = opened }
    }

    fileprivate func close() { handle.withLock { $0 = nil } }

    /// Makes the loop call the body soon; allowed on every thread.
    package func signal() {
        handle.withLock { handle in
            guard let handle else { return }
            uv_async_send(handle.pointer)
        }
    }
}

/// The address of an open async handle, used only under the lock that closing takes too.
private struct AsyncHandle: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<uv_async_t>
}

private final class WakeupHandle: LoopHandle {
    private let wakeup = LoopWakeup()
    private var body: () -> Void

    init(state: LoopState, body: @escaping () -> Void) {
        self.body = body
        super.init(state: state, uv_async_t.self)
    }

    func start() throws(OmenError) -> LoopWakeup {
        let async = pointer(as: uv_async_t.self)
        let result = uv_async_init(state.uv, async) { handle in
            guard let wakeup: WakeupHandle = LoopHandle.object(handle) else { return }
            wakeup.body()
        }
        try checkUV(result, "cannot make a wakeup")
        attach()
        wakeup.open(async)
        return wakeup
    }

    override func willClose() { wakeup.close() }
    override func didClose() { body = {} }
}

private final class SignalHandle: LoopHandle {
    private var body: () -> Void

    init(state: LoopState, body: @escaping () -> Void) {
        self.body = body
        super.init(state: state, uv_signal_t.self)
    }

    func start(_ number: Int32) throws(OmenError) {
        let signal = pointer(as: uv_signal_t.self)
        try checkUV(uv_signal_init(state.uv, signal), "cannot watch signals")
        attach()
        let result = uv_signal_start(
            signal,
            { handle, _ in
                guard let signal: SignalHandle = LoopHandle.object(handle) else { return }
                signal.body()
            },
            number
        )
        if result < 0 { beginClose() }
        try checkUV(result, "cannot watch signal \(number)")
        uv_unref(base)
    }

    override func didClose() { body = {} }
}

extension EventLoop {
    /// A way to call `body` on the loop's thread from other threads.
    ///
    /// It keeps `run()` from returning by itself.
    package func wakeup(_ body: @escaping () -> Void) throws(OmenError) -> LoopWakeup {
        try WakeupHandle(state: state, body: body).start()
    }

    /// Calls `body` whenever the process gets the signal, from now on.
    ///
    /// Does not keep `run()` from returning by itself.
    package func onSignal(_ number: Int32, _ body: @escaping () -> Void) throws(OmenError) {
        try SignalHandle(state: state, body: body).start(number)
    }
}
