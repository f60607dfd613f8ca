internal import OmenCore
internal import OmenWire

/// Reads: get, count, the lists of ids and of collections.
extension CoordinatorCore {
    mutating func begin(
        _ request: GetRequest,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        let ids = request.ids
        guard ids.count <= Limits.batchCountMax else {
            throw OmenError(
                .badRequest,
                "\(ids.count) ids in one request, expected at most \(Limits.batchCountMax)"
            )
        }
        for id in ids { try id.validate() }
        let found = try existing(request.collection)
        let schema = catalog[found].schema
        guard !ids.isEmpty else {
            let coverage = Coverage(shardsTotal: UInt32(workers.count))
            let reply = RecordsReply(element: schema.element, records: [], coverage: coverage)
            answer(client, requestID, .records(reply))
            return
        }
        let parts = split(ids)
        var shards = [UInt8](repeating: 0, count: ids.count)
        for (shard, indices) in parts { for index in indices { shards[index] = UInt8(shard) } }
        let vectorByteCount = request.withVector ? schema.vectorByteCount : 0
        let kind = Pending.Kind.get(ids: ids, shards: shards, element: schema.element)
        var pending = Pending(client: client, requestID: requestID, kind: kind)
        pending.expectedAnswerByteCount = catalog[found].answerByteCount(
            records: ids.count,
            metadata: true,
            vectorByteCount: vectorByteCount
        )
        // The ids are kept, sent to the workers, and come back with the records.
        pending.byteCount = 3 * RecordID.encodedByteCount(ids) + pending.expectedAnswerByteCount
        let messages = parts.map { shard, indices in
            var part = request
            part.ids = indices.map { ids[$0] }
            return (shard: shard, message: Message.get(part))
        }
        try ask(messages, of: pending, about: found, timeout: timing.readTimeout)
    }

    mutating func beginCount(
        _ collection: String,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        let found = try existing(collection)
        let pending = Pending(client: client, requestID: requestID, kind: .count, byteCount: 128)
        let messages = workers.indices.map {
            (shard: $0, message: Message.count(collection: collection))
        }
        try ask(messages, of: pending, about: found, timeout: timing.readTimeout)
    }

    /// Asks one shard for a page of ids.
    mutating func begin(
        _ request: ListRequest,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        let found = try existing(request.collection)
        guard let shard = Int(exactly: request.shard), workers.indices.contains(shard) else {
            throw OmenError(
                .badRequest,
                "shard \(request.shard), expected 0...\(workers.count - 1)"
            )
        }
        var pending = Pending(client: client, requestID: requestID, kind: .list)
        pending.byteCount = Limits.batchCountMax * 32
        pending.expectedAnswerByteCount = pending.byteCount
        let message = (shard: shard, message: Message.list(request))
        try ask([message], of: pending, about: found, timeout: timing.readTimeout)
    }

    mutating func listCollections(client: UInt64, requestID: UInt64) throws(OmenError) {
        try checkRunning()
        // Every shard has every collection, so that one ready shard knows them all.
        guard !ready.isEmpty else {
            throw OmenError(.unavailable, "no shard is ready, so the collections are not known")
        }
        answer(client, requestID, .collections(collections))
    }

    func existing(_ collection: String) throws(OmenError) -> Int {
        guard let found = try entry(collection) else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return found
    }

    /// Asks every shard that serves the collection; the others' parts are missing.
    ///
    /// - Throws: when no shard can be asked, with the reason, or one of them has no room.
    mutating func ask(
        _ parts: [(shard: Int, message: Message)],
        of request: Pending,
        about found: Int,
        timeout: UInt64
    ) throws(OmenError) {
        var request = request
        let entry = catalog[found]
        request.collection = entry.name
        var sendable: [(shard: Int, message: Message, byteCount: Int)] = []
        for (shard, message) in parts {
            let byteCount = message.chargedByteCount
            guard try target(shard, of: &request, about: entry, byteCount: byteCount) else {
                continue
            }
            sendable.append((shard, message, byteCount))
        }
        if let error = commonFailure(request) { throw error }
        request.emptyIfMissing = entry.creating.subtracting(entry.present)
        let index = try admit(request, deadline: now.saturatingAdd(timeout))
        for (shard, message, byteCount) in sendable {
            sendRead(message, index: index, byteCount: byteCount, to: shard)
        }
    }

    /// Notes a shard's part of a request: awaited, or missing when it cannot be asked now.
    ///
    /// - Returns: Whether it can be asked.
    /// - Throws: `.resourceExhausted` when the shard has no room. A client that asks again later
    ///   gets the whole answer; a partial one now would cost the other shards as much.
    func target(
        _ shard: Int,
        of request: inout Pending,
        about entry: CatalogEntry,
        byteCount: Int
    ) throws(OmenError) -> Bool {
        request.targets.insert(shard)
        guard entry.serving.contains(shard) else {
            let failure = ShardFailure(shard: UInt32(shard), error: unavailable(shard))
            request.failures.append(failure)
            return false
        }
        guard hasRoom(shard, byteCount: byteCount, forRead: true) else { throw overloaded(shard) }
        request.awaited.insert(shard)
        return true
    }

    /// The records in the order of the request.
    ///
    /// Each shard answers in the order it was asked, so that one walk over the ids joins them.
    func recordsReply(
        _ request: Pending,
        ids: [RecordID],
        shards: [UInt8],
        element: ElementType
    ) -> Message {
        if let error = commonFailure(request) { return .failure(error) }
        var heads = [ArraySlice<Record>](repeating: [], count: workers.count)
        var element = element
        for (shard, reply) in request.recordReplies {
            heads[shard] = reply.records[...]
            element = reply.element
        }
        var records: [Record] = []
        records.reserveCapacity(heads.reduce(0) { $0 + $1.count })
        for (id, shard) in zip(ids, shards) {
            guard let head = heads[Int(shard)].first, head.id == id else { continue }
            records.append(heads[Int(shard)].removeFirst())
        }
        return .records(
            RecordsReply(element: element, records: records, coverage: coverage(request))
        )
    }
}
