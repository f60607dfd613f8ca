internal import OmenCore
internal import OmenWire

/// A status: every ready shard tells about itself.
struct StatusGather: Sendable {
    /// What the shards reported so far.
    private(set) var statuses: [(shard: Int, status: ShardStatus)] = []

    /// Takes one shard's report.
    ///
    /// - Throws: Why there is none: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        let message = try answer.succeeded()
        guard case .shardStatus(let status) = message else {
            throw .outOfTurn(message, shard: shard)
        }
        statuses.append((shard, status))
        return AnswerCost()
    }
}

extension CoordinatorCore {
    /// Begins a status: asks all ready shards, over their limits if need be.
    ///
    /// An overloaded cluster must still answer for itself, and these requests have a limit of their
    /// own.
    mutating func beginStatus(for requester: Requester) throws(OmenError) {
        var parts = ShardParts(of: directory.shardCount)
        for shard in ready { parts.expect(shard) }
        let request = PendingRequest(requester, .status(StatusGather()), parts: parts)
        let index = try admit(request, deadline: now.saturatingAdd(timing.readTimeout))
        for shard in ready {
            send(
                .status,
                id: pending[index].id,
                byteCount: Limits.messageOverheadByteCount,
                to: shard
            )
        }
        finishIfComplete(index)
    }

    /// What the client is told: of every shard what the core knows, and what its worker reported.
    func clusterStatus(_ gather: StatusGather) -> ClusterStatus {
        var reported = [ShardStatus?](repeating: nil, count: directory.shardCount)
        for (shard, status) in gather.statuses { reported[shard] = status }
        return ClusterStatus(
            pid: configuration.pid,
            uptimeMilliseconds: (now - min(startedAt, now)) / 1_000_000,
            socket: configuration.endpoint.description,
            workers: zip(workers.ids, workers.values).map { replica, worker in
                WorkerStatus(
                    shard: UInt32(replica.shard),
                    pid: worker.life.pid,
                    state: worker.state,
                    restarts: worker.restarts,
                    lastError: worker.lastError,
                    shardStatus: reported[replica.shard]
                )
            }
        )
    }
}
