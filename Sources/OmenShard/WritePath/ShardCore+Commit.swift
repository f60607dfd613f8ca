internal import OmenCore
internal import OmenStorage

/// Group commit, failure, sync marks and checkpoints.
extension ShardCore {
    mutating func commit(_ effects: inout [Effect]) {
        guard failure == nil, inFlight.isEmpty, applying.isEmpty else { return }
        startCheckpointIfWanted(&effects)
        guard !gathering.isEmpty else { return }
        var byteCount = 0
        var taken = 0
        while taken < gathering.count {
            let next = gathering[taken].byteCount
            // A larger write goes alone: every write fits a batch, two of them need not.
            guard taken == 0 || byteCount + next <= Limits.logBatchByteCountTarget else { break }
            byteCount += next
            taken += 1
        }
        inFlight = Array(gathering.prefix(taken))
        gathering.removeFirst(taken)
        gatheringByteCount -= byteCount
        logByteCountSinceCheckpoint += byteCount
        inFlightFirstLSN = nextLSN
        nextLSN += UInt64(taken)
        markedLSN = durableLSN
        let records = inFlight.map(\.record)
        effects.append(
            .appendLog(
                LogBatch(
                    firstLSN: inFlightFirstLSN,
                    durableLSN: durableLSN,
                    wallMicroseconds: clock.wallMicroseconds,
                    records: records
                ),
                sync: durability == .always
            )
        )
    }

    /// Whether a completion speaks of the batch in flight; marks end before it and nobody waits.
    private func isInFlight(_ lastLSN: UInt64) -> Bool {
        !inFlight.isEmpty && lastLSN >= inFlightFirstLSN
    }

    mutating func finishBatch(_ lastLSN: UInt64, synced: Bool, _ effects: inout [Effect]) {
        guard failure == nil, isInFlight(lastLSN) else { return }
        precondition(lastLSN == nextLSN - 1, "the log wrote \(lastLSN), submitted \(nextLSN - 1)")
        precondition(synced || durability != .always, "an unsynced batch under durability always")
        if synced { durableLSN = lastLSN }
        applying = inFlight
        inFlight = []
        for (index, pending) in applying.enumerated() {
            let lsn = inFlightFirstLSN + UInt64(index)
            effects.append(.apply(lsn: lsn, pending.write.operation, pending.versions))
        }
    }

    mutating func finishApply(_ lsn: UInt64, _ counts: WriteCounts, _ effects: inout [Effect]) {
        precondition(lsn == appliedLSN + 1, "applied \(lsn) after \(appliedLSN)")
        let pending = applying.removeFirst()
        appliedLSN = lsn
        appliedVersion = pending.versions.newest
        pending.write.operation.change(&appliedSchemas)
        keys.finish(pending.write.key, counts)
        for ticket in pending.tickets {
            effects.append(.acknowledge(ticket: ticket, counts))
        }
        // The next group goes out as soon as this one is visible.
        if applying.isEmpty { commit(&effects) }
    }

    mutating func refuseBatch(
        _ lastLSN: UInt64,
        _ error: OmenError,
        _ effects: inout [Effect]
    ) {
        guard failure == nil, isInFlight(lastLSN) else { return }
        nextLSN = inFlightFirstLSN
        // Later writes may build on a refused create, so all that waits is refused with it.
        refuseAccepted(error, &effects)
        schemas = appliedSchemas
    }

    /// Ends the shard's work: no write is accepted or acknowledged from now on.
    ///
    /// - Parameters:
    ///   - error: The reason, for requests that come later.
    ///   - what: What happened, for the writes under way.
    ///   - effects: Get the answers to all that wait.
    mutating func fail(_ error: OmenError, _ what: String, _ effects: inout [Effect]) {
        guard failure == nil else { return }
        failure = error
        // What is on disk is unknown: neither applied nor rejected may be claimed.
        let unknown = OmenError(
            .unknownOutcome,
            "\(what) before the write was known to be durable: \(error.message)"
        )
        refuseAccepted(unknown, &effects)
        checkpointTickets = (checkpointTickets.running + checkpointTickets.next, [])
        answerCheckpoint(error, &effects)
        effects.append(.failStop(error))
    }

    private mutating func refuseAccepted(_ error: OmenError, _ effects: inout [Effect]) {
        for pending in applying + inFlight + gathering {
            keys.forget(pending.write.key)
            for ticket in pending.tickets {
                effects.append(.refuse(ticket: ticket, error))
            }
        }
        applying = []
        inFlight = []
        gathering = []
        gatheringByteCount = 0
    }

    mutating func sync(_ effects: inout [Effect]) {
        guard failure == nil else { return }
        if case .interval = durability, !syncInFlight, appliedLSN > durableLSN {
            syncInFlight = true
            effects.append(.syncLog)
        }
        // Without this mark damage to the last batch would look like a torn tail.
        if inFlight.isEmpty, gathering.isEmpty, durableLSN > markedLSN {
            markedLSN = durableLSN
            effects.append(
                .appendLog(
                    LogBatch(firstLSN: nextLSN, durableLSN: durableLSN, records: []),
                    sync: false
                )
            )
        }
    }
}

/// Checkpoints.
extension ShardCore {
    mutating func requestCheckpoint(_ ticket: UInt64?, _ effects: inout [Effect]) {
        if let failure {
            if let ticket { effects.append(.finishCheckpoint(ticket: ticket, failure)) }
            return
        }
        if let ticket { checkpointTickets.next.append(ticket) }
        checkpointWanted = true
        commit(&effects)
    }

    /// Starts one between two batches: then all that is in the log is applied, and a new segment
    /// begins exactly where the checkpoint ends.
    private mutating func startCheckpointIfWanted(_ effects: inout [Effect]) {
        if logByteCountSinceCheckpoint > Limits.checkpointLogByteCountTarget {
            checkpointWanted = true
        }
        guard checkpointWanted, !checkpointRunning else { return }
        checkpointWanted = false
        logByteCountSinceCheckpoint = 0
        checkpointTickets = (checkpointTickets.next, [])
        guard appliedLSN > checkpointLSN || hasUnsavedLinks else {
            answerCheckpoint(nil, &effects)
            return
        }
        checkpointRunning = true
        hasUnsavedLinks = false
        effects.append(.rotateLog)
        effects.append(.writeCheckpoint(throughLSN: appliedLSN))
    }

    mutating func finishCheckpoint(_ error: OmenError?, _ effects: inout [Effect]) {
        checkpointRunning = false
        // What it would have saved may be links only, which no LSN tells of.
        if error != nil { hasUnsavedLinks = true }
        answerCheckpoint(error, &effects)
        // A request that came while it was running wants later writes saved, too.
        if checkpointWanted { commit(&effects) }
    }

    private mutating func answerCheckpoint(_ error: OmenError?, _ effects: inout [Effect]) {
        for ticket in checkpointTickets.running {
            effects.append(.finishCheckpoint(ticket: ticket, error))
        }
        checkpointTickets.running = []
    }
}
