internal import OmenCore
internal import OmenWire

/// The worker of one shard as the coordinator sees it, over all its processes.
struct SupervisedWorker: Sendable {
    /// Where it stands between two starts of its process.
    var life = WorkerLife.absent(.stopped)
    /// Counts processes from 1; whatever carries an older number has no effect.
    private(set) var incarnation: UInt64 = 0
    /// Processes that were started after the first one.
    private(set) var restarts: UInt32 = 0
    /// Why it last died or was quarantined; empty when nothing happened.
    private(set) var lastError = ""
    /// How often it died lately.
    var record = RestartRecord()
    /// What it was asked and has not answered.
    var load = WorkerLoad()

    /// Longest text that is kept of an error, in bytes.
    private static let errorByteCountMax = 512

    /// The state that clients are told.
    var state: WorkerState { life.state }

    /// What is known of the process that the core listens to; nil when it listens to none.
    var session: WorkerSession? {
        guard case .connected(let session) = life else { return nil }
        return session
    }

    /// Begins a process.
    ///
    /// - Parameters:
    ///   - now: The present time.
    ///   - acceptsLoss: Whether it goes on with what is left of the shard's files.
    /// - Precondition: The end of the last process was reported.
    mutating func begin(now: UInt64, acceptsLoss: Bool) {
        precondition(!life.hasProcess, "a worker that runs is started: \(life)")
        incarnation += 1
        if incarnation > 1 { restarts &+= 1 }
        life = .connected(WorkerSession(now: now, acceptsLoss: acceptsLoss))
    }

    /// Changes what is known of the process; does nothing when the core listens to none.
    mutating func update(_ change: (inout WorkerSession) -> Void) { life.update(change) }

    /// Notes that a process said something.
    ///
    /// - Parameters:
    ///   - incarnation: The number of the process.
    ///   - now: The present time.
    /// - Returns: Whether the core listens to it; then it lives, whatever it says: long replays
    ///   announce their progress.
    mutating func hear(_ incarnation: UInt64, now: UInt64) -> Bool {
        incarnation == self.incarnation && life.update { $0.lastHeardAt = now }
    }

    /// Takes the answer to a ping.
    ///
    /// - Parameter requestID: Any request id.
    /// - Returns: Whether a ping of this id had no answer yet.
    mutating func takePong(_ requestID: UInt64) -> Bool {
        // Most answers are to clients' requests, which is told by the id alone.
        guard requestID & CoordinatorCore.internalIDBit != 0, session?.pingID == requestID else {
            return false
        }
        update { $0.pingID = nil }
        return true
    }

    /// Stops listening to the process, which is to end; does nothing when the core listens to none.
    ///
    /// - Parameters:
    ///   - cause: Why it leaves.
    ///   - reason: The same for people, kept as the last error.
    ///   - now: The present time.
    mutating func depart(_ cause: WorkerDeparture.Cause, reason: String, now: UInt64) {
        guard case .connected(let session) = life else { return }
        noteError(reason)
        life = .leaving(WorkerDeparture(of: session, cause: cause, now: now))
    }

    /// Keeps the beginning of a text as the last error.
    mutating func noteError(_ text: String) {
        let isShort = text.utf8.count <= Self.errorByteCountMax
        lastError =
            isShort
            ? text : String(decoding: text.utf8.prefix(Self.errorByteCountMax), as: UTF8.self)
    }

    /// An operator has looked: deaths and errors of the past do not count any more.
    mutating func forgive() {
        record.clear()
        lastError = ""
    }
}
