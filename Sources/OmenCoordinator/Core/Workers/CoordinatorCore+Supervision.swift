internal import OmenCore
internal import OmenWire

/// The lives of the workers: started, watched, killed, started again, given up.
extension CoordinatorCore {
    /// Has a worker started whose last process has ended.
    mutating func spawn(_ replica: ReplicaID, acceptingLoss: Bool = false) {
        workers[replica].begin(now: now, acceptsLoss: acceptingLoss)
        out.append(
            .spawn(
                replica: replica,
                incarnation: workers[replica].incarnation,
                acceptsLoss: acceptingLoss
            )
        )
    }

    /// The driver has started a worker's process.
    mutating func spawned(_ replica: ReplicaID, incarnation: UInt64, pid: UInt32) {
        guard isCurrent(replica, incarnation) else { return }
        switch workers[replica].life {
        case .absent: return
        case .connected(var session):
            session.pid = pid
            session.lastHeardAt = now
            workers[replica].life = .connected(session)
        case .leaving(var departure):
            departure.pid = pid
            workers[replica].life = .leaving(departure)
        }
    }

    /// No process could be started, often for want of memory or processes.
    ///
    /// It is tried again, later and later, but does not count as a death of the shard.
    mutating func spawnFailed(_ replica: ReplicaID, incarnation: UInt64, reason: String) {
        guard isCurrent(replica, incarnation) else { return }
        workers[replica].noteError("cannot start the worker: \(reason)")
        abandon(replica)
        workers[replica].life = .absent(.stopped)
        guard phase == .running else { return }
        let wait = workers[replica].record.nextWait(timing)
        backOff(replica, for: wait)
    }

    /// A worker's connection ended; `cause` is why its process leaves, unless it was told to.
    mutating func connectionLost(
        _ replica: ReplicaID,
        incarnation: UInt64,
        reason: String,
        cause: WorkerDeparture.Cause
    ) {
        guard isCurrent(replica, incarnation), let session = workers[replica].session else {
            return
        }
        guard case .draining = session.standing else {
            return giveUp(replica, reason: reason, cause: cause)
        }
        // It was told to exit, and closing its socket is part of that. From now on it has as long
        // to exit as a killed one has.
        workers[replica].depart(.stopping, reason: "it stopped", now: now)
        abandon(replica)
    }

    /// A worker's process ended.
    mutating func exited(_ replica: ReplicaID, incarnation: UInt64, status: Int64, signal: Int32) {
        guard isCurrent(replica, incarnation) else { return }
        let how = signal != 0 ? "killed by signal \(signal)" : "exited with status \(status)"
        let life = workers[replica].life
        let isExpected = life.state == .draining && status == 0 && signal == 0
        out.append(.log("shard \(replica.shard) worker \(life.pid) \(how)"))
        if !life.isExplained, !isExpected { workers[replica].noteError(how) }
        abandon(replica)
        guard life.state != .quarantined else {
            workers[replica].life = .absent(.quarantined)
            return
        }
        workers[replica].life = .absent(.stopped)
        guard phase == .running else {
            let wasServing = life.state == .ready || life.state == .draining
            if wasServing, !isExpected { stoppedUncleanly = true }
            return
        }
        countDeath(replica, readyAt: life.readyAt)
    }

    /// Counts a death, and decides whether the worker is started again.
    private mutating func countDeath(_ replica: ReplicaID, readyAt: UInt64?) {
        let most = max(1, configuration.restartsInWindowMax)
        let wait = workers[replica].record.waitAfterDeath(
            at: now,
            readyAt: readyAt,
            deathCountMax: most,
            timing: timing
        )
        if let wait { return backOff(replica, for: wait) }
        workers[replica].life = .absent(.failed)
        out.append(
            .log(
                "shard \(replica.shard) died \(most) times in a row, given up: an operator must look"
            )
        )
    }

    /// Has a worker that has ended started again after a wait, in nanoseconds.
    private mutating func backOff(_ replica: ReplicaID, for wait: UInt64) {
        workers[replica].life = .absent(.backoff(until: now.saturatingAdd(wait)))
    }

    /// Stops listening to a worker and kills it; its end has to be reported before the next starts.
    mutating func giveUp(
        _ replica: ReplicaID,
        reason: String,
        cause: WorkerDeparture.Cause = .killed(isExplained: true)
    ) {
        guard let session = workers[replica].session else { return }
        out.append(.log("shard \(replica.shard) is given up: \(reason)"))
        if phase != .running, session.readyAt != nil { stoppedUncleanly = true }
        workers[replica].depart(cause, reason: reason, now: now)
        abandon(replica)
        kill(replica)
    }

    /// Has a worker killed that was given up.
    mutating func kill(_ replica: ReplicaID) {
        guard case .leaving(var departure) = workers[replica].life else { return }
        departure.askedAt = now
        workers[replica].life = .leaving(departure)
        out.append(.kill(replica: replica, incarnation: workers[replica].incarnation))
    }

    /// Ends the shard's part of everything in flight: reads go without it, writes are unknown.
    ///
    /// Clients are told the worker's last error as the cause.
    private mutating func abandon(_ replica: ReplicaID) {
        ready.remove(replica.shard)
        workers[replica].load.forgetRequests()
        catalog.forget(shard: replica.shard)
        let cause = "shard \(replica.shard) died: \(workers[replica].lastError)"
        for index in pending.indices where pending.isTaken(index) {
            guard pending[index].awaited.contains(replica.shard) else { continue }
            pending[index].fail(replica.shard, OmenError(pending[index].gather.silenceCode, cause))
            finishIfComplete(index)
        }
    }
}
