internal import Glibc

/// One operating-system thread that runs one closure.
///
/// Work that blocks on a disk runs here and never on a shared pool, where a slow sync would starve
/// everything else. All signals are blocked: they are for the event loop's thread, and without
/// SIGXFSZ a file size limit is an error of the write and not the end of the process.
package final class BackgroundThread: @unchecked Sendable {
    // Written once before anyone can see the object, read by `join` only.
    private var handle = pthread_t()
    private var joined = false

    private final class Body {
        let niceness: Int32
        let run: @Sendable () -> Void

        init(niceness: Int32, _ run: @escaping @Sendable () -> Void) {
            self.niceness = niceness
            self.run = run
        }
    }

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - niceness: 0...19 (nice(2)); a higher one leaves the processors to others.
    ///   - run: What it does.
    /// - Throws: `.resourceExhausted` when the system refuses another thread.
    package init(
        niceness: Int32 = 0,
        _ run: @escaping @Sendable () -> Void
    ) throws(OmenError) {
        let body = Unmanaged.passRetained(Body(niceness: niceness, run))
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
                // Linux keeps this for each thread; without it everything still works.
                if body.niceness != 0 {
                    let which = __priority_which_t(PRIO_PROCESS.rawValue)
                    _ = setpriority(which, 0, body.niceness)
                }
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
