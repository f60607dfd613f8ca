internal import Glibc

/// A lock whose holder can wait for another thread to change what the lock protects.
///
/// The standard library's `Mutex` has no such wait. One condition serves all waiters, so a waiter
/// checks in a loop whether what it waits for has come (pthread_cond_wait(3)).
///
/// Safety: `@unchecked` because the two objects of the C library are shared by design.
package final class ConditionLock: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` while this thread holds the lock, which it must not hold already.
    package func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Sleeps, without the lock meanwhile, until another thread wakes this one, or for no reason.
    ///
    /// - Precondition: This thread holds the lock.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// Sleeps like `wait()`, but not beyond a time.
    ///
    /// - Parameter deadline: Nanoseconds of `MonotonicClock`.
    /// - Returns: False when the time has come.
    /// - Precondition: This thread holds the lock.
    @discardableResult
    package func wait(until deadline: UInt64) -> Bool {
        var time = timespec(
            tv_sec: Int(deadline / 1_000_000_000),
            tv_nsec: Int(deadline % 1_000_000_000)
        )
        return pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
    }

    /// Wakes one waiter, if there is one.
    package func wakeOne() { pthread_cond_signal(condition) }

    /// Wakes all waiters.
    package func wakeAll() { pthread_cond_broadcast(condition) }
}
