internal import OmenCore
internal import OmenStorage

/// What the core's decisions mean for the log, the store and the owner.
extension ShardEngine {
    func handle(_ event: ShardCore.Event) {
        var effects: [ShardCore.Effect] = []
        core.handle(event, into: &effects)
        for effect in effects { perform(effect) }
    }

    private func perform(_ effect: ShardCore.Effect) {
        switch effect {
        case .appendLog(let batch, let sync):
            let lastLSN = batch.firstLSN + UInt64(batch.records.count) - 1
            submissions.append(batch.records.isEmpty ? .mark : .batch(lastLSN: lastLSN))
            guard let log = files?.log else {
                return completions.push(.log(.written(lastLSN: lastLSN, synced: sync)))
            }
            log.submit(batch, sync: sync)
        case .syncLog:
            submissions.append(.sync)
            guard let log = files?.log else {
                return completions.push(.log(.synced(throughLSN: core.appliedLSN)))
            }
            log.sync()
        case .apply(let lsn, let operation, let versions): apply(lsn, operation, versions)
        case .acknowledge(let ticket, let counts):
            onOutcome(.written(ticket: ticket, counts))
        case .refuse(let ticket, let error): onOutcome(.refused(ticket: ticket, error))
        case .rotateLog:
            guard let log = files?.log else { return }
            submissions.append(.rotation)
            log.rotate(nonce: machine.random())
        case .writeCheckpoint(let throughLSN): freezeCheckpoint(throughLSN)
        case .finishCheckpoint(let ticket, let error):
            onOutcome(.checkpointed(ticket: ticket, error))
        case .failStop(let error): onOutcome(.failed(error))
        }
    }

    private func apply(
        _ lsn: UInt64,
        _ operation: CheckedOperation,
        _ versions: WriteVersions
    ) {
        // After a failure the log is ahead of memory; what is left of the batch must not follow.
        guard core.failure == nil else { return }
        do throws(OmenError) {
            let counts = try store.apply(lsn: lsn, operation, versions)
            // Before the first of the rows is linked.
            if case .upsert(let checked) = operation,
                let collection = store.collections[checked.batch.collection]
            {
                rebuilder.pauseLinking(collection)
            }
            handle(.applied(lsn: lsn, counts))
        } catch {
            failed(error)
        }
    }

    /// Ends the shard's work: an error that tells of damage must not be met by another start.
    func failed(_ error: OmenError) {
        handle(error.code == .corrupt ? .damaged(error) : .logFailed(error))
    }

    func handle(_ completion: LogCompletion) {
        // One completion for each submission, in order.
        let submission = submissions.isEmpty ? nil : submissions.removeFirst()
        switch (completion, submission) {
        case (.failed(let error), _): handle(.logFailed(error))
        case (.written(let lastLSN, let synced), .batch):
            handle(.logWritten(lastLSN: lastLSN, synced: synced))
        case (.refused(_, let error), .batch(let lastLSN)):
            handle(.logRefused(lastLSN: lastLSN, error))
        case (.synced(let throughLSN), _): handle(.logSynced(throughLSN: throughLSN))
        case (_, .rotation):
            // Without room for a new segment the old one goes on, and is kept for longer.
            startCheckpoint()
        case (.written, _), (.refused, _), (.rotated, _): break
        }
    }
}
