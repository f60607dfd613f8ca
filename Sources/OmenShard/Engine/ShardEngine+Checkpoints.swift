internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Freezing the shard for a checkpoint, writing it on a second thread, and thawing.
extension ShardEngine {
    func freezeCheckpoint(_ throughLSN: UInt64) {
        guard let files else {
            let nothing = WrittenCheckpoint(files: [], generation: 0)
            return completions.push(.checkpoint(throughLSN: throughLSN, .success(nothing)))
        }
        checkpointJob = CheckpointJob(
            store: store,
            throughLSN: throughLSN,
            requests: core.rememberedRequests,
            lastVersion: core.appliedVersion,
            directory: files.directory,
            identity: files.identity,
            check: check
        )
        frozen = store.ordered
    }

    func startCheckpoint() {
        guard let job = checkpointJob else { return }
        checkpointJob = nil
        let completions = completions
        let (searches, time) = (store.searches, machine.time)
        let stop = Stop()
        checkpointStop = stop
        do throws(OmenError) {
            checkpointThread = try machine.executor.start(.low) {
                Stop.use(stop)
                let result: Result<WrittenCheckpoint, OmenError>
                do throws(OmenError) {
                    let brake = BuildBrake(searches, turnPath: nil, time: time)
                    result = .success(
                        try job.run { brake.breathe(rests: true, shouldStop: { stop.isDue }) }
                    )
                } catch { result = .failure(error) }
                completions.push(.checkpoint(throughLSN: job.throughLSN, result))
            }
        } catch {
            finishCheckpoint(throughLSN: job.throughLSN, .failure(error))
        }
    }

    func finishCheckpoint(
        throughLSN: UInt64,
        _ result: Result<WrittenCheckpoint, OmenError>
    ) {
        checkpointThread?.join()
        checkpointThread = nil
        let collections = frozen
        frozen = []
        if case .success(let written) = result {
            // A collection that kept its file was not frozen and may have been linked meanwhile.
            for (collection, file) in zip(collections, written.files) where collection.file != file
            {
                collection.noteSaved(file)
            }
        }
        for collection in collections { collection.parts.thaw() }
        switch result {
        case .success(let written):
            // Before the outcome, after which the owner may leave.
            advance(generation: written.generation, throughLSN: throughLSN)
            handle(.checkpointWritten(throughLSN: throughLSN))
        case .failure(let error): handle(.checkpointFailed(error))
        }
    }

    /// Notes a checkpoint: it is synced, and so is the log up to where it ends.
    func advance(generation: UInt64, throughLSN: UInt64) {
        guard files != nil else { return }
        reached.generation = generation
        reached.durableLSN = max(reached.durableLSN, throughLSN)
        tellProgress()
    }
}
