package import OmenCore

/// Runs work beside the thread that asks for it: the seam between a shard and threads.
///
/// `Threads` are the machine's own; the simulation puts steps in an order of its own in their
/// place.
package protocol Executor: AnyObject, Sendable {
    /// Starts a job, beside all others.
    ///
    /// - Parameters:
    ///   - priority: Against everything else that wants to run.
    ///   - job: What it does.
    /// - Returns: What can be waited for.
    /// - Throws: `.resourceExhausted` when the system refuses another thread.
    func start(
        _ priority: BackgroundThread.Priority,
        _ job: @escaping @Sendable () -> Void
    ) throws(OmenError) -> any BackgroundJob

    /// Makes a queue whose jobs run one after the other, beside everything else.
    ///
    /// - Returns: The queue, which its owner closes.
    /// - Throws: `.resourceExhausted` when the system refuses another thread.
    func makeQueue() throws(OmenError) -> any JobQueue
}

/// A job that runs or has ended.
package protocol BackgroundJob: AnyObject, Sendable {
    /// Waits until it has ended; call it once.
    ///
    /// - Precondition: Not called from the job itself.
    func join()
}

/// Jobs that run one after the other, in the order of their submission.
package protocol JobQueue: AnyObject, Sendable {
    /// Appends a job; any thread may call it.
    ///
    /// - Precondition: The queue is not closed.
    func submit(_ job: @escaping @Sendable () -> Void)

    /// Waits until all jobs are done and ends the queue; a second call is empty.
    ///
    /// - Precondition: Not called from a job of the queue.
    func close()
}

extension BackgroundThread: BackgroundJob {}

/// The machine's own threads: one for each job and for each queue.
package final class Threads: Executor {
    /// The only one that is needed: it has no state.
    package static let shared = Threads()

    private init() {}

    package func start(
        _ priority: BackgroundThread.Priority,
        _ job: @escaping @Sendable () -> Void
    ) throws(OmenError) -> any BackgroundJob {
        try BackgroundThread(priority, job)
    }

    package func makeQueue() throws(OmenError) -> any JobQueue { try ThreadQueue() }
}

/// A queue with a thread of its own: on a pool that is shared, one slow job would starve others.
private final class ThreadQueue: JobQueue {
    private let state = State()
    private let thread: BackgroundThread

    /// Safety: `jobs` and `isClosed` only change under `lock`.
    private final class State: @unchecked Sendable {
        let lock = ConditionLock()
        var jobs: [@Sendable () -> Void] = []
        var isClosed = false

        func run() {
            while let jobs = next() {
                for job in jobs { job() }
            }
        }

        /// Waits for jobs; nil when the queue is closed and none is left.
        private func next() -> [@Sendable () -> Void]? {
            lock.locked {
                while jobs.isEmpty {
                    if isClosed { return nil }
                    lock.wait()
                }
                defer { jobs = [] }
                return jobs
            }
        }
    }

    init() throws(OmenError) {
        let state = state
        thread = try BackgroundThread { state.run() }
    }

    func submit(_ job: @escaping @Sendable () -> Void) {
        let state = state
        state.lock.locked {
            precondition(!state.isClosed, "a job comes to a closed queue")
            state.jobs.append(job)
            state.lock.wakeOne()
        }
    }

    func close() {
        let state = state
        let isFirst = state.lock.locked {
            defer { state.isClosed = true }
            state.lock.wakeOne()
            return !state.isClosed
        }
        if isFirst { thread.join() }
    }
}
