internal import OmenCore
internal import OmenWire

/// One shard's process as the coordinator sees it.
struct Worker: Sendable {
    var state: WorkerState = .dead
    /// Counts spawns from 1; whatever carries an older number is dropped.
    var incarnation: UInt64 = 0
    /// 0 when no process runs.
    var pid: UInt32 = 0
    var restarts: UInt32 = 0
    var lastError = ""
    /// A process was asked for and its end has not been reported.
    var hasProcess = false
    /// It is being killed, or its connection ended: nothing it says counts any more.
    var isGivenUp = false
    /// `lastError` already says why it ends; its exit status would only hide that.
    var hasReason = false
    /// Log records replayed so far, as last announced.
    var replayed: UInt64 = 0
    /// The process was told to go on with what is left of the shard.
    var acceptsLoss = false
    /// The collections of a shard that is ready, and serves once the cluster's manifest knows it.
    var unserved: [CollectionInfo]?

    var lastHeardAt: UInt64 = 0
    var readyAt: UInt64?
    /// Request id of the ping that has no answer yet; one at a time.
    var pingID: UInt64?
    var pingSentAt: UInt64 = 0
    var killSentAt: UInt64 = 0
    /// Wait before the next restart after a death; 0 with a clean record.
    var backoff: UInt64 = 0
    var respawnAt: UInt64 = 0
    /// Times of the latest deaths, oldest first.
    var deaths: [UInt64] = []

    /// Charged bytes by request id, of all that was sent and not answered, whether or not the
    /// client still waits: a stopped worker must not gather more by timing out.
    ///
    /// Looked up, never iterated.
    private(set) var unanswered: [UInt64: Charge] = [:]
    private(set) var searches = QueueTime()
    private(set) var bytesInFlight = 0
    /// Writes and questions of the coordinator's own, oldest first.
    var internals: [InternalRequest] = []

    var requestsInFlight: Int { unanswered.count }

    /// A message may be sent to it and its answers count.
    var isConnected: Bool { hasProcess && !isGivenUp }

    struct Charge: Equatable, Sendable {
        var byteCount: Int
        /// Of a search, else 0.
        var queryCount: Int
        /// A read that was sent, and not one that waits in `reads`.
        var isSentRead = false
    }

    /// Reads that wait here, and how many were sent and not answered.
    var reads = ReadQueue()
    var sentReadCount: Int { sentReads.searchCount }
    /// How long the worker takes for what it was sent, each read counted as one query.
    private var sentReads = QueueTime()

    /// Whether another read is to be sent: it has some milliseconds' work at most, and at least
    /// what keeps it busy until its answers have been seen.
    var takesReads: Bool {
        let nanoseconds = sentReads.nanosecondsPerQuery
        let wanted = nanoseconds > 0 ? Limits.sentReadNanoseconds / nanoseconds : 1e9
        return sentReadCount < Limits.sentReadCountMin
            || Double(sentReadCount) < min(wanted, Double(Limits.sentReadCountMax))
    }

    mutating func readSent(_ id: UInt64, now: UInt64) {
        unanswered[id]?.isSentRead = true
        sentReads.began(queryCount: 1, now: now)
    }

    /// A read that waited here is not wanted any more.
    mutating func cancel(_ id: UInt64) {
        guard let charge = unanswered.removeValue(forKey: id) else { return }
        bytesInFlight -= charge.byteCount
        if charge.queryCount > 0 { searches.cancelled(queryCount: charge.queryCount) }
    }

    mutating func charge(_ id: UInt64, byteCount: Int, queryCount: Int, now: UInt64) {
        let charge = Charge(byteCount: byteCount, queryCount: queryCount)
        let previous = unanswered.updateValue(charge, forKey: id)
        precondition(previous == nil, "request \(id) was sent twice")
        bytesInFlight += byteCount
        if queryCount > 0 { searches.began(queryCount: queryCount, now: now) }
    }

    /// Whether `id` was waited for; false for duplicates and inventions.
    mutating func settle(_ id: UInt64, now: UInt64) -> Bool {
        guard let charge = unanswered.removeValue(forKey: id) else { return false }
        bytesInFlight -= charge.byteCount
        if charge.isSentRead { sentReads.ended(queryCount: 1, now: now) }
        if charge.queryCount > 0 { searches.ended(queryCount: charge.queryCount, now: now) }
        return true
    }

    mutating func forgetRequests() {
        unanswered = [:]
        searches.forget()
        reads.removeAll()
        sentReads.forget()
        bytesInFlight = 0
        internals = []
        pingID = nil
    }
}

/// Something the coordinator itself asked of a worker.
struct InternalRequest: Equatable, Sendable {
    enum Kind: Equatable, Sendable {
        /// A collection the shard lacks.
        case create(String)
        /// A collection whose drop, of this key, was not finished.
        case drop(String, RequestKey)
        /// Does the shard still have the collection, after a drop of this key.
        case list(String, RequestKey)
        /// The same after the drop was finished.
        case verify(String, RequestKey)
        case stop
    }
    var id: UInt64
    var kind: Kind
    /// The client's request that waits for it, if any.
    var owner: UInt64?
}
