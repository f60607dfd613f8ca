internal import OmenCore
internal import OmenStorage
internal import Synchronization

/// What other threads hand to the owner.
final class CompletionQueue: Sendable {
    enum Completion: Sendable {
        case log(LogCompletion)
        case checkpoint(throughLSN: UInt64, Result<WrittenCheckpoint, OmenError>)
        /// The check of what opening left has ended, with what it found.
        case checked(OmenError?)
        case rebuild(Rebuilder.Completion)
    }

    private let waiting = Mutex<[Completion]>([])
    private let wake: @Sendable () -> Void

    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    func push(_ completion: Completion) {
        waiting.withLock { $0.append(completion) }
        wake()
    }

    func take() -> [Completion] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}
