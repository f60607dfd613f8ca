internal import OmenCore
internal import OmenWire

/// Status and checkpoint: questions about the cluster itself.
extension CoordinatorCore {
    mutating func beginStatus(client: UInt64, requestID: UInt64) throws(OmenError) {
        let request = Pending(client: client, requestID: requestID, kind: .status, targets: ready)
        try askReady(request, .status, timeout: timing.readTimeout)
    }

    mutating func beginCheckpoint(client: UInt64, requestID: UInt64) throws(OmenError) {
        try checkRunning()
        var request = Pending(client: client, requestID: requestID, kind: .checkpoint)
        request.targets = ShardSet(count: workers.count)
        for shard in workers.indices where !ready.contains(shard) {
            request.failures.append(ShardFailure(shard: UInt32(shard), error: unavailable(shard)))
        }
        request.awaited = ready
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
            pending[index].begunAt = now
            for shard in pending[index].awaited.intersection(ready) {
                send(.checkpoint, id: id, byteCount: 128, to: shard)
            }
        }
    }

    /// Asks all ready shards, over their limits if need be: an overloaded cluster must still
    /// answer for itself, and these requests have a limit of their own.
    private mutating func askReady(
        _ request: Pending,
        _ message: Message,
        timeout: UInt64
    ) throws(OmenError) {
        var request = request
        request.awaited = ready
        let index = try admit(request, deadline: now.saturatingAdd(timeout))
        for shard in ready { send(message, id: pending[index].id, byteCount: 128, to: shard) }
        finishIfComplete(index)
    }

    func clusterStatus(_ statuses: [(shard: Int, status: ShardStatus)]) -> ClusterStatus {
        var reported = [ShardStatus?](repeating: nil, count: workers.count)
        for (shard, status) in statuses { reported[shard] = status }
        return ClusterStatus(
            pid: configuration.pid,
            uptimeMilliseconds: (now - min(startedAt, now)) / 1_000_000,
            socket: configuration.socketPath,
            workers: workers.enumerated().map { shard, worker in
                WorkerStatus(
                    shard: UInt32(shard),
                    pid: worker.life.pid,
                    state: worker.state,
                    restarts: worker.restarts,
                    lastError: worker.lastError,
                    shardStatus: reported[shard]
                )
            }
        )
    }
}
