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
}
