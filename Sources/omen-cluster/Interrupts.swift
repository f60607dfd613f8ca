internal import OmenSystem
internal import Glibc
internal import OmenCore

/// Ctrl-C during work that has something to say at its end: the first asks it to end, the second
/// ends the process as ever.
enum Interrupts {
    // The command `stop` has the same name.
    private static let stop = OmenSystem.Stop()

    /// From now on SIGINT ends what this thread does, which finds out by `Stop`.
    static func begin() {
        OmenSystem.Stop.use(stop)
        _ = signal(SIGINT) { number in
            Interrupts.stop.request()
            _ = signal(number, SIG_DFL)
        }
    }

    /// From now on SIGINT ends the process again.
    static func end() {
        _ = signal(SIGINT, SIG_DFL)
        OmenSystem.Stop.use(nil)
    }
}
