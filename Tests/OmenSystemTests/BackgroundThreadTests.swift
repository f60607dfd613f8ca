import OmenSystem
import Glibc
import OmenCore
import Synchronization
import Testing

@Suite struct BackgroundThreadTests {
    /// A checkpoint runs on such a thread: over a size limit it must fail, not end the process.
    @Test func itsSignalsAreBlockedAndOnlyIts() throws {
        @Sendable func isBlocked(_ number: Int32) -> Bool {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            return sigismember(&mask, number) == 1
        }
        // Test threads block everything, and a new thread inherits that.
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let inside = Mutex<[Bool]>([])
        let thread = try BackgroundThread {
            inside.withLock { $0 = [SIGXFSZ, SIGTERM, SIGCHLD].map(isBlocked) }
        }
        thread.join()
        #expect(inside.withLock { $0 } == [true, true, true])
        #expect(!isBlocked(SIGXFSZ))
    }
    @Test func itsPriorityIsItsOwn() throws {
        @Sendable func policy() -> [Int32] { [sched_getscheduler(0), getpriority(oneThread, 0)] }
        let before = policy()
        let inside = Mutex<[[Int32]]>([])
        for priority in [BackgroundThread.Priority.normal, .low] {
            let thread = try BackgroundThread(priority) {
                inside.withLock { $0.append(policy()) }
            }
            thread.join()
        }
        #expect(inside.withLock { $0 } == [before, [before[0], 10]])
        #expect(policy() == before)
    }
}

/// What getpriority(2) is asked about: on Linux that is one thread.
private let oneThread = __priority_which_t(PRIO_PROCESS.rawValue)
