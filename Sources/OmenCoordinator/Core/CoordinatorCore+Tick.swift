internal import OmenCore
internal import OmenWire

/// What happens because time passes.
extension CoordinatorCore {
    mutating func tick() {
        guard phase != .starting else { return }
        forgiveOwnSleep()
        lastTickAt = now
        expireRequests()
        startCheckpoints()
        for shard in workers.indices { watch(shard) }
        if phase == .running, now >= reconcileAt { reconcile() }
    }

    /// After a pause of the coordinator itself (SIGSTOP, a debugger) no worker had a chance to be
    /// heard: the pause does not count as their silence.
    private mutating func forgiveOwnSleep() {
        let pause = now - lastTickAt
        guard pause > timing.tickGapMax else { return }
        for shard in workers.indices {
            workers[shard].lastHeardAt = min(now, workers[shard].lastHeardAt.saturatingAdd(pause))
        }
    }

    private mutating func watch(_ shard: Int) {
        let worker = workers[shard]
        if worker.hasProcess, worker.isGivenUp {
            // A process the kernel holds on to dies when it lets go; asking again costs nothing.
            if now - worker.killSentAt >= timing.heartbeatTimeout { kill(shard) }
            return
        }
        guard worker.hasProcess else {
            if phase == .running, worker.state == .backoff, now >= worker.respawnAt { spawn(shard) }
            return
        }
        if now - worker.lastHeardAt >= timing.heartbeatTimeout {
            let seconds = (now - worker.lastHeardAt) / 1_000_000_000
            giveUp(shard, reason: "no sign of life for \(seconds) s while \(worker.state)")
            return
        }
        guard worker.state != .spawning, worker.pingID == nil,
            now - worker.pingSentAt >= timing.heartbeatInterval
        else { return }
        internalSequence += 1
        let id = Self.internalIDBit | internalSequence
        workers[shard].pingID = id
        workers[shard].pingSentAt = now
        out.append(
            .sendToWorker(
                shard: UInt32(shard),
                incarnation: worker.incarnation,
                Envelope(requestID: id, message: .ping)
            )
        )
    }
}
