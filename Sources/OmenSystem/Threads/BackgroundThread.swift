package import OmenCore
internal import Glibc
internal import Synchronization

/// One operating-system thread that runs one closure.
///
/// Work that blocks on a disk runs here and never on a shared pool, where a slow sync would starve
/// everything else. All signals are blocked: they are for the event loop's thread, and without
/// SIGXFSZ a file size limit is an error of the write and not the end of the process.
package final class BackgroundThread: @unchecked Sendable {
    // Written once before anyone can see the object, read by `join` only.
    private var handle = pthread_t()
    private var joined = false

    /// How much of a busy processor it gets (sched(7)).
    package enum Priority: Sendable {
        case normal
        /// About a tenth of what others get.
        case low
        /// Linux keeps it for each thread; where that fails everything still works.
        fileprivate func apply() {
            switch self {
            case .normal: return
            case .low: _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
            }
        }
    }

    private final class Body {
        let priority: Priority
        let run: @Sendable () -> Void

        init(_ priority: Priority, _ run: @escaping @Sendable () -> Void) {
            self.priority = priority
            self.run = run
        }
    }

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - priority: Against everything else that wants to run.
    ///   - run: What it does.
    /// - Throws: `.resourceExhausted` when the system refuses another thread.
    package init(
        _ priority: Priority = .normal,
        _ run: @escaping @Sendable () -> Void
    ) throws(OmenError) {
        let body = Unmanaged.passRetained(Body(priority, run))
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let code = pthread_create(
            &handle,
            nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                body.priority.apply()
                body.run()
                return nil
            },
            body.toOpaque()
        )
        guard code == 0 else {
            body.release()
            throw OmenError(.resourceExhausted, "cannot start a thread: errno \(code)")
        }
    }

    /// Waits until the closure has returned; call it once.
    package func join() {
        precondition(!joined, "joined twice")
        joined = true
        pthread_join(handle, nil)
    }
}

extension BackgroundThread {
    /// Runs `work` once for every number below `count`, on up to `count` threads, this one
    /// included, and returns when all of it is done.
    ///
    /// When the system refuses a thread, the threads that did start do its share. Every thread has
    /// the `Stop` of the caller.
    package static func share(_ count: Int, _ work: @escaping @Sendable (Int) -> Void) {
        let next = Counter()
        let stop = Stop.current
        let take: @Sendable () -> Void = {
            while let number = next.take(below: count) { work(number) }
        }
        var threads: [BackgroundThread] = []
        for _ in 1..<max(1, count) {
            do throws(OmenError) {
                threads.append(
                    try BackgroundThread {
                        Stop.use(stop)
                        take()
                    }
                )
            } catch { break }
        }
        take()
        for thread in threads { thread.join() }
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func take(below limit: Int) -> Int? {
        let taken = value.add(1, ordering: .relaxed).oldValue
        return taken < limit ? taken : nil
    }
}
