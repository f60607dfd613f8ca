internal import OmenCore
internal import OmenWire

/// Clients: who is there, what they may ask, and how they are answered.
extension CoordinatorCore {
    /// A client connected; it is refused when too many are there.
    mutating func connected(_ client: UInt64) {
        guard clients[client] == nil else { return }
        guard clients.count < configuration.connectionCountMax else {
            refuse(
                Requester(client: client, requestID: 0),
                OmenError(
                    .resourceExhausted,
                    "\(clients.count) connections are open, no more are taken"
                )
            )
            return
        }
        clients[client] = Client()
    }

    /// A client has sent its last request and may still read.
    mutating func ended(_ client: UInt64) {
        clients[client]?.hasEnded = true
        closeIfDone(client)
    }

    /// Closes the connection of a client that sends nothing more, once it has all its answers.
    private mutating func closeIfDone(_ client: UInt64) {
        guard let state = clients[client], state.hasEnded, state.requestsInFlight == 0 else {
            return
        }
        clients[client] = nil
        memory.changeReplies(by: -state.replyByteCount)
        out.append(.closeClient(client: client))
    }

    /// A client is gone.
    mutating func closed(_ client: UInt64) {
        guard let state = clients.removeValue(forKey: client) else { return }
        memory.changeReplies(by: -state.replyByteCount)
        stopRequesters.removeAll { $0.client == client }
        guard state.requestsInFlight > 0 else { return }
        // Writes already sent go on, and their answers are dropped; the places stay taken until
        // the workers answered, so that reconnecting does not evade the limits.
        for index in pending.indices
        where pending.isTaken(index) && pending[index].requester?.client == client {
            pending[index].requester = nil
        }
    }

    /// A client sent a message: the request begins, or is refused.
    mutating func received(_ envelope: Envelope, from client: UInt64) {
        guard clients[client] != nil else { return }
        let requester = Requester(client: client, requestID: envelope.requestID)
        do throws(OmenError) {
            switch envelope.message {
            case .write(let request): try begin(request, for: requester)
            case .get(let request): try begin(request, for: requester)
            case .count(let collection): try beginCount(collection, for: requester)
            case .list(let request): try begin(request, for: requester)
            case .search(let query): try begin(query, for: requester)
            case .shardSearch, .shardWrite:
                throw OmenError(.badRequest, "orders to shards are the coordinator's to give")
            case .listCollections: try listCollections(for: requester)
            case .status: try beginStatus(for: requester)
            case .checkpoint: try beginCheckpoint(for: requester)
            case .ping: answer(requester, .done)
            case .stop: try beginStop(for: requester)
            case .acceptLoss(let shard):
                try acceptLoss(shard)
                answer(requester, .done)
            case .failure(let error):
                // A request whose values break a limit is decoded to its own refusal.
                throw error
            case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus,
                .done, .listed, .announcement:
                closed(client)
                refuse(requester, OmenError(.protocolViolation, "a client sent a reply"))
            }
        } catch { answer(requester, .failure(error)) }
    }

    /// Answers with a failure and ends the connection.
    private mutating func refuse(_ requester: Requester, _ error: OmenError) {
        answer(requester, .failure(error))
        out.append(.closeClient(client: requester.client))
    }

    /// Answers a request at once.
    mutating func answer(_ requester: Requester, _ message: Message) {
        let envelope = Envelope(requestID: requester.requestID, message: message)
        out.append(.sendToClient(client: requester.client, envelope))
    }

    /// Answers a request that was counted in flight.
    mutating func settle(_ requester: Requester, _ message: Message) {
        guard let state = clients[requester.client] else { return }
        clients[requester.client]?.requestsInFlight = state.requestsInFlight - 1
        answer(requester, message)
        closeIfDone(requester.client)
    }

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
}
