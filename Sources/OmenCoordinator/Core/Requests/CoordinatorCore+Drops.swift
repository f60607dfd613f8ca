internal import OmenCore
internal import OmenWire

/// Drops of collections: noted durably, applied everywhere under the client's key, then forgotten.
extension CoordinatorCore {
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
        let operation = WriteOperation.dropCollection(name: name)
        guard let found = catalog.find(name) else {
            // The shards know whether this repeats a drop that they have done.
            let index = try admitEverywhere(.drop(name, key), client: client, requestID: requestID)
            return sendEverywhere(operation, key: key, index: index)
        }
        guard catalog[found].dropRequests == 0, !catalog[found].isCondemned else {
            throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
        }
        let index = try admitEverywhere(.drop(name, key), client: client, requestID: requestID)
        catalog[found].dropRequests += 1
        pending[index].heldBefore = catalog[found].present.union(catalog[found].conflicts)
        pending[index].blocksCollection = true
        guard key.client != 0, workers.count > 1 else {
            // It is never repeated, or one shard does it wholly or not at all.
            return sendEverywhere(operation, key: key, index: index)
        }
        unfinishedDrops.append(UnfinishedDrop(name: name, key: key))
        dropsToSend.append(pending[index].id)
        storeDrops()
    }

    /// A client's drop is over, well or not: what some shards dropped, all have to.
    mutating func dropEnded(_ name: String, _ key: RequestKey, _ request: Pending) {
        guard request.blocksCollection, let index = catalog.find(name) else { return }
        catalog[index].dropRequests -= 1
        // Only a shard that had it and has it no more proves that this was no repetition.
        let isApplied = !request.dropConfirmed.intersection(request.heldBefore).isEmpty
        let isUnknown = request.failures.contains { $0.error.code == .unknownOutcome }
        let isSent = request.answerError == nil
        if isSent, isApplied || isUnknown {
            catalog[index].condemnedBy = key
        } else {
            forgetDrop(name, blocks: false)
        }
        // It may still be applied where it was not answered in time; what follows it on the same
        // stream tells.
        for shard in request.targets.subtracting(request.answered).intersection(ready) where isSent
        {
            sendInternal(.list(name, key), to: shard)
        }
        guard catalog[index].dropRequests == 0 else { return }
        catalog.removeIfGone(name)
        settleCondemned(name, blocks: !request.failures.isEmpty)
        reconcile()
    }

    /// Forgets a condemned collection once every shard is known not to have it; `blocks` as of
    /// `forgetDrop`.
    mutating func settleCondemned(_ name: String, blocks: Bool = true) {
        guard let index = catalog.find(name), catalog[index].isCondemned else { return }
        let entry = catalog[index]
        guard ready.count == workers.count, entry.present.isEmpty, entry.conflicts.isEmpty,
            entry.dropping.isEmpty, entry.creating.isEmpty
        else { return }
        absolve(name, blocks: blocks)
        catalog.removeIfGone(name)
    }

    /// The drop is finished, or was no drop of what is there; `blocks` as of `forgetDrop`.
    mutating func absolve(_ name: String, blocks: Bool) {
        if let index = catalog.find(name) { catalog[index].condemnedBy = nil }
        forgetDrop(name, blocks: blocks)
    }

    /// Condemns what an earlier coordinator began to drop, and forgets drops of what no shard has.
    mutating func recallDrops() {
        for drop in unfinishedDrops {
            if let index = catalog.find(drop.name) {
                guard catalog[index].dropRequests == 0, !catalog[index].isCondemned else {
                    continue
                }
                catalog[index].condemnedBy = drop.key
            } else if ready.count == workers.count {
                forgetDrop(drop.name, blocks: true)
            }
        }
    }

    /// Forgets a drop that is over.
    ///
    /// With `blocks` nobody may use the name before that is durable: not every shard knows the
    /// drop's key, and a coordinator that still had it would drop what was made there since.
    private mutating func forgetDrop(_ name: String, blocks: Bool) {
        guard unfinishedDrops.contains(where: { $0.name == name }) else { return }
        unfinishedDrops.removeAll { $0.name == name }
        if blocks { blockedNames.insert(name) }
        storeDrops()
    }

    /// Has the unfinished drops stored if they changed, unless that is under way already.
    mutating func storeDrops() {
        guard storingDrops == nil, unfinishedDrops != storedDrops else { return }
        storingDrops = unfinishedDrops
        out.append(.storeDrops(unfinishedDrops))
    }

    mutating func dropsStored() {
        guard let stored = storingDrops else { return }
        storedDrops = stored
        storingDrops = nil
        blockedNames = blockedNames.filter { name in stored.contains { $0.name == name } }
        let waiting = dropsToSend
        dropsToSend = []
        for id in waiting {
            guard let index = pending.index(of: id),
                case .drop(let name, let key) = pending[index].kind
            else { continue }
            guard storedDrops.contains(UnfinishedDrop(name: name, key: key)) else {
                dropsToSend.append(id)
                continue
            }
            sendEverywhere(.dropCollection(name: name), key: key, index: index)
        }
        storeDrops()
    }

    /// Nothing was sent: the drops that wait fail whole.
    ///
    /// Whatever else changed is stored later.
    mutating func dropsNotStored(reason: String) {
        storingDrops = nil
        let text = "the note of unfinished drops cannot be stored: \(reason)"
        out.append(.log(text))
        let waiting = dropsToSend
        dropsToSend = []
        for id in waiting {
            guard let index = pending.index(of: id) else { continue }
            pending[index].answerError = OmenError(.ioFailure, "\(text); nothing was dropped")
            pending[index].dropAnswers()
            finishIfComplete(index)
        }
    }
}
