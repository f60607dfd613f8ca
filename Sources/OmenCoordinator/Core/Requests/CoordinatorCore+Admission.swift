internal import OmenCore
internal import OmenWire

/// Admission: whether the coordinator and the shards have room for a request.
extension CoordinatorCore {
    /// Whether a client's next message, of `byteCount` bytes, is to be handled now.
    ///
    /// If not, ask again when the client has taken answers or one of its requests is done.
    package func mayHandle(client: UInt64, byteCount: Int) -> Bool {
        guard let used = clients[client]?.usedByteCount else { return true }
        return memory.mayHandle(byteCount: byteCount, used: used)
    }

    /// Notes how many bytes of answers wait to be taken by a client.
    package mutating func noteReplies(client: UInt64, byteCount: Int) {
        guard let state = clients[client] else { return }
        memory.changeReplies(by: byteCount - state.replyByteCount)
        clients[client]?.replyByteCount = byteCount
    }

    /// The same for all connections together whose clients are gone for the core.
    package mutating func noteClosingReplies(byteCount: Int) {
        memory.changeReplies(by: byteCount - closingReplyByteCount)
        closingReplyByteCount = byteCount
    }

    /// Takes a request in, with the bytes it and its answer may need.
    ///
    /// - Returns: The request's place in the table.
    /// - Throws: `.resourceExhausted` over a limit; nothing was changed then.
    mutating func admit(_ request: PendingRequest, deadline: UInt64) throws(OmenError) -> Int {
        var request = request
        request.byteCount += Limits.requestOverheadByteCount
        let isAdmin = request.gather.isAdmin
        if isAdmin {
            guard adminRequestsInFlight < Limits.adminRequestsInFlightMax else {
                throw OmenError(
                    .resourceExhausted,
                    "\(adminRequestsInFlight) status and checkpoint requests are in flight"
                )
            }
        } else {
            try checkCapacity(for: request.byteCount)
            try checkShare(of: request.requester?.client)
        }
        guard let index = pending.insert(request, deadline: deadline) else {
            throw OmenError(.resourceExhausted, "\(pending.count) requests are in flight")
        }
        if isAdmin { adminRequestsInFlight += 1 }
        memory.charge(request.byteCount)
        if let client = request.requester?.client {
            clients[client]?.requestsInFlight += 1
            clients[client]?.requestByteCount += request.byteCount
        }
        return index
    }

    /// Makes sure that one client has not too many requests in flight.
    ///
    /// - Throws: `.resourceExhausted` when it has.
    private func checkShare(of client: UInt64?) throws(OmenError) {
        guard let client, let inFlight = clients[client]?.requestsInFlight,
            inFlight >= Limits.clientRequestsInFlightMax
        else { return }
        throw OmenError(
            .resourceExhausted,
            "the client has \(inFlight) requests in flight, retry later",
            retryAfterMilliseconds: Limits.retryAfterMilliseconds
        )
    }

    /// Makes sure that a request of `byteCount` bytes fits beside all others.
    ///
    /// - Throws: `.resourceExhausted` when it does not.
    func checkCapacity(for byteCount: Int) throws(OmenError) {
        let inFlight = pending.count - adminRequestsInFlight
        guard inFlight < Limits.requestsInFlightMax else {
            throw OmenError(
                .resourceExhausted,
                "\(inFlight) requests are in flight, retry later",
                retryAfterMilliseconds: Limits.retryAfterMilliseconds
            )
        }
        guard memory.hasRoom(for: byteCount) else {
            throw OmenError(
                .resourceExhausted,
                "a request that takes \(byteCount) bytes does not fit beside \(memory.requestByteCount) bytes of requests in flight and \(memory.replyByteCount) bytes of answers to clients, limit \(memory.byteCountMax): retry later",
                retryAfterMilliseconds: Limits.retryAfterMilliseconds
            )
        }
    }

    /// Refuses work once the cluster stops, and before it began.
    func checkRunning() throws(OmenError) {
        switch phase {
        case .running: return
        case .starting: throw OmenError(.unavailable, "the cluster is starting")
        case .draining, .stopping, .finished:
            throw OmenError(.unavailable, "the cluster is stopping")
        }
    }

    /// Whether `byteCount` more may be sent to a shard now; reads (`forRead`) leave an eighth of
    /// the places to writes.
    func hasRoom(_ shard: Int, byteCount: Int, forRead: Bool = false) -> Bool {
        let replica = directory.replica(serving: shard)
        let limit = Limits.workerRequestsInFlightMax
        guard workers[replica].load.requestsInFlight < (forRead ? limit - limit / 8 : limit) else {
            return false
        }
        let bytesInFlight = workers[replica].load.bytesInFlight
        return bytesInFlight == 0 || bytesInFlight + byteCount <= Limits.workerBytesInFlightMax
    }

    /// Why a shard takes no more now.
    func overloaded(_ shard: Int) -> OmenError {
        let load = workers[directory.replica(serving: shard)].load
        return OmenError(
            .resourceExhausted,
            "shard \(shard) has \(load.requestsInFlight) requests of \(load.bytesInFlight) bytes in flight, retry later",
            retryAfterMilliseconds: max(
                Limits.retryAfterMilliseconds,
                Self.retryAfter(load.searches.nanoseconds(forQueries: 1) / 4)
            )
        )
    }

    /// Why a shard cannot be asked now.
    func unavailable(_ shard: Int) -> OmenError {
        let worker = workers[directory.replica(serving: shard)]
        guard worker.state != .ready else {
            return OmenError(.unavailable, "shard \(shard) does not have the collection yet")
        }
        let reason = worker.lastError.isEmpty ? "" : ": \(worker.lastError)"
        return OmenError(.unavailable, "shard \(shard) is \(worker.state)\(reason)")
    }

    /// Makes sure that shards have room for their parts.
    ///
    /// - Throws: `.resourceExhausted` naming the first that has none.
    func checkRoom(for parts: [(shard: Int, byteCount: Int)]) throws(OmenError) {
        for part in parts where !hasRoom(part.shard, byteCount: part.byteCount) {
            throw overloaded(part.shard)
        }
    }
}
