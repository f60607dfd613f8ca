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
        /// The shard has come further: `progress` tells how far. Comes after each checkpoint, and
        /// now and then for log records that became durable, so that a log which is cut later is
        /// noticed.
        case advanced
        /// Nothing here can be trusted any more; reopen from disk.
        case failed(OmenError)
    }

    package let store: ShardStore
    package internal(set) var core: ShardCore
    /// Records that opening replayed from the log.
    package let replayedCount: Int
    /// How far the shard had come when it was opened or by its last checkpoint.
    var reached: ShardProgress
    /// Called for each outcome; set it before the first write.
    package var onOutcome: (Outcome) -> Void = { _ in }

    /// What a shard has on disk.
    struct Files {
        let identity: ShardIdentity
        let directory: Directory
        let log: LogWriter
    }

    /// Keeps other processes away from the directory until the engine is closed.
    private var lock: (any FileLock)?

    /// Nil in memory.
    let files: Files?
    let completions: CompletionQueue
    /// What the log was asked and has not answered yet, in order.
    var submissions: [Submission] = []
    /// A frozen checkpoint that waits for the log to be rotated.
    var checkpointJob: CheckpointJob?
    var checkpointThread: (any BackgroundJob)?
    /// Ends a checkpoint that nobody waits for any more.
    var checkpointStop: Stop?
    /// What it runs on.
    let machine: Machine
    private var memory: MemoryWatch
    /// What the owner last heard of the progress.
    private var told: ShardProgress
    /// What is not checked yet, and who does it.
    var check: DeferredCheck?
    var checkThread: (any BackgroundJob)?
    let rebuilder: Rebuilder
    /// The collections a running checkpoint froze, in the order of the job.
    var frozen: [ShardCollection] = []

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
        let recovered = try ShardRecovery.open(configuration, progress: progress)
        store = recovered.store
        let machine = configuration.machine
        self.machine = machine
        memory = MemoryWatch(machine.availableByteCount)
        reached = recovered.progress
        told = reached
        replayedCount = recovered.replayedCount
        core = ShardCore(
            durability: configuration.durability,
            schemas: store.schemas,
            appliedLSN: recovered.appliedLSN,
            checkpointLSN: recovered.checkpointLSN,
            keys: recovered.keys,
            lastVersion: recovered.lastVersion,
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
            gate: configuration.buildGate,
            machine: machine
        ) { completions.push(.rebuild($0)) }
        let log = try LogWriter(
            directory: configuration.directory,
            identity: configuration.identity,
            continuing: recovered.continuation,
            on: machine.executor
        ) { completion in
            completions.push(.log(completion))
        }
        files = Files(
            identity: configuration.identity,
            directory: configuration.directory,
            log: log
        )
        lock = recovered.lock
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
    ///   - wake: As above; also called on the owner's thread, during a call.
    package init(
        rebuildRowCountMin: Int = RebuildPolicy.rowCountStandard,
        hotLimits: HotLimits = .shard,
        buildHelperCount: Int = 0,
        buildGate: BuildGate = BuildGate(),
        wake: @escaping @Sendable () -> Void
    ) {
        store = ShardStore()
        machine = .system
        memory = MemoryWatch(machine.availableByteCount)
        reached = .notBegun
        told = reached
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
            gate: buildGate,
            machine: machine
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

    /// Tells the owner how far the shard has come, if that is news.
    package func tellProgress() {
        guard files != nil, progress != told else { return }
        told = progress
        onOutcome(.advanced)
    }

    /// Bytes of the log segment that is being written; 0 in memory.
    package var logByteCount: Int { files?.log.segmentByteCount ?? 0 }

    enum Submission {
        case batch(lastLSN: UInt64)
        case mark
        case sync
        case rotation
    }

    // MARK: - Writing

    /// Takes a write whose values were checked; its outcome comes later under `ticket`.
    package func write(_ write: ShardWrite, ticket: UInt64) {
        do throws(OmenError) {
            try promise(write)
        } catch { return onOutcome(.refused(ticket: ticket, error)) }
        if memory.note(write, now: machine.time.now) { handle(.load(load)) }
        let time = machine.time.microsecondsSince1970
        handle(.write(ticket: ticket, write, wallMicroseconds: time))
    }

    /// Commits what came since the last call; call it once per turn of the owner's loop.
    func turnEnded() { handle(.turnEnded(load)) }

    /// How full the shard is.
    private var load: ShardLoad {
        var load = store.load
        load.availableByteCount = memory.availableByteCount
        load.isBuilding = rebuilder.isBusy
        load.buildByteCount = rebuilder.outstandingByteCount
        return load
    }

    /// Call it every interval of `Durability.interval`, or some ten times a second.
    func syncDue() {
        handle(.syncDue)
    }

    /// Writes a checkpoint; the outcome comes under `ticket`.
    package func checkpoint(ticket: UInt64) { handle(.checkpointRequested(ticket: ticket)) }

    /// Looks whether a collection is to be rebuilt; call it every `RebuildPolicy.interval`.
    func maintain() {
        guard core.failure == nil else { return }
        rebuilder.tick(
            store,
            appliedLSN: core.appliedLSN,
            isCrowded: !core.hotLimits.allow(store.load)
        )
    }

    /// Whether `work` would do something.
    var hasWork: Bool {
        store.hasRowsToLink
            || rebuilder.canCatchUp(isCheckpointRunning: core.checkpointRunning)
    }

    /// Does a slice of what can wait: ends a rebuild, or links rows into the graphs.
    ///
    /// - Parameter count: Steps of linking, or rows that take as long.
    /// - Returns: Whether there may be more to do.
    func work(atMost count: Int) -> Bool {
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
    func link(atMost count: Int) -> Int {
        let linked = store.link(atMost: count)
        if linked > 0 { handle(.linked) }
        return linked
    }

    /// Handles what the other threads finished.
    func drainCompletions() {
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
