internal import OmenCore
internal import OmenWire

/// A drop of a collection, on all shards under the client's key.
///
/// A shard that answers is asked what is left: a repetition of an older drop answers as if it had
/// dropped something, and drops nothing.
struct DropGather: Sendable {
    /// Name of the collection.
    let name: String
    /// The client's key, under which every shard drops it.
    let key: RequestKey
    /// Shards that had the collection when the drop began; nil when nobody knew the collection, so
    /// that the drop does not keep other requests from it.
    var heldBefore: ShardSet?
    /// Shards that had it before and have it no more.
    private(set) var confirmed = ShardSet()
    /// Sums over the shards that did their part.
    private var counts = WriteCounts()

    /// A drop that no shard was told.
    ///
    /// - Parameters:
    ///   - name: Name of the collection.
    ///   - key: The client's key.
    init(_ name: String, key: RequestKey) {
        self.name = name
        self.key = key
    }

    /// Takes one shard's counts.
    ///
    /// - Throws: Why the shard's part is missing: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        let message = try answer.succeeded()
        guard case .written(let reply) = message else { throw .outOfTurn(message, shard: shard) }
        counts += reply.counts
        return AnswerCost()
    }

    /// Notes that a shard does not have the collection any more.
    mutating func confirm(_ shard: Int) { confirmed.insert(shard) }

    /// Whether shards certainly dropped what is there now: only a shard that had the collection
    /// and has it no more proves that this was no repetition.
    var isApplied: Bool { !confirmed.intersection(heldBefore ?? ShardSet()).isEmpty }

    /// What was dropped and where, for the client.
    func reply(_ parts: ShardParts) -> Message {
        if let error = parts.commonFailure { return .failure(error) }
        return .written(WriteReply(counts: counts, coverage: parts.coverage))
    }
}

extension CoordinatorCore {
    /// Begins a drop.
    ///
    /// A repeated drop must not hit a collection created since, so the client's key goes along and
    /// the shards tell repetitions apart.
    mutating func beginDrop(
        _ name: String,
        key: RequestKey,
        for requester: Requester
    ) throws(OmenError) {
        try CollectionName.validate(name)
        let drop = ShardWrite(key: key, operation: .dropCollection(name: name))
        var gather = DropGather(name, key: key)
        guard let found = catalog.find(name) else {
            // The shards know whether this repeats a drop that they have done.
            let index = try admitEverywhere(.drop(gather), of: drop, for: requester)
            return sendEverywhere(drop, index: index)
        }
        guard catalog[found].dropRequests == 0, !catalog[found].isCondemned else {
            throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
        }
        gather.heldBefore = catalog[found].present.union(catalog[found].conflicts)
        let index = try admitEverywhere(.drop(gather), of: drop, for: requester)
        catalog[found].dropRequests += 1
        guard key.client != 0, directory.shardCount > 1 else {
            // It is never repeated, or one shard does it wholly or not at all.
            return sendEverywhere(drop, index: index)
        }
        unfinishedDrops.append(UnfinishedDrop(name: name, key: key))
        dropsToSend.append(pending[index].id)
        storeDrops()
    }

    /// A shard answered its part of a drop; it stays awaited until it has said what is left.
    mutating func answeredDrop(_ answer: WorkerAnswer, index: Int, replica: ReplicaID) {
        let shard = replica.shard
        guard let drop = pending[index].gather.drop,
            !pending[index].parts.answered.contains(shard)
        else { return }
        do throws(OmenError) {
            _ = try pending[index].gather.take(answer, from: shard)
            pending[index].parts.noteAnswer(shard, nil)
        } catch { pending[index].parts.noteAnswer(shard, error) }
        sendInternal(.list(drop.name, drop.key), to: replica, owner: pending[index].id)
    }

    /// A client's drop is over, well or not: what some shards dropped, all have to.
    mutating func dropEnded(_ drop: DropGather, _ request: PendingRequest) {
        guard drop.heldBefore != nil, let index = catalog.find(drop.name) else { return }
        catalog[index].dropRequests -= 1
        let failures = request.parts.failures
        let isUnknown = failures.contains { $0.error.code == .unknownOutcome }
        let isSent = request.refusal == nil
        if isSent, drop.isApplied || isUnknown {
            catalog[index].condemnedBy = drop.key
        } else {
            forgetDrop(drop.name, blocks: false)
        }
        // It may still be applied where it was not answered in time; what follows it on the same
        // stream tells.
        let silent = request.parts.targets.subtracting(request.parts.answered)
        for shard in silent.intersection(ready) where isSent {
            sendInternal(.list(drop.name, drop.key), to: directory.replica(serving: shard))
        }
        guard catalog[index].dropRequests == 0 else { return }
        catalog.removeIfGone(drop.name)
        settleCondemned(drop.name, blocks: !failures.isEmpty)
        reconcile()
    }
}
