internal import OmenSystem
internal import Glibc
internal import OmenCore
internal import Synchronization

/// A lock that one thread holds to change things, or any number to read them, and whose holders can
/// tell that others wait, so that long work in slices lets them in.
///
/// First come, first served: neither readers nor writers, however many, keep the others out. The
/// system's own lock has no such order: one writer hands it to the next, past readers that came
/// before. A thread must not ask for it while it has it.
final class OwnerLock: @unchecked Sendable {
    private let lock = ConditionLock()
    private let waiting = Atomic<Int>(0)

    // Under `lock` from here on.
    /// The number that the next caller gets.
    private var nextTicket: UInt64 = 0
    /// The number whose turn it is.
    private var turn: UInt64 = 0
    private var readerCount = 0
    private var isOwned = false
    /// Numbers whose threads no longer wait.
    private var left: Set<UInt64> = []

    /// Whether another thread waits for the lock.
    var isWanted: Bool { waitingCount > 0 }

    /// Threads that wait for the lock.
    var waitingCount: Int { waiting.load(ordering: .relaxed) }

    /// Takes the lock for this thread alone, however long it has to wait.
    func own() { _ = takeOwned { nil } }

    /// Takes the lock for this thread alone.
    ///
    /// - Throws: `.stopped`, without the lock, when `stop` is due before it is this thread's turn.
    func own(unless stop: @autoclosure () -> Stop?) throws(OmenError) {
        guard takeOwned(unless: stop) else { throw Stop.error }
    }

    private func takeOwned(unless stop: () -> Stop?) -> Bool {
        lock.locked {
            guard awaitTurn(unless: stop, { !isOwned && readerCount == 0 }) else { return false }
            isOwned = true
            return true
        }
    }

    /// Takes the lock beside other readers, however long it has to wait.
    func share() { _ = takeShared { nil } }

    /// Takes the lock beside other readers.
    ///
    /// - Throws: `.stopped`, without the lock, when `stop` is due before it is this thread's turn.
    func share(unless stop: @autoclosure () -> Stop?) throws(OmenError) {
        guard takeShared(unless: stop) else { throw Stop.error }
    }

    private func takeShared(unless stop: () -> Stop?) -> Bool {
        lock.locked {
            guard awaitTurn(unless: stop, { !isOwned }) else { return false }
            readerCount += 1
            // The next in line may be a reader, too.
            if turn < nextTicket { lock.wakeAll() }
            return true
        }
    }

    /// - Returns: Whether it is the thread's turn; false when `stop` was due before.
    private func awaitTurn(unless stop: () -> Stop?, _ isFree: () -> Bool) -> Bool {
        let ticket = nextTicket
        nextTicket += 1
        if ticket != turn || !isFree() {
            waiting.add(1, ordering: .relaxed)
            defer { waiting.subtract(1, ordering: .relaxed) }
            let stop = stop()
            repeat {
                if let stop, stop.isDue {
                    leave(ticket)
                    return false
                }
                sleep(looksAgain: stop != nil)
            } while ticket != turn || !isFree()
        }
        passTurn()
        return true
    }

    private func passTurn() {
        turn += 1
        while !left.isEmpty, left.remove(turn) != nil { turn += 1 }
    }

    /// Takes a waiting thread out of the line.
    private func leave(_ ticket: UInt64) {
        guard ticket == turn else {
            left.insert(ticket)
            return
        }
        passTurn()
        lock.wakeAll()
    }

    private func sleep(looksAgain: Bool) {
        if looksAgain {
            lock.wait(until: MonotonicClock.after(milliseconds: Stop.lookInterval))
        } else {
            lock.wait()
        }
    }

    /// Gives back what `own` or `share` took.
    func release() {
        lock.locked {
            if isOwned { isOwned = false } else { readerCount -= 1 }
            if turn < nextTicket { lock.wakeAll() }
        }
    }

    /// Lets others have the lock for a moment, if one wants it.
    ///
    /// - Precondition: The caller has shared it.
    /// - Throws: `.stopped`, without the lock, when `stop` is due before the caller has it again.
    func yieldShare(unless stop: @autoclosure () -> Stop? = nil) throws(OmenError) {
        guard isWanted else { return }
        release()
        try share(unless: stop())
    }

    /// Waits while other threads want the lock, for a millisecond at most.
    func letOthersPass() {
        for _ in 0..<20 where isWanted { usleep(50) }
    }
}
