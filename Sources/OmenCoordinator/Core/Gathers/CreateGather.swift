internal import OmenCore
internal import OmenWire

/// The creation of a collection, on all shards or on none.
///
/// The shards answer the coordinator's own requests, so that nothing is gathered but which of them
/// have done it.
struct CreateGather: Sendable {
    /// Why the part of a shard is missing that has not created the collection when time is up.
    static func lateness(of shard: Int) -> OmenError {
        OmenError(.unknownOutcome, "shard \(shard) did not create the collection in time")
    }

    /// Whether the collection is there, for the client.
    func reply(_ parts: ShardParts) -> Message {
        if let error = parts.commonFailure { return .failure(error) }
        return .written(WriteReply(counts: WriteCounts(), coverage: parts.coverage))
    }
}

extension CoordinatorCore {
    /// Begins a creation; one of a collection that is there with this schema is done at once.
    mutating func beginCreate(
        _ name: String,
        _ schema: CollectionSchema,
        for requester: Requester
    ) throws(OmenError) {
        if let found = try entry(name) {
            let entry = catalog[found]
            guard entry.schema == schema else {
                throw OmenError(.alreadyExists, "collection \(name) exists with another schema")
            }
            guard entry.present != ShardSet(count: directory.shardCount) else {
                return answer(requester, .written(emptyWrite))
            }
            try checkAllReady("collections are created on all shards or on none")
        } else {
            try checkCreatable(name, schema)
        }
        let request = PendingRequest(
            requester,
            .create(CreateGather()),
            parts: ShardParts(awaitingAllOf: directory.shardCount),
            byteCount: Limits.messageOverheadByteCount
        )
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        createEverywhere(name, schema, owner: index)
    }

    /// Makes sure that a collection can be created on all shards.
    ///
    /// - Throws: Why it cannot; nothing was changed then.
    func checkCreatable(_ name: String, _ schema: CollectionSchema) throws(OmenError) {
        try CollectionName.validate(name)
        try schema.validate()
        try checkAllReady("collections are created on all shards or on none")
        guard catalog.count < Limits.collectionCountMax else {
            throw OmenError(
                .resourceExhausted,
                "\(catalog.count) collections exist, at most \(Limits.collectionCountMax) may"
            )
        }
        try checkRoom(
            for: directory.shards.map { (shard: $0, byteCount: Limits.messageOverheadByteCount) }
        )
    }

    /// Tells every shard to create a collection; the request at `owner` waits for their answers.
    mutating func createEverywhere(_ name: String, _ schema: CollectionSchema, owner: Int) {
        _ = catalog.insert(name, schema: schema)
        for replica in workers.ids {
            sendInternal(.create(name), to: replica, owner: pending[owner].id)
        }
    }
}
