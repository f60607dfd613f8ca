internal import OmenCore
internal import OmenWire

/// The lives of the workers: started, watched, killed, started again, given up.
extension CoordinatorCore {
    mutating func spawn(_ shard: Int, acceptingLoss: Bool = false) {
        precondition(!workers[shard].hasProcess, "shard \(shard) still has a process")
        workers[shard].incarnation += 1
        if workers[shard].incarnation > 1 { workers[shard].restarts &+= 1 }
        workers[shard].state = .spawning
        workers[shard].hasProcess = true
        workers[shard].isGivenUp = false
        workers[shard].hasReason = false
        workers[shard].pid = 0
        workers[shard].readyAt = nil
        workers[shard].replayed = 0
        workers[shard].acceptsLoss = acceptingLoss
        workers[shard].unserved = nil
        workers[shard].lastHeardAt = now
        workers[shard].pingSentAt = now
        out.append(
            .spawn(
                shard: UInt32(shard),
                incarnation: workers[shard].incarnation,
                acceptsLoss: acceptingLoss
            )
        )
    }

    mutating func spawned(_ shard: UInt32, incarnation: UInt64, pid: UInt32) {
        guard let shard = current(shard, incarnation) else { return }
        workers[shard].pid = pid
        workers[shard].lastHeardAt = now
    }

    /// No process, often for want of memory or processes: tried again, later and later, but not
    /// counted as a death of the shard.
    mutating func spawnFailed(_ shard: UInt32, incarnation: UInt64, reason: String) {
        guard let shard = current(shard, incarnation) else { return }
        abandon(shard, reason: "cannot start the worker: \(reason)")
        workers[shard].hasProcess = false
        workers[shard].state = .dead
        guard phase == .running else { return }
        backOff(shard)
    }

    mutating func connectionLost(_ shard: UInt32, incarnation: UInt64, reason: String) {
        guard let shard = current(shard, incarnation), workers[shard].isConnected else { return }
        if workers[shard].state == .draining {
            // It was told to exit, and closing its socket is part of that.
            abandon(shard, reason: "it stopped")
            workers[shard].isGivenUp = true
            // From now on it has as long to exit as a killed one has.
            workers[shard].killSentAt = now
            return
        }
        giveUp(shard, reason: reason.isEmpty ? "its connection ended" : reason)
        // How it exits says more.
        workers[shard].hasReason = false
    }

    mutating func exited(_ shard: UInt32, incarnation: UInt64, status: Int64, signal: Int32) {
        guard let shard = current(shard, incarnation) else { return }
        let how = signal != 0 ? "killed by signal \(signal)" : "exited with status \(status)"
        let state = workers[shard].state
        let isExpected = state == .draining && status == 0 && signal == 0
        out.append(.log("shard \(shard) worker \(workers[shard].pid) \(how)"))
        abandon(shard, reason: workers[shard].hasReason || isExpected ? nil : how)
        workers[shard].hasProcess = false
        workers[shard].pid = 0
        if state == .quarantined { return }
        workers[shard].state = .dead
        guard phase == .running else {
            if state == .ready || state == .draining {
                stoppedUncleanly = stoppedUncleanly || !isExpected
            }
            return
        }
        countDeath(shard)
    }

    /// Counts a death towards back-off and breaker.
    private mutating func countDeath(_ shard: Int) {
        if let readyAt = workers[shard].readyAt, now - readyAt >= timing.stabilityTime {
            workers[shard].backoff = 0
            workers[shard].deaths = []
        }
        let most = max(1, configuration.restartsInWindowMax)
        workers[shard].deaths.append(now)
        if workers[shard].deaths.count > most { workers[shard].deaths.removeFirst() }
        if workers[shard].deaths.count == most, let first = workers[shard].deaths.first,
            now - first <= timing.restartWindow
        {
            workers[shard].state = .failed
            out.append(
                .log("shard \(shard) died \(most) times in a row, given up: an operator must look")
            )
            return
        }
        backOff(shard)
    }

    private mutating func backOff(_ shard: Int) {
        let doubled = workers[shard].backoff.saturatingAdd(workers[shard].backoff)
        let wait = min(max(doubled, timing.restartBackoffMin), timing.restartBackoffMax)
        workers[shard].backoff = wait
        workers[shard].respawnAt = now.saturatingAdd(wait)
        workers[shard].state = .backoff
    }

    /// Stops listening to a worker and kills it; its end has to be reported before the next starts.
    mutating func giveUp(_ shard: Int, reason: String) {
        guard workers[shard].hasProcess else { return }
        out.append(.log("shard \(shard) is given up: \(reason)"))
        let state = workers[shard].state
        if phase != .running, state == .ready || state == .draining { stoppedUncleanly = true }
        abandon(shard, reason: reason)
        workers[shard].isGivenUp = true
        workers[shard].hasReason = true
        workers[shard].state = .dead
        kill(shard)
    }

    mutating func kill(_ shard: Int) {
        workers[shard].killSentAt = now
        out.append(.kill(shard: UInt32(shard), incarnation: workers[shard].incarnation))
    }

    func clipped(_ text: String) -> String {
        text.utf8.count <= 512 ? text : String(decoding: text.utf8.prefix(512), as: UTF8.self)
    }

    mutating func noteError(_ text: String, shard: Int) { workers[shard].lastError = clipped(text) }

    /// Ends the shard's part of everything in flight: reads go without it, writes are unknown.
    private mutating func abandon(_ shard: Int, reason: String?) {
        if let reason { noteError(reason, shard: shard) }
        ready.remove(shard)
        workers[shard].unserved = nil
        workers[shard].forgetRequests()
        catalog.forget(shard: shard)
        let cause = "shard \(shard) died: \(workers[shard].lastError)"
        for index in pending.indices where pending.isTaken(index) {
            guard
                pending[index].awaited.contains(shard)
                    || pending[index].createsAwaited.contains(shard)
            else { continue }
            let code: OmenError.Code = pending[index].isWrite ? .unknownOutcome : .unavailable
            fail(index, shard: shard, OmenError(code, cause))
            failCreate(index, shard: shard, OmenError(code, cause))
            finishIfComplete(index)
        }
    }
}
