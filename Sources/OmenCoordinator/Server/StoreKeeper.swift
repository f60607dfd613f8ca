internal import OmenSystem
internal import OmenCore
internal import OmenLoop
internal import Synchronization

/// Stores what the coordinator must remember beside the loop: a sync takes some milliseconds, in
/// which the loop answers hundreds of searches.
final class StoreKeeper<Stored: Sendable> {
    /// What the thread leaves for the loop.
    private final class StoreOutcome: Sendable {
        /// Nil while the thread stores; then what went wrong, nil for nothing.
        let failure = Mutex<OmenError??>(nil)
    }

    /// Stores a value, on the thread.
    private let body: @Sendable (Stored) throws(OmenError) -> Void
    /// Is told how that ended, on the loop.
    private let done: (OmenError?) -> Void
    /// How it ended, until the loop has seen that.
    private let outcome = StoreOutcome()
    /// Tells the loop that the thread is done.
    private var wakeup: LoopWakeup?
    /// The thread, while a value is being stored.
    private var thread: BackgroundThread?

    /// - Parameters:
    ///   - loop: Where `done` is called.
    ///   - body: Stores a value, on another thread.
    ///   - done: Called after each, with what went wrong.
    /// - Throws: `.resourceExhausted` when the system gives no descriptor.
    init(
        _ loop: EventLoop,
        _ body: @escaping @Sendable (Stored) throws(OmenError) -> Void,
        done: @escaping (OmenError?) -> Void
    ) throws(OmenError) {
        self.body = body
        self.done = done
        wakeup = try loop.wakeup { [unowned self] in finish() }
    }

    /// Begins to store; `done` has to be called before the next.
    func store(_ value: Stored) {
        precondition(thread == nil, "another value is being stored")
        let (body, outcome, wakeup) = (body, outcome, wakeup)
        do throws(OmenError) {
            thread = try BackgroundThread {
                var failure: OmenError?
                do throws(OmenError) { try body(value) } catch { failure = error }
                outcome.failure.withLock { $0 = .some(failure) }
                wakeup?.signal()
            }
        } catch {
            outcome.failure.withLock { $0 = .some(error) }
            wakeup?.signal()
        }
    }

    /// Tells how storing ended; the next value may come.
    private func finish() {
        guard let failure = outcome.failure.withLock({ $0.take() }) else { return }
        thread?.join()
        thread = nil
        done(failure)
    }
}
