internal import OmenCore
internal import OmenLoop
internal import OmenShard
internal import OmenSystem
internal import OmenWire

/// What the coordinator asks of a worker.
extension WorkerServer {
    /// A worker speaks for its own shard only.
    static let alone = Coverage(shardsTotal: 1)

    func handle(_ envelope: Envelope) {
        let id = envelope.requestID
        if case .ping = envelope.message {} else { busyAt = loop.now }
        switch envelope.message {
        case .shardWrite(let write): engine.write(write, ticket: id)
        case .shardSearch(let order):
            do throws(OmenError) {
                let search = try engine.store.beginSearch(order)
                let timeout = UInt64(order.request.timeoutMilliseconds) * 1_000_000
                searches.append(id, search, deadline: timeout > 0 ? loop.now + timeout : .max)
            } catch { send(id, .failure(error)) }
        case .get(let request): answer(id) { () throws(OmenError) in try get(request) }
        case .count(let collection):
            answer(id) { () throws(OmenError) in
                let count = try engine.store.collection(collection).vectorCount
                return .counted(CountReply(count: UInt64(count), coverage: Self.alone))
            }
        case .list(let request):
            answer(id) { () throws(OmenError) in .listed(try page(request)) }
        case .listCollections: send(id, .collections(collectionInfos))
        case .status: answer(id) { () throws(OmenError) in .shardStatus(try status()) }
        case .checkpoint: engine.checkpoint(ticket: id)
        case .ping: send(id, .done)
        case .stop:
            stopRequest = id
            engine.checkpoint(ticket: id)
        case .failure(let error):
            // A request whose values the decoder refused; this is its answer.
            send(id, .failure(error))
        case .search, .write:
            // What a client sends was not checked; the coordinator sends orders instead.
            send(id, .failure(OmenError(.protocolViolation, "a client's request came to a shard")))
        case .acceptLoss:
            send(id, .failure(OmenError(.protocolViolation, "the shard is open")))
        case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus, .done,
            .listed, .announcement:
            send(id, .failure(OmenError(.protocolViolation, "a reply came as a request")))
        }
    }

    private func answer(_ id: UInt64, _ body: () throws(OmenError) -> Message) {
        do throws(OmenError) { send(id, try body()) } catch { send(id, .failure(error)) }
    }

    private func page(_ request: ListRequest) throws(OmenError) -> ListReply {
        let collection = try engine.store.collection(request.collection)
        // No other process has the same orders.
        let order = orderBase &+ collection.orderCount
        guard request.start == 0 || request.order == order else {
            throw OmenError(.unavailable, "the records are in another order now: begin again")
        }
        let (ids, next) = collection.page(from: request.start)
        return ListReply(order: order, next: next, ids: ids)
    }

    private func get(_ request: GetRequest) throws(OmenError) -> Message {
        let collection = try engine.store.collection(request.collection)
        let records = try engine.store.records(
            request.ids,
            in: request.collection,
            withVector: request.withVector
        )
        return .records(
            RecordsReply(
                element: collection.schema.element,
                records: records.map {
                    Record(id: $0.id, metadata: $0.metadata, vector: $0.vector)
                },
                coverage: Self.alone
            )
        )
    }

    private func status() throws(OmenError) -> ShardStatus {
        ShardStatus(
            residentByteCount: UInt64(try ProcessMemory.residentByteCount()),
            logByteCount: UInt64(engine.logByteCount),
            appliedLSN: engine.core.appliedLSN,
            durableLSN: engine.core.durableLSN,
            checkpointLSN: engine.core.checkpointLSN,
            collections: engine.collectionStatuses
        )
    }
}
