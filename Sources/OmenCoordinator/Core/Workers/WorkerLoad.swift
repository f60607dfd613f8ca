internal import OmenCore

/// What one worker was asked and has not answered, and what waits to be sent to it.
///
/// All that was sent counts, whether or not its client still waits: a worker that was stopped for a
/// while must not gather more requests by letting them time out.
struct WorkerLoad: Sendable {
    /// What one request counts for.
    private struct Charge: Sendable {
        /// Bytes that the request is charged with.
        var byteCount: Int
        /// Queries of a search; 0 for everything else.
        var queryCount: Int
        /// Whether it is a read that was sent, and not one that waits in `reads`.
        var isSentRead = false
    }

    /// Charges by request id; looked up, never iterated.
    private var unanswered: [UInt64: Charge] = [:]
    /// How long the worker takes for the searches that it was given.
    private(set) var searches = QueueTime()
    /// How long the worker takes for what it was sent, each read counted as one query.
    private var sentReads = QueueTime()
    /// Bytes that all unanswered requests are charged with.
    private(set) var bytesInFlight = 0
    /// Reads that wait until the worker takes more.
    var reads = ReadQueue()
    /// Requests of the coordinator's own, oldest first.
    private var internals: [InternalRequest] = []

    /// Requests that are not answered.
    var requestsInFlight: Int { unanswered.count }

    /// Reads that were sent and not answered.
    var sentReadCount: Int { sentReads.searchCount }

    /// Whether another read is to be sent: the worker has some milliseconds' work at most, and at
    /// least what keeps it busy until its answers have been seen.
    var takesReads: Bool {
        let nanoseconds = sentReads.nanosecondsPerQuery
        let wanted = nanoseconds > 0 ? Limits.sentReadNanoseconds / nanoseconds : 1e9
        return sentReadCount < Limits.sentReadCountMin
            || Double(sentReadCount) < min(wanted, Double(Limits.sentReadCountMax))
    }

    /// Charges the worker with a request, which is sent now or waits in `reads`.
    mutating func charge(_ id: UInt64, byteCount: Int, queryCount: Int, now: UInt64) {
        let charge = Charge(byteCount: byteCount, queryCount: queryCount)
        let previous = unanswered.updateValue(charge, forKey: id)
        precondition(previous == nil, "request \(id) was sent twice")
        bytesInFlight += byteCount
        if queryCount > 0 { searches.began(queryCount: queryCount, now: now) }
    }

    /// Notes that a read which was charged is sent.
    mutating func readSent(_ id: UInt64, now: UInt64) {
        unanswered[id]?.isSentRead = true
        sentReads.began(queryCount: 1, now: now)
    }

    /// Takes back the charge of a read that waited here and is not wanted any more.
    mutating func cancel(_ id: UInt64) {
        guard let charge = unanswered.removeValue(forKey: id) else { return }
        bytesInFlight -= charge.byteCount
        if charge.queryCount > 0 { searches.cancelled(queryCount: charge.queryCount) }
    }

    /// Takes back the charge of a request that was answered.
    ///
    /// - Returns: Whether `id` was waited for; false for duplicates and inventions.
    mutating func settle(_ id: UInt64, now: UInt64) -> Bool {
        guard let charge = unanswered.removeValue(forKey: id) else { return false }
        bytesInFlight -= charge.byteCount
        if charge.isSentRead { sentReads.ended(queryCount: 1, now: now) }
        if charge.queryCount > 0 { searches.ended(queryCount: charge.queryCount, now: now) }
        return true
    }

    /// Notes what the coordinator itself asks of the worker.
    mutating func append(_ request: InternalRequest) { internals.append(request) }

    /// The coordinator's own request with this id, which is noted no more; nil when there is none.
    mutating func removeInternal(_ id: UInt64) -> InternalRequest? {
        guard let position = internals.firstIndex(where: { $0.id == id }) else { return nil }
        return internals.remove(at: position)
    }

    /// Forgets every request, and keeps what was learnt about the worker's speed.
    mutating func forgetRequests() {
        unanswered = [:]
        searches.forget()
        sentReads.forget()
        reads.removeAll()
        bytesInFlight = 0
        internals = []
    }
}
