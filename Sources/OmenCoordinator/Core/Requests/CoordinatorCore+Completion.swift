internal import OmenCore
internal import OmenWire

/// How a request ends: by its last answer, by a death or by its deadline.
extension CoordinatorCore {
    /// Takes one shard's answer to the request at `index`, which awaits it.
    mutating func answered(_ answer: WorkerAnswer, index: Int, replica: ReplicaID) {
        guard !pending[index].gather.isDrop else {
            return answeredDrop(answer, index: index, replica: replica)
        }
        let shard = replica.shard
        do throws(OmenError) {
            let cost = try pending[index].gather.take(answer, from: shard)
            if let sample = cost.metadata, let found = catalog.find(sample.collection) {
                catalog[found].learn(
                    metadataByteCount: sample.byteCount,
                    ofRecords: sample.recordCount
                )
            }
            charge(cost.heldByteCount, to: index)
            pending[index].parts.settle(shard, nil)
        } catch { pending[index].parts.settle(shard, error) }
        finishIfComplete(index)
    }

    /// Charges a request with what an answer to it takes here beyond what was expected.
    ///
    /// Where there is no memory for that, the request ends with a failure: what was read for it
    /// would take the memory of others, and reading can be repeated.
    private mutating func charge(_ byteCount: Int, to index: Int) {
        pending[index].answerByteCount += byteCount
        let excess = pending[index].answerByteCount - pending[index].expectedAnswerByteCount
        guard excess > 0 else { return }
        pending[index].expectedAnswerByteCount += excess
        pending[index].byteCount += excess
        memory.charge(excess)
        var used = 0
        if let client = pending[index].requester?.client {
            clients[client]?.requestByteCount += excess
            used = clients[client]?.usedByteCount ?? 0
        }
        let isAlone = pending[index].byteCount >= used
        guard
            memory.usedByteCount > memory.byteCountMax
                || (used > memory.clientByteCountMax && !isAlone)
        else { return }
        pending[index].refuse(
            OmenError(
                .resourceExhausted,
                "the answers of the shards take \(pending[index].answerByteCount) bytes, for which there is no memory now: ask for less at once, or take the answers before",
                retryAfterMilliseconds: Limits.retryAfterMilliseconds
            )
        )
    }

    /// Ends every request whose deadline has passed with what is there.
    mutating func expireRequests() {
        for index in pending.indices where pending.isDue(index, now: now) {
            pending[index].expire()
            finish(index)
        }
    }

    /// Ends a request that awaits nothing any more.
    mutating func finishIfComplete(_ index: Int) {
        if pending[index].isComplete { finish(index) }
    }

    /// Answers the client, if it is still there, and frees the place.
    private mutating func finish(_ index: Int) {
        let request = pending.remove(index)
        memory.settle(request.byteCount)
        if let client = request.requester?.client {
            clients[client]?.requestByteCount -= request.byteCount
        }
        if request.gather.isAdmin { adminRequestsInFlight -= 1 }
        switch request.gather {
        case .checkpoint(let gather):
            if let begunAt = gather.begunAt { checkpointPace.took(now - begunAt) }
        case .drop(let gather): dropEnded(gather, request)
        case .write, .create, .get, .count, .list, .search, .status: break
        }
        guard let requester = request.requester, clients[requester.client] != nil else { return }
        settle(requester, reply(to: request))
    }

    /// What the client is told.
    private func reply(to request: PendingRequest) -> Message {
        if let refusal = request.refusal { return .failure(refusal) }
        let parts = request.parts
        switch request.gather {
        case .write(let gather): return gather.reply(parts)
        case .create(let gather): return gather.reply(parts)
        case .drop(let gather): return gather.reply(parts)
        case .get(let gather): return gather.reply(parts)
        case .count(let gather): return gather.reply(parts)
        case .list(let gather): return gather.reply(parts)
        case .search(let gather): return gather.reply(parts)
        case .status(let gather): return .clusterStatus(clusterStatus(gather))
        case .checkpoint(let gather): return gather.reply(parts)
        }
    }
}
