internal import OmenCore
internal import OmenWire

/// What happens because time passes.
extension CoordinatorCore {
    /// Time has passed: does everything that is due.
    mutating func tick() {
        guard phase != .starting else { return }
        forgiveOwnSleep()
        lastTickAt = now
        expireRequests()
        startCheckpoints()
        for replica in workers.ids { watch(replica) }
        if phase == .running, now >= reconcileAt { reconcile() }
    }

    /// After a pause of the coordinator itself (SIGSTOP, a debugger) no worker had a chance to be
    /// heard: the pause does not count as their silence.
    private mutating func forgiveOwnSleep() {
        let pause = now - lastTickAt
        guard pause > timing.tickGapMax else { return }
        let now = now
        for replica in workers.ids {
            workers[replica].update {
                $0.lastHeardAt = min(now, $0.lastHeardAt.saturatingAdd(pause))
            }
        }
    }

    /// Does for one worker what is due: a start, a ping, or a kill.
    private mutating func watch(_ replica: ReplicaID) {
        switch workers[replica].life {
        case .absent(.backoff(let until)):
            if phase == .running, now >= until { spawn(replica) }
        case .absent: return
        case .leaving(let departure):
            // A process the kernel holds on to dies when it lets go; asking again costs nothing.
            if now - departure.askedAt >= timing.heartbeatTimeout { kill(replica) }
        case .connected(let session):
            let silence = now - session.lastHeardAt
            guard silence < timing.heartbeatTimeout else {
                let seconds = silence / 1_000_000_000
                let state = session.standing.state
                return giveUp(replica, reason: "no sign of life for \(seconds) s while \(state)")
            }
            guard session.standing != .spawning, session.pingID == nil,
                now - session.pingSentAt >= timing.heartbeatInterval
            else { return }
            ping(replica)
        }
    }

    /// Asks a worker for a sign of life.
    private mutating func ping(_ replica: ReplicaID) {
        internalSequence += 1
        let id = Self.internalIDBit | internalSequence
        let now = now
        workers[replica].update {
            $0.pingID = id
            $0.pingSentAt = now
        }
        sendUncharged(Envelope(requestID: id, message: .ping), to: replica)
    }
}
