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

    /// A repeated drop must not hit a collection created since, so the client's key goes along and
    /// the shards tell repetitions apart.
    ///
    /// What was really dropped is then read back from each shard: a repetition drops nothing.
    mutating func beginDrop(
        _ name: String,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try CollectionName.validate(name)
        let index = try beginEverywhere(
            .dropCollection(name: name),
            kind: .drop(name, key),
            key: key,
            client: client,
            requestID: requestID
        )
        guard let found = catalog.find(name) else { return }
        catalog[found].dropRequests += 1
        pending[index].heldBefore = catalog[found].present.union(catalog[found].conflicts)
        pending[index].blocksCollection = true
    }

    mutating func beginClear(
        _ name: String,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        _ = try entry(name)
        _ = try beginEverywhere(
            .clearCollection(name: name),
            kind: .write,
            key: key,
            client: client,
            requestID: requestID
        )
    }

    private mutating func beginEverywhere(
        _ operation: WriteOperation,
        kind: Pending.Kind,
        key: RequestKey,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) -> Int {
        try checkAllReady("schema changes need all shards, nothing was changed")
        try checkRoom(for: workers.indices.map { (shard: $0, byteCount: 128) })
        let all = ShardSet(count: workers.count)
        let request = Pending(
            client: client,
            requestID: requestID,
            kind: kind,
            byteCount: 128,
            targets: all,
            awaited: all
        )
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        for shard in workers.indices {
            send(
                .write(WriteRequest(key: key, operation: operation)),
                id: pending[index].id,
                byteCount: 128,
                to: shard
            )
        }
        return index
    }

    /// A client's drop is over, well or not: what some shards dropped, all have to.
    mutating func dropEnded(_ name: String, _ key: RequestKey, _ request: Pending) {
        guard request.blocksCollection, let index = catalog.find(name) else { return }
        catalog[index].dropRequests -= 1
        // Only a shard that had it and has it no more proves that this was no repetition.
        if !request.dropConfirmed.intersection(request.heldBefore).isEmpty {
            catalog[index].condemnedBy = key
        }
        // It may still be applied where it was not answered in time; what follows it on the same
        // stream tells.
        for shard in request.targets.subtracting(request.answered).intersection(ready) {
            sendInternal(.list(name, key), to: shard)
        }
        guard catalog[index].dropRequests == 0 else { return }
        catalog.removeIfGone(name)
        settleCondemned(name)
        reconcile()
    }

    /// Forgets a condemned collection once every shard is known not to have it.
    mutating func settleCondemned(_ name: String) {
        guard let index = catalog.find(name), catalog[index].isCondemned else { return }
        let entry = catalog[index]
        guard ready.count == workers.count, entry.present.isEmpty, entry.conflicts.isEmpty,
            entry.dropping.isEmpty, entry.creating.isEmpty
        else { return }
        catalog[index].condemnedBy = nil
        catalog.removeIfGone(name)
    }
}
