internal import OmenSystem
internal import Glibc
package import OmenCore
internal import OmenShard
internal import OmenStorage

/// A database inside this process: the engine of a cluster's shard, called directly.
///
/// In memory, or on a path whose files are those of a cluster with one shard, so that
/// `omen-cluster start` serves them when no process has them open. Safe on any thread: reads run
/// beside each other, writes one at a time. A thread of its own links new vectors while no
/// call wants the engine; indexes are built on as many as there are processors.
package final class Database: @unchecked Sendable {
    /// Nil in memory.
    package let path: String?
    /// Keeps `omen-cluster` away from the path.
    private let lock: LockFile?
    /// The manifest at the path, which knows how far the shard has come; nil in memory.
    private let cluster: OwnedCluster?
    let driver: ShardDriver
    var engine: ShardEngine { driver.engine }
    let owner = OwnerLock()
    let signal: CompletionSignal
    private var maintenance: BackgroundThread?

    // Under `owner` from here on.
    private var outcomes: [UInt64: Result<WriteCounts, OmenError>] = [:]
    private var nextTicket: UInt64 = 1
    /// Why nothing can be done any more.
    private var failure: OmenError?
    private var isClosed = false
    /// Checkpoints whose callers no longer wait.
    private var leftTickets: Set<UInt64> = []
    /// Calls that wait for the outcome of what they handed in.
    private var waiterCount = 0

    /// Longest sleep of the maintenance thread, in milliseconds.
    private let restMilliseconds: Int

    /// Makes an empty database in memory.
    ///
    /// - Throws: `.resourceExhausted` when the system refuses a thread.
    package convenience init() throws(OmenError) {
        let signal = CompletionSignal()
        let engine = ShardEngine(
            hotLimits: try HotLimits.process.overridden(),
            buildHelperCount: Processors.usableCount - 1,
            wake: { signal.raise() }
        )
        try self.init(engine, signal, path: nil, lock: nil)
    }

    /// Opens the database at a path, or makes one there.
    ///
    /// - Parameters:
    ///   - path: A directory; made when it is missing.
    ///   - durability: What a write that has returned survives.
    /// - Throws: `.locked` naming the process that has it open, `.badRequest` when it belongs to a
    ///   cluster of several shards, `.corrupt`, `.unsupportedVersion`, `.ioFailure`.
    package convenience init(
        path: String,
        durability: Durability = .always
    ) throws(OmenError) {
        let directory = Directory(path)
        try directory.create()
        let lock = try LockFile.acquire(directory.path(of: DataDirectory.lockName))
        let manifest = try ClusterManifest.loadOrMake(directory) { 1 }
        guard manifest.shardCount == 1 else {
            throw OmenError(
                .badRequest,
                "\(path) is a cluster of \(manifest.shardCount) shards: start it and connect to it"
            )
        }
        let signal = CompletionSignal()
        var configuration = ShardEngine.Configuration(
            directory: DataDirectory.shard(0, in: directory),
            identity: manifest.identity(ofShard: 0),
            durability: durability,
            memoryByteCountMax: try SystemMemory.availableByteCount()
        )
        configuration.expected = manifest[progressOfShard: 0]
        configuration.hotLimits = try HotLimits.process.overridden()
        configuration.buildHelperCount = Processors.usableCount - 1
        let engine: ShardEngine
        do throws(OmenError) {
            engine = try ShardEngine(
                configuration,
                progress: { _ in },
                wake: { signal.raise() }
            )
        } catch {
            guard error.code == .corrupt else { throw error }
            throw OmenError(
                .corrupt,
                "\(error.message); put the files back, or go on without: omen-cluster accept-loss 0 --data \(path)"
            )
        }
        let cluster = OwnedCluster(manifest, directory)
        // Before anything is acknowledged: from now on missing files are missed.
        try cluster.note(engine.progress)
        try self.init(
            engine,
            signal,
            path: path,
            cluster: cluster,
            lock: lock
        )
    }

    private init(
        _ engine: ShardEngine,
        _ signal: CompletionSignal,
        path: String?,
        cluster: OwnedCluster? = nil,
        lock: LockFile?
    ) throws(OmenError) {
        self.lock = lock
        self.cluster = cluster
        driver = ShardDriver(engine)
        restMilliseconds = max(1, Int(driver.tickInterval / .milliseconds(1)))
        self.signal = signal
        self.path = path
        engine.onOutcome = { [unowned self] outcome in self.note(outcome) }
        maintenance = try BackgroundThread {
            while let (milliseconds, seen) = self.maintain() {
                if milliseconds > 0 { signal.wait(beyond: seen, milliseconds: milliseconds) }
            }
        }
    }
}

// MARK: - Calling the engine

extension Database {
    /// Runs `body`, which changes nothing, with the engine, maybe beside other readers.
    ///
    /// - Throws: `.unavailable` when the database is closed, why it failed, `.stopped` while others
    ///   have the engine, what `body` throws.
    func reading<Result>(
        _ body: (ShardEngine) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        try owner.share(unless: .current)
        defer { owner.release() }
        try checkOpen()
        return try body(engine)
    }

    func checkOpen() throws(OmenError) {
        if let failure { throw failure }
        guard !isClosed else { throw OmenError(.unavailable, "the database is closed") }
    }

    private func note(_ outcome: ShardEngine.Outcome) {
        if case .checkpointed(let ticket, _) = outcome, leftTickets.remove(ticket) != nil { return }
        switch outcome {
        case .written(let ticket, let counts): outcomes[ticket] = .success(counts)
        case .refused(let ticket, let error): outcomes[ticket] = .failure(error)
        case .checkpointed(let ticket, let error):
            outcomes[ticket] = error.map { .failure($0) } ?? .success(WriteCounts())
        case .advanced: noteProgress()
        case .failed(let error): failure = error
        }
    }

    /// Has the manifest know how far the shard has come; without it the data is as safe, and only
    /// an older copy of the files would not be told from them.
    private func noteProgress() {
        do throws(OmenError) {
            try cluster?.note(engine.progress)
        } catch {
            LogLine.write("database \(path ?? "")", "its progress is not recorded: \(error)")
        }
    }

    /// Hands the engine something with a new ticket and waits for its outcome.
    ///
    /// Other calls go on while this one waits, and what they write is synced together with it.
    ///
    /// - Parameters:
    ///   - mayLeave: The caller may be stopped while it waits: then what it handed in goes on. If
    ///     not, only before it is handed in.
    ///   - start: Hands it in.
    /// - Returns: What a write did.
    /// - Throws: The outcome's error, `.unavailable`, `.stopped`.
    func wait(
        mayLeave: Bool = false,
        for start: (ShardEngine, _ ticket: UInt64) -> Void
    ) throws(OmenError) -> WriteCounts {
        let stop = Stop.current
        try owner.own(unless: stop)
        defer { owner.release() }
        try checkOpen()
        let ticket = nextTicket
        nextTicket += 1
        waiterCount += 1
        defer { waiterCount -= 1 }
        start(engine, ticket)
        while true {
            let seen = signal.count
            driver.endTurn()
            driver.drain()
            if let outcome = outcomes.removeValue(forKey: ticket) { return try outcome.get() }
            if let failure { throw failure }
            if mayLeave, let stop, stop.isDue {
                leftTickets.insert(ticket)
                throw Stop.error
            }
            owner.release()
            signal.wait(
                beyond: seen,
                milliseconds: mayLeave && stop != nil ? Stop.lookInterval : 1000
            )
            owner.own()
        }
    }

    /// A slice of what can wait.
    ///
    /// - Returns: Milliseconds until the next, and the count of events seen; nil at the end.
    private func maintain() -> (milliseconds: Int, seen: UInt64)? {
        owner.letOthersPass()
        owner.own()
        defer { owner.release() }
        guard !isClosed, failure == nil else { return nil }
        let seen = signal.count
        driver.drain()
        driver.endTurn()
        driver.tick()
        guard driver.hasWork, driver.work(unless: { owner.isWanted }) else {
            return (restMilliseconds, seen)
        }
        return (0, seen)
    }
}

// MARK: - Closing

extension Database {
    /// Writes a checkpoint, which makes the next opening fast, and ends.
    ///
    /// Until it is called the database and its thread stay. Writes under way come to their end;
    /// calls on other threads that come later throw `.unavailable`; a second call does nothing. A
    /// caller that is stopped gives up the checkpoint, and nothing else.
    /// - Throws: Why the last sync failed: then acknowledged writes may not be durable. A
    ///   checkpoint that fails is no error, the log has everything.
    package func close() throws(OmenError) {
        if path != nil, isServing {
            do throws(OmenError) {
                try checkpoint()
            } catch {
                // A caller that was stopped knows.
                if error.code != .stopped {
                    LogLine.write("database \(path ?? "")", "closed without a checkpoint: \(error)")
                }
            }
        }
        owner.own()
        isClosed = true
        // Their outcomes come through the log, which must not be closed under them.
        while waiterCount > 0 {
            owner.release()
            usleep(1000)
            owner.own()
        }
        let thread = maintenance
        maintenance = nil
        owner.release()
        signal.raise()
        guard let thread else { return }
        thread.join()
        owner.own()
        defer { owner.release() }
        noteProgress()
        if let error = engine.close() { throw error }
    }

    private var isServing: Bool {
        owner.own()
        defer { owner.release() }
        return isServingNow
    }

    /// - Precondition: The caller owns the lock.
    var isServingNow: Bool { failure == nil && !isClosed }
}
