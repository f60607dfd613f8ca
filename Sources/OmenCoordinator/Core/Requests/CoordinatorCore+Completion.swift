internal import OmenCore
internal import OmenWire

/// How a request ends: by its last answer, by a death or by its deadline.
extension CoordinatorCore {
    /// Sends one shard its part; the caller has checked that the worker is ready.
    mutating func send(_ message: Message, id: UInt64, byteCount: Int, to shard: Int) {
        workers[shard].load.charge(id, byteCount: byteCount, queryCount: 0, now: now)
        sendUncharged(Envelope(requestID: id, message: message), to: shard)
    }

    /// Sends a worker a message that was charged before, or counts for nothing.
    mutating func sendUncharged(_ envelope: Envelope, to shard: Int) {
        let incarnation = workers[shard].incarnation
        out.append(.sendToWorker(shard: UInt32(shard), incarnation: incarnation, envelope))
    }

    /// Gives a shard its part of a read, now or when it is the client's turn.
    mutating func sendRead(_ message: Message, index: Int, byteCount: Int, to shard: Int) {
        let id = pending[index].id
        var queryCount = 0
        if case .search(let query) = message { queryCount = query.count }
        workers[shard].load.charge(id, byteCount: byteCount, queryCount: queryCount, now: now)
        let entry = ReadQueue.Entry(id: id, message: message, cost: pending[index].byteCount)
        guard workers[shard].load.reads.count == 0, workers[shard].load.takesReads else {
            return workers[shard].load.reads.append(entry, of: pending[index].client ?? 0)
        }
        send(entry, index: index, to: shard)
    }

    /// Sends a shard what waits for it, while it takes it.
    mutating func sendWaitingReads(_ shard: Int) {
        while workers[shard].load.takesReads, let entry = workers[shard].load.reads.next() {
            guard let index = pending.index(of: entry.id), pending[index].awaited.contains(shard)
            else {
                // Nobody waits for it any more: it costs nothing.
                workers[shard].load.cancel(entry.id)
                continue
            }
            send(entry, index: index, to: shard)
        }
    }

    private mutating func send(_ entry: ReadQueue.Entry, index: Int, to shard: Int) {
        workers[shard].load.readSent(entry.id, now: now)
        var message = entry.message
        if case .search(var query) = message {
            // The worker's clock starts when it reads this; what it has not begun by then is
            // dropped.
            let left = pending.deadline(index) - min(now, pending.deadline(index))
            query.timeoutMilliseconds = UInt32(clamping: max(1, left / 1_000_000))
            message = .search(query)
        }
        sendUncharged(Envelope(requestID: entry.id, message: message), to: shard)
    }

    /// Whether `byteCount` more may be sent to a worker now; reads (`forRead`) leave an eighth of
    /// the places to writes.
    func hasRoom(_ shard: Int, byteCount: Int, forRead: Bool = false) -> Bool {
        let limit = Limits.workerRequestsInFlightMax
        guard workers[shard].load.requestsInFlight < (forRead ? limit - limit / 8 : limit) else {
            return false
        }
        return workers[shard].load.bytesInFlight == 0
            || workers[shard].load.bytesInFlight + byteCount <= Limits.workerBytesInFlightMax
    }

    func overloaded(_ shard: Int) -> OmenError {
        OmenError(
            .resourceExhausted,
            "shard \(shard) has \(workers[shard].load.requestsInFlight) requests of \(workers[shard].load.bytesInFlight) bytes in flight, retry later",
            retryAfterMilliseconds: max(
                Limits.retryAfterMilliseconds,
                Self.retryAfter(workers[shard].load.searches.nanoseconds(forQueries: 1) / 4)
            )
        )
    }

    /// Why a shard cannot be asked now.
    func unavailable(_ shard: Int) -> OmenError {
        let worker = workers[shard]
        guard worker.state != .ready else {
            return OmenError(.unavailable, "shard \(shard) does not have the collection yet")
        }
        let reason = worker.lastError.isEmpty ? "" : ": \(worker.lastError)"
        return OmenError(.unavailable, "shard \(shard) is \(worker.state)\(reason)")
    }

    /// One shard's part of a request is missing for good.
    mutating func fail(_ index: Int, shard: Int, _ error: OmenError) {
        guard pending[index].awaited.contains(shard) else { return }
        pending[index].awaited.remove(shard)
        // A drop that was applied and whose confirmation is missing is no failure of the request.
        guard !pending[index].answered.contains(shard) else { return }
        pending[index].failures.append(ShardFailure(shard: UInt32(shard), error: error))
    }

    mutating func failCreate(_ index: Int, shard: Int, _ error: OmenError) {
        guard pending[index].createsAwaited.contains(shard) else { return }
        pending[index].createsAwaited.remove(shard)
        pending[index].createFailures.append(ShardFailure(shard: UInt32(shard), error: error))
    }

    /// Ends every request whose deadline has passed with what is there.
    mutating func expireRequests() {
        for index in pending.indices where pending.isDue(index, now: now) {
            let code: OmenError.Code = pending[index].isWrite ? .unknownOutcome : .unavailable
            for shard in pending[index].awaited {
                fail(index, shard: shard, OmenError(code, "shard \(shard) did not answer in time"))
            }
            for shard in pending[index].createsAwaited {
                failCreate(
                    index,
                    shard: shard,
                    OmenError(code, "shard \(shard) did not create the collection in time")
                )
            }
            finish(index)
        }
    }

    /// Charges a request with what an answer to it takes here beyond what was expected.
    ///
    /// - Returns: Whether it may be kept. If not, the request ends with a failure: what was read
    ///   for it would take the memory of others, and reading can be repeated.
    mutating func keepsAnswer(_ byteCount: Int, of index: Int) -> Bool {
        pending[index].answerByteCount += byteCount
        let excess = pending[index].answerByteCount - pending[index].expectedAnswerByteCount
        guard excess > 0 else { return true }
        pending[index].expectedAnswerByteCount += excess
        pending[index].byteCount += excess
        memory.charge(excess)
        var used = 0
        if let client = pending[index].client {
            clients[client]?.requestByteCount += excess
            used = clients[client]?.usedByteCount ?? 0
        }
        let isAlone = pending[index].byteCount >= used
        guard
            memory.usedByteCount > memory.byteCountMax
                || (used > memory.clientByteCountMax && !isAlone)
        else { return true }
        pending[index].answerError = OmenError(
            .resourceExhausted,
            "the answers of the shards take \(pending[index].answerByteCount) bytes, for which there is no memory now: ask for less at once, or take the answers before",
            retryAfterMilliseconds: Limits.retryAfterMilliseconds
        )
        pending[index].dropAnswers()
        return false
    }

    mutating func finishIfComplete(_ index: Int) {
        if pending[index].isComplete { finish(index) }
    }

    /// Answers the client, if it is still there, and frees the place.
    private mutating func finish(_ index: Int) {
        var request = pending.remove(index)
        memory.settle(request.byteCount)
        if let client = request.client { clients[client]?.requestByteCount -= request.byteCount }
        if request.isAdmin { adminRequestsInFlight -= 1 }
        if let begunAt = request.begunAt { checkpointPace.took(now - begunAt) }
        if case .drop(let name, let key) = request.kind { dropEnded(name, key, request) }
        guard let client = request.client, clients[client] != nil else { return }
        request.failures.sort { $0.shard < $1.shard }
        settle(client, request.requestID, reply(to: request))
    }

    private func reply(to request: Pending) -> Message {
        if let error = request.answerError { return .failure(error) }
        switch request.kind {
        case .write: return writeReply(request)
        case .create, .drop: return writeReply(request)
        case .get(let ids, let shards, let element):
            return recordsReply(request, ids: ids, shards: shards, element: element)
        case .count:
            if let error = commonFailure(request) { return .failure(error) }
            return .counted(CountReply(count: request.total, coverage: coverage(request)))
        case .list:
            if let failure = request.failures.first { return .failure(failure.error) }
            return .listed(request.page ?? ListReply(order: 0, next: 0, ids: []))
        case .search(let shape): return searchReply(request, shape)
        case .status: return .clusterStatus(clusterStatus(request.statuses))
        case .checkpoint:
            guard let first = request.failures.first else { return .done }
            let shards = request.failures.map { Int($0.shard) }
            return .failure(
                OmenError(
                    first.error.code,
                    "shards \(shards) did not checkpoint: \(first.error.message)"
                )
            )
        }
    }

    func coverage(_ request: Pending) -> Coverage {
        Coverage(shardsTotal: UInt32(workers.count), failures: request.failures)
    }

    /// The error that speaks for the whole request when no shard did its part.
    ///
    /// Any unknown outcome makes the whole unknown; otherwise a code all shards agree on is passed
    /// on, and `.unavailable` sums up the rest.
    func commonFailure(_ request: Pending) -> OmenError? {
        guard let first = request.failures.first, request.failures.count >= request.targets.count
        else { return nil }
        if let unknown = request.failures.first(where: { $0.error.code == .unknownOutcome }) {
            return unknown.error
        }
        guard request.failures.allSatisfy({ $0.error.code == first.error.code }) else {
            let reasons = request.failures.map { "\($0.shard): \($0.error)" }
            return OmenError(
                .unavailable,
                "no shard answered: \(reasons.joined(separator: "; "))"
            )
        }
        return first.error
    }
}
