internal import Glibc
internal import Synchronization

/// A lock that one thread holds to change things, or any number to read them, and whose holders can
/// tell that others wait, so that long work in slices lets them in.
///
/// First come, first served: neither readers nor writers, however many, keep the others out. The
/// system's own lock has no such order: one writer hands it to the next, past readers that came
/// before. A thread must not ask for it while it has it.
final class OwnerLock: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let waiting = Atomic<Int>(0)

    // Under `mutex` from here on.
    /// The number that whoever comes next gets.
    private var nextTicket: UInt64 = 0
    /// The number whose turn it is.
    private var turn: UInt64 = 0
    private var readerCount = 0
    private var isOwned = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Whether another thread waits for the lock.
    var isWanted: Bool { waiting.load(ordering: .relaxed) > 0 }

    /// Takes the lock for this thread alone.
    func own() {
        pthread_mutex_lock(mutex)
        awaitTurn { !isOwned && readerCount == 0 }
        isOwned = true
        pthread_mutex_unlock(mutex)
    }

    /// Takes the lock beside other readers.
    func share() {
        pthread_mutex_lock(mutex)
        awaitTurn { !isOwned }
        readerCount += 1
        // The next in line may be a reader, too.
        if turn < nextTicket { pthread_cond_broadcast(condition) }
        pthread_mutex_unlock(mutex)
    }

    private func awaitTurn(_ isFree: () -> Bool) {
        let ticket = nextTicket
        nextTicket += 1
        if ticket != turn || !isFree() {
            waiting.add(1, ordering: .relaxed)
            repeat {
                pthread_cond_wait(condition, mutex)
            } while ticket != turn || !isFree()
            waiting.subtract(1, ordering: .relaxed)
        }
        turn += 1
    }

    /// Gives back what `own` or `share` took.
    func release() {
        pthread_mutex_lock(mutex)
        if isOwned { isOwned = false } else { readerCount -= 1 }
        if turn < nextTicket { pthread_cond_broadcast(condition) }
        pthread_mutex_unlock(mutex)
    }

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
