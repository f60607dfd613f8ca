internal import OmenSystem
internal import OmenCore
internal import OmenLoop
internal import Synchronization

/// Stores what the coordinator must remember beside the loop: a sync takes some milliseconds, in
/// which the loop answers hundreds of searches.
final class StoreKeeper<Stored: Sendable> {
    private final class StoreOutcome: Sendable {
        let failure = Mutex<OmenError??>(nil)
    }

    private let body: @Sendable (Stored) throws(OmenError) -> Void
    private let done: (OmenError?) -> Void
    private let outcome = StoreOutcome()
    private var wakeup: LoopWakeup?
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

    private func finish() {
        guard let failure = outcome.failure.withLock({ $0.take() }) else { return }
        thread?.join()
        thread = nil
        done(failure)
    }
}
