internal import OmenCore
internal import OmenWire

/// Collections: created, dropped and cleared on all shards or on none.
extension CoordinatorCore {
    /// The catalog's entry for a usable collection; nil when it does not exist.
    ///
    /// - Throws: `.unavailable` when a shard that may know more cannot be asked, or while the
    ///   collection is being dropped; `.corrupt` when shards disagree about its schema.
    func entry(_ name: String) throws(OmenError) -> Int? {
        guard let index = catalog.find(name) else {
            try checkAllReady("whether collection \(name) exists is not known")
            guard !blockedNames.contains(name) else {
                throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
            }
            return nil
        }
        let entry = catalog[index]
        guard entry.dropRequests == 0, !entry.isCondemned else {
            throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
        }
        guard entry.conflicts.isEmpty else {
            throw OmenError(
                .corrupt,
                "collection \(name) has another schema on shards \(entry.conflicts): drop it or restore them"
            )
        }
        return index
    }

    func checkAllReady(_ consequence: String) throws(OmenError) {
        for shard in workers.indices where !ready.contains(shard) {
            throw OmenError(.unavailable, "\(unavailable(shard).message); \(consequence)")
        }
    }

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
        try checkRoom(for: workers.indices.map { (shard: $0, byteCount: 128) })
    }

    mutating func beginCreate(
        _ name: String,
        _ schema: CollectionSchema,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        let all = ShardSet(count: workers.count)
        if let found = try entry(name) {
            let entry = catalog[found]
            guard entry.schema == schema else {
                throw OmenError(.alreadyExists, "collection \(name) exists with another schema")
            }
            guard entry.present != all else {
                answer(client, requestID, .written(emptyWrite))
                return
            }
            try checkAllReady("collections are created on all shards or on none")
        } else {
            try checkCreatable(name, schema)
        }
        let request = Pending(
            client: client,
            requestID: requestID,
            kind: .create(name),
            byteCount: 128,
            targets: all
        )
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        createEverywhere(name, schema, owner: index)
    }

    /// Tells every shard to create a collection; the request at `owner` waits for their answers.
    mutating func createEverywhere(_ name: String, _ schema: CollectionSchema, owner: Int) {
        _ = catalog.insert(name, schema: schema)
        for shard in workers.indices {
            pending[owner].createsAwaited.insert(shard)
            sendInternal(.create(name), to: shard, owner: pending[owner].id)
        }
    }

    mutating func beginClear(
        _ name: String,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        _ = try entry(name)
        let index = try admitEverywhere(.write, client: client, requestID: requestID)
        sendEverywhere(.clearCollection(name: name), key: key, index: index)
    }

    /// Every shard measures with all queries of a sample.
    mutating func beginCalibrate(
        _ sample: QuerySample,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        guard let found = try entry(sample.collection) else {
            throw OmenError(.notFound, "collection \(sample.collection) does not exist")
        }
        let operation = WriteOperation.calibrate(
            try sample.validated(against: catalog[found].schema)
        )
        let byteCount = operation.encodedByteCount
        let index = try admitEverywhere(
            .write,
            client: client,
            requestID: requestID,
            byteCount: byteCount
        )
        sendEverywhere(operation, key: key, index: index, byteCount: byteCount)
    }

    /// Takes in a request that every shard has a part in, and sends nothing yet.
    ///
    /// Each shard is sent `byteCount` bytes later.
    mutating func admitEverywhere(
        _ kind: Pending.Kind,
        client: UInt64,
        requestID: UInt64,
        byteCount: Int = 128
    ) throws(OmenError) -> Int {
        try checkAllReady("this needs all shards, nothing was changed")
        try checkRoom(for: workers.indices.map { (shard: $0, byteCount: byteCount) })
        let all = ShardSet(count: workers.count)
        let request = Pending(
            client: client,
            requestID: requestID,
            kind: kind,
            byteCount: byteCount,
            targets: all,
            awaited: all
        )
        return try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
    }

    /// Sends a write of `byteCount` bytes to every shard that the request at `index` waits for.
    mutating func sendEverywhere(
        _ operation: WriteOperation,
        key: RequestKey,
        index: Int,
        byteCount: Int = 128
    ) {
        for shard in pending[index].awaited {
            send(
                .write(WriteRequest(key: key, operation: operation)),
                id: pending[index].id,
                byteCount: byteCount,
                to: shard
            )
        }
    }
}
