internal import OmenCore
internal import OmenWire

/// The orderly end: finish what is in flight, checkpoint, exit.
extension CoordinatorCore {
    mutating func beginStop(client: UInt64, requestID: UInt64) throws(OmenError) {
        guard stopRequesters.count < Limits.adminRequestsInFlightMax else {
            throw OmenError(.resourceExhausted, "\(stopRequesters.count) clients wait for the stop")
        }
        stopRequesters.append(StopRequester(client: client, requestID: requestID))
        clients[client]?.requestsInFlight += 1
        drain(why: "a client asked")
    }

    mutating func stopSignalled(_ signal: Int32) {
        switch phase {
        case .starting, .running: drain(why: "signal \(signal)")
        case .draining, .stopping:
            out.append(.log("signal \(signal) again: not waiting for checkpoints"))
            killAll()
            phase = .stopping(deadline: now.saturatingAdd(timing.heartbeatTimeout))
        case .finished: return
        }
    }

    private mutating func drain(why: String) {
        guard phase == .running || phase == .starting else { return }
        out.append(.log("stopping: \(why)"))
        out.append(.stopListening)
        phase = .draining(deadline: now.saturatingAdd(timing.drainTimeout))
        for shard in workers.indices {
            let worker = workers[shard]
            if worker.state == .backoff { workers[shard].state = .dead }
            // What is still recovering has nothing that its log has not.
            guard worker.isConnected, worker.state != .ready else { continue }
            giveUp(shard, reason: "the cluster stops")
        }
    }

    private mutating func killAll() {
        for shard in workers.indices where workers[shard].isConnected {
            giveUp(shard, reason: "the cluster stops at once")
        }
    }

    /// Takes the next step towards the end, where one is due; runs after every event.
    mutating func advanceStop() {
        if case .draining(let deadline) = phase {
            guard pending.count == 0 || now >= deadline else { return }
            phase = .stopping(deadline: now.saturatingAdd(timing.stopTimeout))
            for shard in ready {
                workers[shard].state = .draining
                sendInternal(.stop, to: shard)
            }
            ready = ShardSet()
        }
        guard case .stopping(let deadline) = phase else { return }
        if workers.contains(where: \.hasProcess) {
            guard now >= deadline else { return }
            guard workers.contains(where: \.isConnected) else {
                // Killed and still not gone; the kernel finishes that without us.
                if now >= deadline.saturatingAdd(timing.heartbeatTimeout) { finishStop() }
                return
            }
            killAll()
            return
        }
        // How far the shards came is known now; a later start compares.
        storeProgress()
        guard storingProgress == nil || now >= deadline else { return }
        finishStop()
    }

    private mutating func finishStop() {
        for index in pending.indices where pending.isTaken(index) {
            for shard in pending[index].awaited {
                fail(index, shard: shard, OmenError(.unknownOutcome, "the cluster stopped"))
            }
            for shard in pending[index].createsAwaited {
                failCreate(index, shard: shard, OmenError(.unknownOutcome, "the cluster stopped"))
            }
            finishIfComplete(index)
        }
        for requester in stopRequesters { settle(requester.client, requester.requestID, .done) }
        stopRequesters = []
        phase = .finished
        out.append(.finished(exitCode: stoppedUncleanly ? 1 : 0))
    }
}
