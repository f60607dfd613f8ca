internal import OmenCore
internal import OmenWire

/// The lives of the workers: started, watched, killed, started again, given up.
extension CoordinatorCore {
    /// Has a worker started whose last process has ended.
    mutating func spawn(_ shard: Int, acceptingLoss: Bool = false) {
        workers[shard].begin(now: now, acceptsLoss: acceptingLoss)
        out.append(
            .spawn(
                shard: UInt32(shard),
                incarnation: workers[shard].incarnation,
                acceptsLoss: acceptingLoss
            )
        )
    }

    /// The driver has started a worker's process.
    mutating func spawned(_ shard: UInt32, incarnation: UInt64, pid: UInt32) {
        guard let shard = current(shard, incarnation) else { return }
        switch workers[shard].life {
        case .absent: return
        case .connected(var session):
            session.pid = pid
            session.lastHeardAt = now
            workers[shard].life = .connected(session)
        case .leaving(var departure):
            departure.pid = pid
            workers[shard].life = .leaving(departure)
        }
    }

    /// No process could be started, often for want of memory or processes.
    ///
    /// It is tried again, later and later, but does not count as a death of the shard.
    mutating func spawnFailed(_ shard: UInt32, incarnation: UInt64, reason: String) {
        guard let shard = current(shard, incarnation) else { return }
        abandon(shard, reason: "cannot start the worker: \(reason)")
        workers[shard].life = .absent(.stopped)
        guard phase == .running else { return }
        backOff(shard)
    }

    /// A worker's connection ended.
    mutating func connectionLost(_ shard: UInt32, incarnation: UInt64, reason: String) {
        guard let shard = current(shard, incarnation), let session = workers[shard].session else {
            return
        }
        guard case .draining = session.standing else {
            // How it exits says more than that its connection ended.
            let reason = reason.isEmpty ? "its connection ended" : reason
            return giveUp(shard, reason: reason, cause: .killed(isExplained: false))
        }
        // It was told to exit, and closing its socket is part of that. From now on it has as long
        // to exit as a killed one has.
        abandon(shard, reason: "it stopped")
        workers[shard].depart(.stopping, now: now)
    }

    /// A worker's process ended.
    mutating func exited(_ shard: UInt32, incarnation: UInt64, status: Int64, signal: Int32) {
        guard let shard = current(shard, incarnation) else { return }
        let how = signal != 0 ? "killed by signal \(signal)" : "exited with status \(status)"
        let life = workers[shard].life
        let isExpected = life.state == .draining && status == 0 && signal == 0
        out.append(.log("shard \(shard) worker \(life.pid) \(how)"))
        abandon(shard, reason: life.isExplained || isExpected ? nil : how)
        guard life.state != .quarantined else {
            workers[shard].life = .absent(.quarantined)
            return
        }
        workers[shard].life = .absent(.stopped)
        guard phase == .running else {
            let wasServing = life.state == .ready || life.state == .draining
            if wasServing, !isExpected { stoppedUncleanly = true }
            return
        }
        countDeath(shard, readyAt: life.readyAt)
    }

    /// Counts a death, and decides whether the worker is started again.
    private mutating func countDeath(_ shard: Int, readyAt: UInt64?) {
        let most = max(1, configuration.restartsInWindowMax)
        let isHopeless = workers[shard].record.noteDeath(
            at: now,
            readyAt: readyAt,
            deathCountMax: most,
            timing: timing
        )
        guard isHopeless else { return backOff(shard) }
        workers[shard].life = .absent(.failed)
        out.append(
            .log("shard \(shard) died \(most) times in a row, given up: an operator must look")
        )
    }

    /// Has a worker that has ended started again after a wait.
    private mutating func backOff(_ shard: Int) {
        let wait = workers[shard].record.nextWait(timing)
        workers[shard].life = .absent(.backoff(until: now.saturatingAdd(wait)))
    }

    /// Stops listening to a worker and kills it; its end has to be reported before the next starts.
    mutating func giveUp(
        _ shard: Int,
        reason: String,
        cause: WorkerDeparture.Cause = .killed(isExplained: true)
    ) {
        guard let session = workers[shard].session else { return }
        out.append(.log("shard \(shard) is given up: \(reason)"))
        if phase != .running, session.readyAt != nil { stoppedUncleanly = true }
        abandon(shard, reason: reason)
        workers[shard].depart(cause, now: now)
        kill(shard)
    }

    /// Has a worker killed that was given up.
    mutating func kill(_ shard: Int) {
        guard case .leaving(var departure) = workers[shard].life else { return }
        departure.askedAt = now
        workers[shard].life = .leaving(departure)
        out.append(.kill(shard: UInt32(shard), incarnation: workers[shard].incarnation))
    }

    /// Ends the shard's part of everything in flight: reads go without it, writes are unknown.
    private mutating func abandon(_ shard: Int, reason: String?) {
        if let reason { workers[shard].noteError(reason) }
        ready.remove(shard)
        workers[shard].load.forgetRequests()
        catalog.forget(shard: shard)
        let cause = "shard \(shard) died: \(workers[shard].lastError)"
        for index in pending.indices where pending.isTaken(index) {
            guard pending[index].awaited.contains(shard) else { continue }
            pending[index].fail(shard, OmenError(pending[index].gather.silenceCode, cause))
            finishIfComplete(index)
        }
    }
}
