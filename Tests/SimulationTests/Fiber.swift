import OmenCore
import OmenSystem
import Synchronization

/// A thread that runs only while another one waits for it, from one pause to the next.
///
/// So code that blocks, such as the engine's background work, runs in steps, and what follows what
/// is decided by who resumes whom and never by the machine's scheduler.
final class Fiber: @unchecked Sendable {
    private static let idle = Mutex<[Fiber]>([])

    private let lock = ConditionLock()
    // All under `lock`.
    private var body: (() -> Void)?
    private var isRunning = false

    private init() {
        do throws(OmenError) {
            _ = try BackgroundThread { self.run() }
        } catch { preconditionFailure("no thread for the simulation: \(error)") }
    }

    /// Takes a thread that is free, and gives it a body, which begins with the first `resume`.
    static func begin(_ body: @escaping () -> Void) -> Fiber {
        let fiber = idle.withLock { $0.popLast() } ?? Fiber()
        fiber.lock.locked { fiber.body = body }
        return fiber
    }

    /// Lets the body run until it pauses or ends.
    ///
    /// - Returns: Whether it has ended; then this object is given to somebody else.
    func resume() -> Bool {
        let hasEnded = lock.locked {
            isRunning = true
            lock.wakeAll()
            while isRunning { lock.wait() }
            return body == nil
        }
        if hasEnded { Self.idle.withLock { $0.append(self) } }
        return hasEnded
    }

    /// Gives the turn back until the next `resume`.
    ///
    /// - Precondition: Called by the body.
    func pause() {
        lock.locked {
            isRunning = false
            lock.wakeAll()
            while !isRunning { lock.wait() }
        }
    }

    private func run() {
        while true {
            let next = lock.locked {
                while !isRunning { lock.wait() }
                return body
            }
            next?()
            // The next body is nobody's caller yet.
            Stop.use(nil)
            lock.locked {
                body = nil
                isRunning = false
                lock.wakeAll()
            }
        }
    }
}
