internal import Glibc
internal import Synchronization

/// A lock whose holder can tell that others wait, so that long work in slices lets them in.
final class OwnerLock: Sendable {
    private nonisolated(unsafe) let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(
        capacity: 1
    )
    private let waiting = Atomic<Int>(0)

    init() { pthread_mutex_init(mutex, nil) }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Whether another thread wants the lock.
    var isWanted: Bool { waiting.load(ordering: .relaxed) > 0 }

    func lock() {
        if pthread_mutex_trylock(mutex) == 0 { return }
        waiting.add(1, ordering: .relaxed)
        pthread_mutex_lock(mutex)
        waiting.subtract(1, ordering: .relaxed)
    }

    func unlock() { pthread_mutex_unlock(mutex) }

    /// Lets another thread have the lock for a moment, if one wants it.
    ///
    /// - Precondition: The caller holds it.
    func yield() {
        guard isWanted else { return }
        unlock()
        // The mutex is not fair: whoever unlocks and locks again usually wins.
        sched_yield()
        lock()
    }

    /// Waits while other threads want the lock, for a millisecond at most.
    func letOthersPass() {
        for _ in 0..<20 where isWanted { usleep(50) }
    }
}
