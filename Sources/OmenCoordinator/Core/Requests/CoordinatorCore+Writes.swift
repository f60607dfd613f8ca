internal import OmenCore
internal import OmenWire

/// Upserts and deletes: validated whole, split by slot, answered per shard.
extension CoordinatorCore {
    mutating func begin(
        _ request: WriteRequest,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        switch request.operation {
        case .createCollection(let name, let schema):
            try beginCreate(name, schema, client: client, requestID: requestID)
        case .dropCollection(let name):
            try beginDrop(name, key: request.key, client: client, requestID: requestID)
        case .clearCollection(let name):
            try beginClear(name, key: request.key, client: client, requestID: requestID)
        case .calibrate(let sample):
            try beginCalibrate(sample, key: request.key, client: client, requestID: requestID)
        case .upsert(let batch):
            try beginUpsert(batch, key: request.key, client: client, requestID: requestID)
        case .delete(let collection, let ids):
            try beginDelete(
                collection,
                ids,
                key: request.key,
                client: client,
                requestID: requestID
            )
        }
    }

    private mutating func beginUpsert(
        _ batch: UpsertBatch,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        guard let found = try entry(batch.collection) else {
            try beginCreatingUpsert(batch, key: key, client: client, requestID: requestID)
            return
        }
        // Before validation, so that an overloaded cluster refuses cheaply.
        try checkCapacity(for: batch.encodedByteCount)
        try checkConvertedSize(batch, catalog[found].schema)
        let metadataByteCount = batch.metadata.reduce(0) { $0 + $1.count }
        catalog[found].learn(metadataByteCount: metadataByteCount, ofRecords: batch.ids.count)
        let valid = try batch.validated(against: catalog[found].schema)
        let parts = split(valid)
        let request = Pending(
            client: client,
            requestID: requestID,
            byteCount: valid.encodedByteCount
        )
        try forward(parts, of: request, key: key, to: catalog[found].serving)
    }

    /// The first upsert makes the collection: everywhere, on the same ordered streams, before its
    /// own parts.
    private mutating func beginCreatingUpsert(
        _ batch: UpsertBatch,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        let schema = CollectionSchema(dim: batch.dim, element: batch.element)
        try checkCreatable(batch.collection, schema)
        let valid = try batch.validated(against: schema)
        let parts = split(valid)
        try checkRoom(for: parts.map { ($0.shard, $0.operation.encodedByteCount) })
        let request = Pending(
            client: client,
            requestID: requestID,
            byteCount: valid.encodedByteCount
        )
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        createEverywhere(batch.collection, schema, owner: index)
        sendParts(parts, index: index, key: key)
    }

    private mutating func beginDelete(
        _ collection: String,
        _ ids: [RecordID],
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        guard ids.count <= Limits.batchCountMax else {
            throw OmenError(
                .badRequest,
                "\(ids.count) ids in one request, expected at most \(Limits.batchCountMax)"
            )
        }
        for id in ids { try id.validate() }
        // A collection that is gone is asked for all the same: the shards know whether this is the
        // repetition of a delete they applied while it was there.
        let serving = try entry(collection).map { catalog[$0].serving } ?? ready
        guard !ids.isEmpty else {
            answer(client, requestID, .written(emptyWrite))
            return
        }
        let parts = split(ids).map { shard, indices in
            WritePart(
                shard: shard,
                operation: .delete(collection: collection, ids: indices.map { ids[$0] })
            )
        }
        let byteCount = RecordID.encodedByteCount(ids)
        let request = Pending(client: client, requestID: requestID, byteCount: byteCount)
        try forward(parts, of: request, key: key, to: serving)
    }

    var emptyWrite: WriteReply {
        WriteReply(
            counts: WriteCounts(),
            coverage: Coverage(shardsTotal: UInt32(workers.count))
        )
    }

    /// Sends the parts of shards that serve; the others' fail at once and are never re-routed.
    ///
    /// - Throws: `.resourceExhausted` where a shard has no room for its part, so that nothing is
    ///   applied by halves for want of memory; `.unavailable` when no shard can take its part.
    private mutating func forward(
        _ parts: [WritePart],
        of request: Pending,
        key: RequestKey,
        to serving: ShardSet
    ) throws(OmenError) {
        var request = request
        var sendable: [WritePart] = []
        for part in parts {
            request.targets.insert(part.shard)
            if serving.contains(part.shard) {
                sendable.append(part)
            } else {
                request.failures.append(
                    ShardFailure(shard: UInt32(part.shard), error: unavailable(part.shard))
                )
            }
        }
        if sendable.isEmpty, let error = commonFailure(request) { throw error }
        try checkRoom(for: sendable.map { ($0.shard, $0.operation.encodedByteCount) })
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        sendParts(sendable, index: index, key: key)
    }

    private mutating func sendParts(_ parts: [WritePart], index: Int, key: RequestKey) {
        for part in parts {
            pending[index].targets.insert(part.shard)
            pending[index].awaited.insert(part.shard)
            send(
                .write(WriteRequest(key: key, operation: part.operation)),
                id: pending[index].id,
                byteCount: part.operation.encodedByteCount,
                to: part.shard
            )
        }
    }

    /// Converting bytes to floats makes a batch four times as large: refused before that is done.
    private func checkConvertedSize(
        _ batch: UpsertBatch,
        _ schema: CollectionSchema
    ) throws(OmenError) {
        guard schema.element.byteCount > batch.element.byteCount else { return }
        let growth = batch.vectors.count * (schema.element.byteCount - batch.element.byteCount)
        let byteCount = batch.encodedByteCount + growth
        guard byteCount > Limits.frameBodyByteCountMax - 4096 else { return }
        throw OmenError(
            .badRequest,
            "the batch takes \(byteCount) bytes as the collection stores it, a message holds \(Limits.frameBodyByteCountMax): send fewer at once"
        )
    }

    func checkRoom(for parts: [(shard: Int, byteCount: Int)]) throws(OmenError) {
        for part in parts where !hasRoom(part.shard, byteCount: part.byteCount) {
            throw overloaded(part.shard)
        }
    }

    func writeReply(_ request: Pending) -> Message {
        var request = request
        if case .create = request.kind {
            request.failures = request.createFailures
        } else {
            // "Not found" only says that the creation before it failed; why is in its own answer.
            for index in request.failures.indices
            where request.failures[index].error.code == .notFound {
                let shard = request.failures[index].shard
                if let cause = request.createFailures.first(where: { $0.shard == shard }) {
                    request.failures[index] = cause
                }
            }
        }
        request.failures.sort { $0.shard < $1.shard }
        if let error = commonFailure(request) { return .failure(error) }
        return .written(WriteReply(counts: request.counts, coverage: coverage(request)))
    }
}
