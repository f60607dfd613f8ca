internal import OmenCore
internal import OmenWire

/// A write that is no creation and no drop: each shard applies its part of an upsert or a delete,
/// or all of a clearing or a calibration.
struct WriteGather: Sendable {
    /// Sums over the shards that applied their part.
    private var counts = WriteCounts()
    /// The creation of the collection, where the write makes it; nil where it is there.
    var creation: ShardParts?
    /// Whether the collection was there when the write began.
    private let wasThere: Bool

    /// A write that no shard has answered.
    ///
    /// - Parameters:
    ///   - creation: As the property.
    ///   - wasThere: As the property.
    init(creation: ShardParts? = nil, wasThere: Bool) {
        self.creation = creation
        self.wasThere = wasThere
    }

    /// Takes one shard's counts.
    ///
    /// - Throws: Why the shard's part is missing. After an answer to something else nobody knows
    ///   what was done.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        let message = try answer.succeeded()
        guard case .written(let reply) = message else {
            throw OmenError(
                .unknownOutcome,
                OmenError.outOfTurn(message, shard: shard).message
            )
        }
        counts += reply.counts
        return AnswerCost()
    }

    /// What was written and where, for the client.
    func reply(_ parts: ShardParts) -> Message {
        var parts = parts
        if let creation {
            // "Not found" only says that the creation before it failed; why is in its own answer.
            parts.replaceFailures { failure in
                guard failure.error.code == .notFound else { return failure }
                return creation.failures.first { $0.shard == failure.shard } ?? failure
            }
        } else if wasThere {
            // A shard whose part of the creation failed gets the collection later; where it was
            // dropped meanwhile, the next try says so.
            parts.replaceFailures { failure in
                guard failure.error.code == .notFound else { return failure }
                let text = "shard \(failure.shard) does not have the collection, retry later"
                return ShardFailure(shard: failure.shard, error: OmenError(.unavailable, text))
            }
        }
        if let error = parts.commonFailure { return .failure(error) }
        return .written(WriteReply(counts: counts, coverage: parts.coverage))
    }
}

extension CoordinatorCore {
    /// Begins any kind of write.
    mutating func begin(_ request: WriteRequest, for requester: Requester) throws(OmenError) {
        try checkRunning()
        let key = request.key
        switch request.operation {
        case .createCollection(let name, let schema):
            try beginCreate(name, schema, for: requester)
        case .dropCollection(let name): try beginDrop(name, key: key, for: requester)
        case .clearCollection(let name): try beginClear(name, key: key, for: requester)
        case .calibrate(let sample): try beginCalibrate(sample, key: key, for: requester)
        case .upsert(let batch): try beginUpsert(batch, key: key, for: requester)
        case .delete(let collection, let ids):
            try beginDelete(collection, ids, key: key, for: requester)
        }
    }

    /// Begins an upsert: validates the whole batch, and sends each shard its part.
    private mutating func beginUpsert(
        _ batch: UpsertBatch,
        key: RequestKey,
        for requester: Requester
    ) throws(OmenError) {
        guard let found = try entry(batch.collection) else {
            return try beginCreatingUpsert(batch, key: key, for: requester)
        }
        // Before validation, so that an overloaded cluster refuses cheaply.
        try checkCapacity(for: batch.encodedByteCount)
        try checkStoredSize(batch, catalog[found].schema)
        let metadataByteCount = batch.metadata.reduce(0) { $0 + $1.count }
        catalog[found].learn(metadataByteCount: metadataByteCount, ofRecords: batch.ids.count)
        let valid = try batch.validated(against: catalog[found].schema)
        let request = PendingRequest(
            requester,
            .write(WriteGather(wasThere: true)),
            parts: ShardParts(of: directory.shardCount),
            byteCount: valid.batch.encodedByteCount
        )
        try forward(split(valid, key: key), of: request, to: catalog[found].serving)
    }

    /// Begins the first upsert, which makes the collection: everywhere, on the same ordered
    /// streams, before its own parts.
    private mutating func beginCreatingUpsert(
        _ batch: UpsertBatch,
        key: RequestKey,
        for requester: Requester
    ) throws(OmenError) {
        let schema = CollectionSchema(dim: batch.dim, element: batch.element)
        try checkCreatable(batch.collection, schema)
        try checkStoredSize(batch, schema)
        let valid = try batch.validated(against: schema)
        let parts = split(valid, key: key)
        try checkRoom(for: parts.map { ($0.shard, $0.write.chargedByteCount) })
        let request = PendingRequest(
            requester,
            .write(
                WriteGather(
                    creation: ShardParts(awaitingAllOf: directory.shardCount),
                    wasThere: false
                )
            ),
            parts: ShardParts(of: directory.shardCount),
            byteCount: valid.batch.encodedByteCount
        )
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        createEverywhere(batch.collection, schema, owner: index)
        sendParts(parts, index: index)
    }

    /// Begins a delete: sends each shard its part of the ids.
    private mutating func beginDelete(
        _ collection: String,
        _ ids: [RecordID],
        key: RequestKey,
        for requester: Requester
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
        let found = try entry(collection)
        let serving = found.map { catalog[$0].serving } ?? ready
        guard !ids.isEmpty else { return answer(requester, .written(emptyWrite)) }
        let parts = split(ids).map { shard, indices in
            let operation = CheckedOperation.delete(
                collection: collection,
                ids: indices.map { ids[$0] }
            )
            return WritePart(shard: shard, write: ShardWrite(key: key, operation: operation))
        }
        let request = PendingRequest(
            requester,
            .write(WriteGather(wasThere: found != nil)),
            parts: ShardParts(of: directory.shardCount),
            byteCount: RecordID.encodedByteCount(ids)
        )
        try forward(parts, of: request, to: serving)
    }

    /// Begins a clearing: every shard lets go of its records of a collection.
    private mutating func beginClear(
        _ name: String,
        key: RequestKey,
        for requester: Requester
    ) throws(OmenError) {
        let gather = WriteGather(wasThere: try entry(name) != nil)
        let write = ShardWrite(key: key, operation: .clearCollection(name: name))
        let index = try admitEverywhere(.write(gather), of: write, for: requester)
        sendEverywhere(write, index: index)
    }

    /// Begins a calibration: every shard measures with all queries of a sample.
    private mutating func beginCalibrate(
        _ sample: QuerySample,
        key: RequestKey,
        for requester: Requester
    ) throws(OmenError) {
        let schema = catalog[try existing(sample.collection)].schema
        let checked = CheckedOperation.calibrate(try sample.validated(against: schema))
        let write = ShardWrite(key: key, operation: checked)
        let gather = WriteGather(wasThere: true)
        let index = try admitEverywhere(.write(gather), of: write, for: requester)
        sendEverywhere(write, index: index)
    }

    /// The answer to a write that asks for nothing.
    var emptyWrite: WriteReply {
        WriteReply(counts: WriteCounts(), coverage: ShardParts(of: directory.shardCount).coverage)
    }

    /// Makes sure that the whole batch fits one order, for all of it may belong to one shard.
    ///
    /// Bytes that become floats make a batch four times as large, and an order is some bytes longer
    /// than a client's request, which may just fit.
    private func checkStoredSize(
        _ batch: UpsertBatch,
        _ schema: CollectionSchema
    ) throws(OmenError) {
        let growth = schema.element.byteCount - batch.element.byteCount
        let elementCount = batch.vectors.count / batch.element.byteCount
        let byteCount = batch.encodedByteCount + elementCount * growth
        guard byteCount + Limits.messageOverheadByteCount > Limits.frameBodyByteCountMax else {
            return
        }
        throw OmenError(
            .badRequest,
            "the batch takes \(byteCount) bytes as the collection stores it, a message holds \(Limits.frameBodyByteCountMax): send fewer at once"
        )
    }
}
