internal import OmenCore
internal import OmenWire

/// The orderly end: finish what is in flight, checkpoint, exit.
extension CoordinatorCore {
    /// A client asked for the stop, and is answered when everything has ended.
    mutating func beginStop(for requester: Requester) throws(OmenError) {
        guard stopRequesters.count < Limits.adminRequestsInFlightMax else {
            throw OmenError(.resourceExhausted, "\(stopRequesters.count) clients wait for the stop")
        }
        stopRequesters.append(requester)
        clients[requester.client]?.requestsInFlight += 1
        drain(why: "a client asked")
    }

    /// The process was asked to stop; a second signal kills instead of waiting.
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

    /// Begins the end: takes no new work, and waits for what is in flight.
    private mutating func drain(why: String) {
        guard phase == .running || phase == .starting else { return }
        out.append(.log("stopping: \(why)"))
        out.append(.stopListening)
        phase = .draining(deadline: now.saturatingAdd(timing.drainTimeout))
        for replica in workers.ids {
            switch workers[replica].life {
            case .absent(.backoff): workers[replica].life = .absent(.stopped)
            case .connected(let session) where session.readyAt == nil:
                // What is still recovering has nothing that its log has not.
                giveUp(replica, reason: "the cluster stops")
            case .absent, .connected, .leaving: continue
            }
        }
    }

    /// Kills every worker that is connected.
    private mutating func killAll() {
        for replica in workers.ids where workers[replica].session != nil {
            giveUp(replica, reason: "the cluster stops at once")
        }
    }

    /// Takes the next step towards the end, where one is due; runs after every event.
    mutating func advanceStop() {
        if case .draining(let deadline) = phase {
            guard pending.count == 0 || now >= deadline else { return }
            phase = .stopping(deadline: now.saturatingAdd(timing.stopTimeout))
            for shard in ready {
                let replica = directory.replica(serving: shard)
                workers[replica].update { session in
                    guard case .serving(let since) = session.standing else { return }
                    session.standing = .draining(since: since)
                }
                sendInternal(.stop, to: replica)
            }
            ready = ShardSet()
        }
        guard case .stopping(let deadline) = phase else { return }
        if workers.values.contains(where: \.life.hasProcess) {
            guard now >= deadline else { return }
            guard workers.values.contains(where: { $0.session != nil }) else {
                // Killed and still not gone; the kernel finishes that without us.
                if now >= deadline.saturatingAdd(timing.heartbeatTimeout) { finishStop() }
                return
            }
            killAll()
            return
        }
        // How far the shards came is known now; a later start compares.
        storeDirectory()
        guard storingDirectory == nil || now >= deadline else { return }
        finishStop()
    }

    /// Ends: fails what is still in flight, and answers everyone who asked for the stop.
    private mutating func finishStop() {
        for index in pending.indices where pending.isTaken(index) {
            for shard in pending[index].awaited {
                pending[index].fail(shard, OmenError(.unknownOutcome, "the cluster stopped"))
            }
            finishIfComplete(index)
        }
        for requester in stopRequesters { settle(requester, .done) }
        stopRequesters = []
        phase = .finished
        out.append(.finished(exitCode: stoppedUncleanly ? 1 : 0))
    }
}
