internal import OmenCore
internal import OmenWire

/// A checkpoint: every shard writes what its log holds to shard files.
struct CheckpointGather: Sendable {
    /// When the shards were told; nil while the request waits for its turn.
    var begunAt: UInt64?

    /// Takes one shard's word that it is done.
    ///
    /// - Throws: Why it is not: a failure, or an answer to something else.
    func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        let message = try answer.succeeded()
        guard case .done = message else { throw .outOfTurn(message, shard: shard) }
        return AnswerCost()
    }

    /// Whether all shards did it, for the client.
    func reply(_ parts: ShardParts) -> Message {
        let failures = parts.coverage.failures
        guard let first = failures.first else { return .done }
        let shards = failures.map { Int($0.shard) }
        return .failure(
            OmenError(
                first.error.code,
                "shards \(shards) did not checkpoint: \(first.error.message)"
            )
        )
    }
}

extension CoordinatorCore {
    /// Begins a checkpoint, which waits for its turn where others were made just before.
    mutating func beginCheckpoint(for requester: Requester) throws(OmenError) {
        try checkRunning()
        var parts = ShardParts(of: directory.shardCount)
        for shard in directory.shards {
            if ready.contains(shard) {
                parts.expect(shard)
            } else {
                parts.miss(shard, unavailable(shard))
            }
        }
        let request = PendingRequest(requester, .checkpoint(CheckpointGather()), parts: parts)
        let index = try admit(request, deadline: now.saturatingAdd(timing.checkpointTimeout))
        delayedCheckpoints.append(pending[index].id)
        finishIfComplete(index)
        startCheckpoints()
    }

    /// Tells the shards to write checkpoints, if it is time: all that clients have asked for since
    /// the last ones are one.
    mutating func startCheckpoints() {
        guard !delayedCheckpoints.isEmpty else { return }
        checkpointPace.refill(now: now)
        guard checkpointPace.take() else { return }
        let ids = delayedCheckpoints
        delayedCheckpoints = []
        for id in ids {
            guard let index = pending.index(of: id) else { continue }
            pending[index].gather = .checkpoint(CheckpointGather(begunAt: now))
            for shard in pending[index].parts.awaited.intersection(ready) {
                send(.checkpoint, id: id, byteCount: Limits.messageOverheadByteCount, to: shard)
            }
        }
    }
}
