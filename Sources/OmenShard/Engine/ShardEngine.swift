internal import OmenSystem
package import OmenCore
internal import OmenIndex
internal import OmenStorage

/// One shard at work: the decisions of `ShardCore`, the data of `ShardStore`, the log's thread and
/// the checkpoint's thread.
///
/// Belongs to one thread at a time, which calls everything here. Other threads only put completions
/// into a queue and call `wake`; the owner then calls `drainCompletions`. A shard in memory has
/// neither log nor checkpoints; the same decisions are made, and what they ask for is done at once.
package final class ShardEngine {
    /// What the owner hears, on its own thread.
    package enum Outcome {
        case written(ticket: UInt64, WriteCounts)
        case refused(ticket: UInt64, OmenError)
        case checkpointed(ticket: UInt64, OmenError?)
        /// The shard has come further: `progress` tells how far.
        case advanced
        /// Nothing here can be trusted any more; reopen from disk.
        case failed(OmenError)
    }

    package let store: ShardStore
    package private(set) var core: ShardCore
    /// Records that opening replayed from the log.
    package let replayedCount: Int
    /// How far the shard had come when it was opened or by its last checkpoint.
    private var reached: ShardProgress
    /// Called for each outcome; set it before the first write.
    package var onOutcome: (Outcome) -> Void = { _ in }

    /// What a shard has on disk.
    private struct Files {
        let identity: ShardIdentity
        let directory: Directory
        let log: LogWriter
    }

    /// Keeps other processes away from the directory until the engine is closed.
    private var lock: LockFile?

    /// Nil in memory.
    private let files: Files?
    private let completions: CompletionQueue
    /// What the log was asked and has not answered yet, in order.
    private var submissions: [Submission] = []
    /// A frozen checkpoint that waits for the log to be rotated.
    private var checkpointJob: CheckpointJob?
    private var checkpointThread: BackgroundThread?
    /// Ends a checkpoint that nobody waits for any more.
    private var checkpointStop: Stop?
    private var memory = MemoryWatch()
    /// What is not checked yet, and who does it.
    private var check: DeferredCheck?
    private var checkThread: BackgroundThread?
    let rebuilder: Rebuilder
    /// The collections a running checkpoint froze, in the order of the job.
    private var frozen: [ShardCollection] = []

    /// Locks and opens the shard, or creates it.
    ///
    /// - Parameters:
    ///   - configuration: Where and how.
    ///   - progress: Called often, with the records replayed so far.
    ///   - wake: Called on other threads when `drainCompletions` has something to do.
    /// - Throws: `.locked` naming the pid that holds it, `.corrupt` when acknowledged data is
    ///   damaged, `.unsupportedVersion`, `.ioFailure`.
    package init(
        _ configuration: Configuration,
        progress: (_ replayed: UInt64) -> Void,
        wake: @escaping @Sendable () -> Void
    ) throws(OmenError) {
        let (directory, expected) = try ShardRecovery.prepare(configuration)
        let lock = try LockFile.acquire(directory.path(of: DataDirectory.shardLockName))
        var random = SystemRandomNumberGenerator()
        let (recovered, continuation) = try ShardRecovery.open(
            directory,
            identity: configuration.identity,
            expected: expected,
            nonce: random.next(),
            isWhole: configuration.checksWhole || AddressSpace.limit != nil,
            memoryByteCountMax: configuration.memoryByteCountMax,
            partTypes: configuration.partTypes,
            progress: progress
        )
        store = recovered.store
        reached = recovered.progress
        replayedCount = recovered.replayedCount
        core = ShardCore(
            durability: configuration.durability,
            schemas: store.schemas,
            appliedLSN: recovered.appliedLSN,
            checkpointLSN: recovered.checkpointLSN,
            keys: recovered.keys,
            logByteCount: recovered.logByteCount,
            hotLimits: configuration.hotLimits
        )
        core.partTypes = configuration.partTypes
        let completions = CompletionQueue(wake: wake)
        self.completions = completions
        let policy = RebuildPolicy(rowCountMin: configuration.rebuildRowCountMin)
        rebuilder = Rebuilder(
            policy,
            searches: store.searches,
            turnPath: configuration.buildTurnPath,
            helperCount: configuration.buildHelperCount,
            gate: configuration.buildGate
        ) { completions.push(.rebuild($0)) }
        let log = try LogWriter(
            storage: LogDirectory(directory),
            identity: configuration.identity,
            continuing: continuation
        ) { completion in
            completions.push(.log(completion))
        }
        files = Files(
            identity: configuration.identity,
            directory: directory,
            log: log
        )
        self.lock = lock
        if let check = recovered.check { try startCheck(check) }
        for collection in store.ordered { rebuilder.pauseLinking(collection) }
    }

    /// Makes an empty shard in memory.
    ///
    /// - Parameters:
    ///   - rebuildRowCountMin: As in `Configuration`.
    ///   - hotLimits: Vectors that may wait to be linked.
    ///   - buildHelperCount: As in `Configuration`.
    ///   - buildGate: As in `Configuration`.
    ///   - wake: As above; also called on the owner's thread, in the midst of a call.
    package init(
        rebuildRowCountMin: Int = RebuildPolicy.rowCountStandard,
        hotLimits: HotLimits = .shard,
        buildHelperCount: Int = 0,
        buildGate: BuildGate = BuildGate(),
        wake: @escaping @Sendable () -> Void
    ) {
        store = ShardStore()
        reached = .notBegun
        replayedCount = 0
        files = nil
        core = ShardCore(
            durability: .none,
            schemas: [:],
            appliedLSN: 0,
            checkpointLSN: 0,
            keys: RequestKeyTable(),
            hotLimits: hotLimits
        )
        let completions = CompletionQueue(wake: wake)
        self.completions = completions
        rebuilder = Rebuilder(
            RebuildPolicy(rowCountMin: rebuildRowCountMin),
            searches: store.searches,
            turnPath: nil,
            helperCount: buildHelperCount,
            gate: buildGate
        ) { completions.push(.rebuild($0)) }
    }

    /// How far the shard has come: what its cluster's manifest must know of it.
    package var progress: ShardProgress {
        ShardProgress(
            history: reached.history,
            generation: reached.generation,
            durableLSN: max(reached.durableLSN, core.durableLSN)
        )
    }

    /// Bytes of the log segment that is being written; 0 in memory.
    package var logByteCount: Int { files?.log.segmentByteCount ?? 0 }

    /// The state of every collection, in the order of creation.
    package var collectionStatuses: [CollectionStatus] {
        store.ordered.map { collection in
            CollectionStatus(
                name: collection.name,
                schema: collection.schema,
                vectors: UInt64(collection.vectorCount),
                linked: UInt64(collection.linkedCount),
                rows: UInt64(collection.rowCount),
                deleted: UInt64(collection.deletedCount),
                fileByteCount: UInt64(collection.fileByteCount),
                building: rebuildPermille(of: collection),
                buildByteCount: UInt64(collection.buildByteCount),
                waitsForMemory: buildWaits(of: collection),
                calibration: collection.calibrationTable,
                searches: collection.searches
            )
        }
    }

    /// The build of the distance kernels that this processor runs.
    package static var kernelVariant: String { VectorIndex.kernelName }

    private enum Submission {
        case batch(lastLSN: UInt64)
        case mark
        case sync
        case rotation
    }

    // MARK: - Writing

    /// Takes a write; its outcome comes later under `ticket`.
    package func write(_ request: WriteRequest, ticket: UInt64) {
        do throws(OmenError) {
            try promise(request)
        } catch { return onOutcome(.refused(ticket: ticket, error)) }
        if memory.note(request.operation, now: .now) { noteLoad() }
        handle(.write(ticket: ticket, request))
    }

    /// Commits what came since the last call; call it once per turn of the owner's loop.
    package func turnEnded() {
        noteLoad()
        handle(.turnEnded)
    }

    private func noteLoad() {
        var load = store.load
        load.availableByteCount = memory.availableByteCount
        load.isBuilding = rebuilder.isBusy
        load.buildByteCount = rebuilder.outstandingByteCount
        handle(.load(load))
    }

    /// Call it every interval of `Durability.interval`, or some ten times a second.
    package func syncDue() {
        handle(.syncDue)
    }

    /// Writes a checkpoint; the outcome comes under `ticket`.
    package func checkpoint(ticket: UInt64) { handle(.checkpointRequested(ticket: ticket)) }

    /// Looks whether a collection is to be rebuilt; call it every `RebuildPolicy.interval`.
    package func maintain() {
        guard core.failure == nil else { return }
        rebuilder.tick(
            store,
            appliedLSN: core.appliedLSN,
            isCrowded: !core.hotLimits.allow(store.load)
        )
    }

    /// Whether `work` would do something.
    package var hasWork: Bool {
        store.hasRowsToLink
            || rebuilder.canCatchUp(isCheckpointRunning: core.checkpointRunning)
    }

    /// Does a slice of what can wait: ends a rebuild, or links rows into the graphs.
    ///
    /// - Parameter count: Steps of linking, or rows that take as long.
    /// - Returns: Whether there may be more to do.
    package func work(atMost count: Int) -> Bool {
        let canCatchUp = rebuilder.canCatchUp(isCheckpointRunning: core.checkpointRunning)
        guard canCatchUp else { return link(atMost: count) > 0 }
        let hasChanged = rebuilder.catchUp(
            atMost: count,
            in: store,
            isCheckpointRunning: core.checkpointRunning
        )
        if hasChanged {
            handle(.linked)
            // The new rows get their file at once; until then the old file and the log stand.
            handle(.checkpointRequested(ticket: nil))
        }
        return true
    }

    /// Takes up to `count` steps, of some 10 µs each, towards linking the waiting rows.
    ///
    /// - Returns: Steps taken; 0 when no row waits or a checkpoint holds the graphs still.
    package func link(atMost count: Int) -> Int {
        let linked = store.link(atMost: count)
        if linked > 0 { handle(.linked) }
        return linked
    }

    /// Handles what the other threads finished.
    package func drainCompletions() {
        for completion in completions.take() {
            switch completion {
            case .log(let completion): handle(completion)
            case .checkpoint(let throughLSN, let result):
                finishCheckpoint(throughLSN: throughLSN, result)
            case .checked(let failure): finishCheck(failure)
            case .rebuild(let result): rebuilder.complete(result, in: store)
            }
        }
    }

    // A checkpoint must not outlive the lock.
    deinit { close() }

    /// Syncs and closes the log and waits for the other threads; the second call is empty.
    ///
    /// A checkpoint under way is given up. Nothing else may be called afterwards.
    /// - Returns: The failure of the last sync: then acknowledged writes may not be durable.
    @discardableResult
    package func close() -> OmenError? {
        check?.stop()
        checkThread?.join()
        checkThread = nil
        rebuilder.close()
        // The log has everything that a checkpoint would write.
        checkpointStop?.request()
        checkpointThread?.join()
        checkpointThread = nil
        files?.log.close()
        lock = nil
        for case .log(.failed(let error)) in completions.take() { return error }
        return nil
    }
}

// MARK: - Carrying out effects

extension ShardEngine {
    private func handle(_ event: ShardCore.Event) {
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
        case .apply(let lsn, let operation): apply(lsn, operation)
        case .acknowledge(let ticket, let counts):
            onOutcome(.written(ticket: ticket, counts))
        case .refuse(let ticket, let error): onOutcome(.refused(ticket: ticket, error))
        case .rotateLog:
            guard let log = files?.log else { return }
            submissions.append(.rotation)
            var random = SystemRandomNumberGenerator()
            log.rotate(nonce: random.next())
        case .writeCheckpoint(let throughLSN): freezeCheckpoint(throughLSN)
        case .finishCheckpoint(let ticket, let error):
            onOutcome(.checkpointed(ticket: ticket, error))
        case .failStop(let error): onOutcome(.failed(error))
        }
    }

    private func apply(_ lsn: UInt64, _ operation: WriteOperation) {
        // After a failure the log is ahead of memory; what is left of the batch must not follow.
        guard core.failure == nil else { return }
        do throws(OmenError) {
            let counts = try store.apply(lsn: lsn, operation)
            // Before the first of the rows is linked.
            if case .upsert(let batch) = operation,
                let collection = store.collections[batch.collection]
            {
                rebuilder.pauseLinking(collection)
            }
            handle(.applied(lsn: lsn, counts))
        } catch {
            handle(.logFailed(error))
        }
    }

    private func handle(_ completion: LogCompletion) {
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

// MARK: - Checking what opening left

extension ShardEngine {
    private func startCheck(_ check: DeferredCheck) throws(OmenError) {
        self.check = check
        store.isLinkingHeld = true
        let completions = completions
        checkThread = try BackgroundThread(.low) {
            do throws(OmenError) {
                if try check.run() { completions.push(.checked(nil)) }
            } catch { completions.push(.checked(error)) }
        }
    }

    private func finishCheck(_ failure: OmenError?) {
        checkThread?.join()
        checkThread = nil
        if let failure {
            handle(.logFailed(failure))
            return
        }
        check = nil
        store.isLinkingHeld = false
    }
}

// MARK: - Checkpoints

extension ShardEngine {
    private func freezeCheckpoint(_ throughLSN: UInt64) {
        guard let files else {
            let nothing = WrittenCheckpoint(files: [], generation: 0)
            return completions.push(.checkpoint(throughLSN: throughLSN, .success(nothing)))
        }
        checkpointJob = CheckpointJob(
            store: store,
            throughLSN: throughLSN,
            requests: core.rememberedRequests,
            directory: files.directory,
            identity: files.identity,
            check: check
        )
        frozen = store.ordered
    }

    private func startCheckpoint() {
        guard let job = checkpointJob else { return }
        checkpointJob = nil
        let completions = completions
        let searches = store.searches
        let stop = Stop()
        checkpointStop = stop
        do throws(OmenError) {
            checkpointThread = try BackgroundThread(.low) {
                Stop.use(stop)
                let result: Result<WrittenCheckpoint, OmenError>
                do throws(OmenError) {
                    let brake = BuildBrake(searches, turnPath: nil)
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

    private func finishCheckpoint(
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
}

extension ShardEngine {
    /// Notes a checkpoint: it is synced, and so is the log up to where it ends.
    private func advance(generation: UInt64, throughLSN: UInt64) {
        guard files != nil else { return }
        reached.generation = generation
        reached.durableLSN = max(reached.durableLSN, throughLSN)
        onOutcome(.advanced)
    }
}
