internal import OmenSystem

/// Lets threads wait for another thread's work.
///
/// An event counter: a waiter notes the count, looks for what it wants, and then sleeps until the
/// count has moved on, so that no event between the two is missed. Safe on any thread.
final class CompletionSignal: @unchecked Sendable {
    private let lock = ConditionLock()
    // Only changed under the lock.
    private var value: UInt64 = 0

    var count: UInt64 { lock.locked { value } }

    func raise() {
        lock.locked {
            value += 1
            lock.wakeAll()
        }
    }

    /// Sleeps until the count is above `seen`, or the milliseconds have passed.
    func wait(beyond seen: UInt64, milliseconds: Int) {
        let deadline = MonotonicClock.after(milliseconds: milliseconds)
        lock.locked {
            while value <= seen, lock.wait(until: deadline) {}
        }
    }
}
