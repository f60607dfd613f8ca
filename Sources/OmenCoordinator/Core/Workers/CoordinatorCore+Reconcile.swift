internal import OmenCore
internal import OmenWire

/// The coordinator's own requests, which bring the shards' collections into agreement.
extension CoordinatorCore {
    /// Asks something of a worker on the coordinator's own account.
    ///
    /// A creation gets a key that was never used: it repeats without harm, while a key derived from
    /// a client's would make a shard take a needed creation for the repetition of one that was
    /// dropped since. A drop is finished under the key of the client's: when that client sends it
    /// again, no shard does it again, whatever was created under the name since.
    mutating func sendInternal(
        _ kind: InternalRequest.Kind,
        to replica: ReplicaID,
        owner: UInt64? = nil
    ) {
        internalSequence += 1
        let key = RequestKey(client: configuration.nonce, sequence: internalSequence)
        let message: Message
        switch kind {
        case .create(let name):
            guard let index = catalog.find(name) else { return }
            catalog[index].creating.insert(replica.shard)
            let create = CheckedOperation.createCollection(
                name: name,
                schema: catalog[index].schema
            )
            message = .shardWrite(ShardWrite(key: key, operation: create))
        case .drop(let name, let dropKey):
            if let index = catalog.find(name) { catalog[index].dropping.insert(replica.shard) }
            let drop = CheckedOperation.dropCollection(name: name)
            message = .shardWrite(ShardWrite(key: dropKey, operation: drop))
        case .list, .verify: message = .listCollections
        case .stop: message = .stop
        }
        let id = Self.internalIDBit | internalSequence
        workers[replica].load.append(InternalRequest(id: id, kind: kind, owner: owner))
        send(message, id: id, byteCount: Limits.messageOverheadByteCount, to: replica)
    }

    /// Set in the ids of the coordinator's own requests.
    static let internalIDBit: UInt64 = 1 << 63

    /// A worker answered a request of the coordinator's own.
    mutating func internalAnswered(_ message: Message, to requestID: UInt64, by replica: ReplicaID)
    {
        guard let request = workers[replica].load.removeInternal(requestID) else { return }
        switch request.kind {
        case .create(let name):
            createAnswered(name, message, by: replica, owner: request.owner)
        case .drop(let name, let key): dropAnswered(name, key, message, by: replica)
        case .list(let name, let key):
            listAnswered(name, key, message, shard: replica.shard, owner: request.owner)
        case .verify(let name, let key):
            verifyAnswered(name, key, message, shard: replica.shard)
        case .stop: return
        }
    }

    /// A worker created a collection, or did not.
    private mutating func createAnswered(
        _ name: String,
        _ message: Message,
        by replica: ReplicaID,
        owner: UInt64?
    ) {
        let shard = replica.shard
        let failure = writeFailure(message, shard: shard)
        if let index = catalog.find(name) {
            catalog[index].creating.remove(shard)
            if failure == nil {
                catalog[index].present.insert(shard)
            } else if failure?.code == .alreadyExists {
                noteConflict(index, on: replica)
            }
        }
        if let failure {
            out.append(
                .log("shard \(shard) did not create collection \(name): \(failure)")
            )
            if catalog.find(name).map({ catalog[$0].dropRequests == 0 }) == true {
                catalog.removeIfGone(name)
            }
        }
        settleCondemned(name)
        guard let owner, let index = pending.index(of: owner) else { return }
        pending[index].creationAnswered(shard, failure)
        finishIfComplete(index)
    }

    /// A worker finished a drop, or did not.
    private mutating func dropAnswered(
        _ name: String,
        _ key: RequestKey,
        _ message: Message,
        by replica: ReplicaID
    ) {
        let shard = replica.shard
        guard let index = catalog.find(name) else { return }
        if let failure = writeFailure(message, shard: shard) {
            catalog[index].dropping.remove(shard)
            if failure.code == .notFound {
                clearPresence(index, shard: shard)
            } else {
                out.append(.log("shard \(shard) did not drop collection \(name): \(failure)"))
            }
            settleCondemned(name)
            return
        }
        // A shard that knows the key answers so, too, and drops nothing.
        sendInternal(.verify(name, key), to: replica)
    }

    /// A worker told what it has after a drop that the coordinator finished.
    private mutating func verifyAnswered(
        _ name: String,
        _ key: RequestKey,
        _ message: Message,
        shard: Int
    ) {
        guard let index = catalog.find(name) else { return }
        catalog[index].dropping.remove(shard)
        guard case .collections(let collections) = message else { return }
        if collections.contains(where: { $0.name == name }) {
            guard catalog[index].condemnedBy == key else { return }
            // The shard had done this drop before: what it has was created since, and stays.
            absolve(name, blocks: false)
            out.append(.log("shard \(shard) has collection \(name) since after its drop: kept"))
            reconcile()
            return
        }
        clearPresence(index, shard: shard)
        settleCondemned(name)
    }

    /// A worker told what it has after a client's drop.
    private mutating func listAnswered(
        _ name: String,
        _ key: RequestKey,
        _ message: Message,
        shard: Int,
        owner: UInt64?
    ) {
        let request = owner.flatMap { pending.index(of: $0) }
        if case .collections(let collections) = message, let index = catalog.find(name) {
            let held = catalog[index].present.contains(shard)
            if collections.contains(where: { $0.name == name }) {
                if !catalog[index].conflicts.contains(shard) {
                    catalog[index].present.insert(shard)
                }
            } else {
                clearPresence(index, shard: shard)
                if let request {
                    pending[request].gather.drop?.confirm(shard)
                } else if held {
                    // The drop's answer came after its deadline; it was applied all the same.
                    catalog[index].condemnedBy = key
                    reconcile()
                }
            }
        }
        if let request {
            pending[request].parts.settle(shard, nil)
            finishIfComplete(request)
        }
        settleCondemned(name)
    }

    /// A shard does not have a collection any more.
    private mutating func clearPresence(_ index: Int, shard: Int) {
        catalog[index].present.remove(shard)
        catalog[index].conflicts.remove(shard)
    }

    /// Takes in what a worker says it holds when it becomes ready.
    mutating func learn(_ collections: [CollectionInfo], from replica: ReplicaID) {
        let shard = replica.shard
        for index in catalog.indices {
            catalog[index].conflicts.remove(shard)
            catalog[index].present.remove(shard)
        }
        for collection in collections {
            let index = catalog.insert(collection.name, schema: collection.schema)
            if catalog[index].schema == collection.schema {
                catalog[index].present.insert(shard)
            } else {
                noteConflict(index, on: replica)
            }
        }
        recallDrops()
        for entry in catalog.entries where entry.isCondemned { settleCondemned(entry.name) }
    }

    /// A shard has a collection with another schema than the others.
    private mutating func noteConflict(_ index: Int, on replica: ReplicaID) {
        catalog[index].present.remove(replica.shard)
        catalog[index].conflicts.insert(replica.shard)
        let text =
            "collection \(catalog[index].name) has another schema here than on the other shards"
        workers[replica].noteError(text)
        out.append(.log("shard \(replica.shard): \(text)"))
    }

    /// Creates collections where ready shards lack them, and finishes drops.
    mutating func reconcile() {
        guard phase == .running else { return }
        reconcileAt = now.saturatingAdd(timing.reconcileInterval)
        storeDrops()
        for entry in catalog.entries where entry.dropRequests == 0 {
            if let key = entry.condemnedBy {
                let holders = entry.present.union(entry.conflicts).intersection(ready)
                for shard in holders.subtracting(entry.dropping) {
                    sendInternal(.drop(entry.name, key), to: directory.replica(serving: shard))
                }
            } else {
                let known = entry.present.union(entry.creating).union(entry.conflicts)
                for shard in ready.subtracting(known) {
                    sendInternal(.create(entry.name), to: directory.replica(serving: shard))
                }
            }
        }
    }

    /// Nil when a worker's answer to a write says that it was applied.
    func writeFailure(_ message: Message, shard: Int) -> OmenError? {
        if case .written = message { return nil }
        if case .failure(let error) = message { return error }
        return .outOfTurn(message, shard: shard)
    }
}
