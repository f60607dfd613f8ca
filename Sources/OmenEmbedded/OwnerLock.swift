internal import Glibc
internal import Synchronization

/// A lock that one thread holds to change things, or any number to read them, and whose holders can
/// tell that others wait, so that long work in slices lets them in.
///
/// Whoever wants to change comes before those who come later to read.
final class OwnerLock: Sendable {
    private nonisolated(unsafe) let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(
        capacity: 1
    )
    private let waiting = Atomic<Int>(0)

    init() {
        var attributes = pthread_rwlockattr_t()
        pthread_rwlockattr_init(&attributes)
        pthread_rwlockattr_setkind_np(
            &attributes,
            Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP)
        )
        pthread_rwlock_init(lock, &attributes)
        pthread_rwlockattr_destroy(&attributes)
    }

    deinit {
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    /// Whether another thread waits for the lock.
    var isWanted: Bool { waiting.load(ordering: .relaxed) > 0 }

    /// Takes the lock for this thread alone.
    func own() {
        if pthread_rwlock_trywrlock(lock) == 0 { return }
        waiting.add(1, ordering: .relaxed)
        pthread_rwlock_wrlock(lock)
        waiting.subtract(1, ordering: .relaxed)
    }

    /// Takes the lock beside other readers.
    ///
    /// - Precondition: This thread does not hold it.
    func share() {
        if pthread_rwlock_tryrdlock(lock) == 0 { return }
        waiting.add(1, ordering: .relaxed)
        pthread_rwlock_rdlock(lock)
        waiting.subtract(1, ordering: .relaxed)
    }

    /// Gives back what `own` or `share` took.
    func release() { pthread_rwlock_unlock(lock) }

    /// Lets others have the lock for a moment, if one wants it.
    ///
    /// - Precondition: The caller has shared it.
    func yieldShare() {
        guard isWanted else { return }
        release()
        share()
    }

    /// Waits while other threads want the lock, for a millisecond at most.
    func letOthersPass() {
        for _ in 0..<20 where isWanted { usleep(50) }
    }
}
