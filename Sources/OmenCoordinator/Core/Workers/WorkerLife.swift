internal import OmenWire

/// Where a shard's worker stands between one start of its process and the next.
///
/// A worker goes round: absent, connected, usually leaving, and absent again. Each case holds what
/// is true only there, so that no state can be written that cannot happen.
enum WorkerLife: Equatable, Sendable {
    /// No process runs.
    case absent(WorkerAbsence)
    /// A process was asked for, and what it says counts.
    case connected(WorkerSession)
    /// The process was given up: what it says does not count, and its end is not yet reported.
    case leaving(WorkerDeparture)

    /// The state that clients are told.
    var state: WorkerState {
        switch self {
        case .absent(let absence): absence.state
        case .connected(let session): session.standing.state
        case .leaving(let departure): departure.cause.state
        }
    }

    /// Whether a process was asked for whose end is not yet reported.
    var hasProcess: Bool {
        switch self {
        case .absent: false
        case .connected, .leaving: true
        }
    }

    /// The number of the process; 0 when none runs, or when it is not yet known.
    var pid: UInt32 {
        switch self {
        case .absent: 0
        case .connected(let session): session.pid
        case .leaving(let departure): departure.pid
        }
    }

    /// Changes what is known of the process that the core listens to.
    ///
    /// - Returns: Whether it listens to one; nothing is changed when it does not.
    @discardableResult
    mutating func update(_ change: (inout WorkerSession) -> Void) -> Bool {
        // Taken apart and put together again, which is cheaper than a copy: this happens with each
        // message of a worker.
        switch consume self {
        case .absent(let absence):
            self = .absent(absence)
            return false
        case .connected(var session):
            change(&session)
            self = .connected(session)
            return true
        case .leaving(let departure):
            self = .leaving(departure)
            return false
        }
    }

    /// When the process became ready; nil when it never was, or when none runs.
    var readyAt: UInt64? {
        switch self {
        case .absent: nil
        case .connected(let session): session.readyAt
        case .leaving(let departure): departure.readyAt
        }
    }

    /// Whether the worker's last error already says why its process ends.
    var isExplained: Bool {
        switch self {
        case .absent, .connected: false
        case .leaving(let departure): departure.cause.isExplained
        }
    }
}

/// Why a shard has no process.
enum WorkerAbsence: Equatable, Sendable {
    /// The cluster has not started it, or stops.
    case stopped
    /// It died and is started again at `until`, in nanoseconds of the core's clock.
    case backoff(until: UInt64)
    /// It died too often: only an operator starts it again.
    case failed
    /// Its files are damaged: only an operator starts it again.
    case quarantined

    /// The state that clients are told.
    var state: WorkerState {
        switch self {
        case .stopped: .dead
        case .backoff: .backoff
        case .failed: .failed
        case .quarantined: .quarantined
        }
    }
}

/// A process that the core listens to.
struct WorkerSession: Equatable, Sendable {
    /// How far the process has come in its life.
    enum Standing: Equatable, Sendable {
        /// It has said nothing yet.
        case spawning
        /// It opens the shard.
        case recovering
        /// It is ready with these collections, and serves once the cluster's manifest knows it.
        case unserved([CollectionInfo])
        /// It serves, since this time.
        case serving(since: UInt64)
        /// It served since this time and was told to checkpoint and exit.
        case draining(since: UInt64)

        /// The state that clients are told.
        var state: WorkerState {
            switch self {
            case .spawning: .spawning
            case .recovering, .unserved: .recovering
            case .serving: .ready
            case .draining: .draining
            }
        }
    }

    /// How far the process has come.
    var standing = Standing.spawning
    /// The number of the process; 0 until the driver has told it.
    var pid: UInt32 = 0
    /// Whether the process was told to go on with what is left of the shard's files.
    let acceptsLoss: Bool
    /// When the process was last heard, or began.
    var lastHeardAt: UInt64
    /// When the last ping was sent, or the process began.
    var pingSentAt: UInt64
    /// Request id of the ping that has no answer yet; there is one at a time.
    var pingID: UInt64?

    /// A session that begins.
    ///
    /// - Parameters:
    ///   - now: The present time.
    ///   - acceptsLoss: As the property.
    init(now: UInt64, acceptsLoss: Bool) {
        self.acceptsLoss = acceptsLoss
        lastHeardAt = now
        pingSentAt = now
    }

    /// When the process became ready to serve; nil before that.
    var readyAt: UInt64? {
        switch standing {
        case .spawning, .recovering, .unserved: nil
        case .serving(let since), .draining(let since): since
        }
    }
}

/// A process that was given up and has not ended yet.
struct WorkerDeparture: Equatable, Sendable {
    /// Why the process leaves.
    enum Cause: Equatable, Sendable {
        /// It was told to stop and has closed its connection.
        case stopping
        /// It is killed. When `isExplained`, the last error already says why, and the exit status
        /// would only hide that.
        case killed(isExplained: Bool)
        /// It is killed because its files are damaged.
        case quarantined

        /// The state that clients are told.
        var state: WorkerState {
            switch self {
            case .stopping: .draining
            case .killed: .dead
            case .quarantined: .quarantined
            }
        }

        /// Whether the last error already says why the process ends.
        var isExplained: Bool {
            switch self {
            case .stopping: false
            case .killed(let isExplained): isExplained
            case .quarantined: true
            }
        }
    }

    /// Why the process leaves.
    let cause: Cause
    /// The number of the process; 0 until the driver has told it.
    var pid: UInt32
    /// When the process had become ready; nil when it never was.
    let readyAt: UInt64?
    /// When the process was last killed, or closed its connection: it has a while to end.
    var askedAt: UInt64

    /// The departure of a process that the core stops listening to.
    ///
    /// - Parameters:
    ///   - session: What is known of the process.
    ///   - cause: Why it leaves.
    ///   - now: The present time.
    init(of session: WorkerSession, cause: Cause, now: UInt64) {
        self.cause = cause
        pid = session.pid
        readyAt = session.readyAt
        askedAt = now
    }
}
