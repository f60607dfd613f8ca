internal import OmenCore
package import OmenWire

/// The coordinator's decisions without its sockets: events in, effects out.
///
/// A pure value: no I/O, no clock, no randomness, and nothing depends on the order of a hash table,
/// so the same events give the same effects on every run.
///
/// Invariants:
/// - every request of a connected client is answered exactly once;
/// - a write is validated whole before any shard sees a part of it;
/// - nothing of an older incarnation of a worker has an effect;
/// - a worker is started only after the end of its predecessor was reported.
package struct CoordinatorCore: Sendable {
    /// Where the cluster stands between its start and its end.
    enum Phase: Equatable, Sendable {
        /// Nothing was begun.
        case starting
        /// Requests are taken.
        case running
        /// No new work; waiting for what is in flight until `deadline`.
        case draining(deadline: UInt64)
        /// Workers were told to checkpoint and exit.
        case stopping(deadline: UInt64)
        /// Nothing runs any more.
        case finished
    }

    /// A connected client.
    struct Client: Equatable, Sendable {
        /// Requests not answered yet, those for the stop included.
        var requestsInFlight = 0
        /// Bytes that they are charged with.
        var requestByteCount = 0
        /// Bytes of answers that it has not taken.
        var replyByteCount = 0
        /// It sends nothing more; the connection is closed with the last answer.
        var hasEnded = false

        /// Bytes that it takes of the memory for clients.
        var usedByteCount: Int { requestByteCount + replyByteCount }
    }

    /// What the core was told at its start.
    let configuration: Configuration
    /// Every wait of the core.
    var timing: Timing { configuration.timing }

    /// Where the cluster stands.
    var phase = Phase.starting
    /// Who has which part of the records; it has changes that are not stored yet.
    var directory: ClusterDirectory
    /// The directory that the cluster's manifest has.
    var storedDirectory: ClusterDirectory
    /// The directory that is being stored; nil when none is.
    var storingDirectory: ClusterDirectory?
    /// The workers of all replicas.
    var workers: ReplicaTable<SupervisedWorker>
    /// The collections that the shards have, as far as it is known.
    var catalog = Catalog()
    /// The requests in flight.
    var pending = PendingTable()
    /// The connected clients; looked up, never iterated.
    var clients: [UInt64: Client] = [:]
    /// Shards whose worker is `ready`.
    var ready = ShardSet()
    /// Clients that are answered when the cluster has ended.
    var stopRequesters: [Requester] = []
    /// Drops that some shards may have applied and others not, oldest first.
    var unfinishedDrops: [UnfinishedDrop]
    /// The unfinished drops that are noted durably.
    var storedDrops: [UnfinishedDrop]
    /// The note that is being stored; nil when none is.
    var storingDrops: [UnfinishedDrop]?
    /// Names whose drop is finished and must not be used before that is durable; looked up, never
    /// iterated in an order that matters.
    var blockedNames: Set<String> = []
    /// Requests whose drops are sent once they are durable.
    var dropsToSend: [UInt64] = []
    /// A worker had to be killed, or died, while the cluster stopped.
    var stoppedUncleanly = false

    /// The memory for requests and answers.
    var memory: MemoryBudget
    /// Bytes of answers to clients whose connections only wait for them to go out.
    var closingReplyByteCount = 0
    /// Requests in flight that ask about the cluster itself.
    var adminRequestsInFlight = 0
    /// Checkpoints that clients asked for and that are not begun.
    var delayedCheckpoints: [UInt64] = []
    /// How often checkpoints of clients are begun.
    var checkpointPace = CheckpointPace()
    /// Numbers the coordinator's own requests and writes.
    var internalSequence: UInt64 = 0
    /// When the core was started.
    var startedAt: UInt64 = 0
    /// When the core was last told that time has passed.
    var lastTickAt: UInt64 = 0
    /// When the collections are next compared.
    var reconcileAt: UInt64 = 0
    /// Monotonic time of the event being handled, in nanoseconds.
    var now: UInt64 = 0
    /// Effects of the event being handled.
    var out: [Effect] = []
    /// Answers that nobody waited for.
    var ignoredReplies: UInt64 = 0

    /// A core that has begun nothing.
    ///
    /// - Parameter configuration: What it has to know.
    package init(configuration: Configuration) {
        self.configuration = configuration
        memory = MemoryBudget(memoryLimit: configuration.memoryLimit)
        unfinishedDrops = configuration.unfinishedDrops
        storedDrops = configuration.unfinishedDrops
        directory = configuration.directory
        storedDirectory = configuration.directory
        workers = ReplicaTable(configuration.directory, repeating: SupervisedWorker())
    }

    /// Handles one event and appends what has to be done about it.
    ///
    /// `now` is monotonic time in nanoseconds; a value before the last one counts as the last one.
    ///
    /// - Complexity: O(size of the event); O(requests in flight) for ticks and deaths.
    package mutating func handle(
        _ event: consuming Event,
        now: UInt64,
        into effects: inout [Effect]
    ) {
        self.now = max(now, self.now)
        // Appending through `self` spares every helper a parameter; the swap moves, not copies.
        swap(&out, &effects)
        defer { swap(&out, &effects) }
        guard phase != .finished else { return }
        switch consume event {
        case .started: start()
        case .clientConnected(let client): connected(client)
        case .clientMessage(let client, let envelope): received(envelope, from: client)
        case .clientEnded(let client): ended(client)
        case .clientClosed(let client): closed(client)
        case .workerSpawned(let replica, let incarnation, let pid):
            spawned(replica, incarnation: incarnation, pid: pid)
        case .workerSpawnFailed(let replica, let incarnation, let reason):
            spawnFailed(replica, incarnation: incarnation, reason: reason)
        case .workerMessage(let replica, let incarnation, let envelope):
            heard(envelope, from: replica, incarnation: incarnation)
        case .workerHits(let replica, let incarnation, let requestID, let hits):
            guard listen(to: replica, incarnation) else { return ignoreAnswer() }
            heard(.hits(hits), to: requestID, from: replica)
        case .workerConnectionLost(let replica, let incarnation, let reason, let isExplained):
            let reason = reason.isEmpty ? "its connection ended" : reason
            let cause = WorkerDeparture.Cause.killed(isExplained: isExplained)
            connectionLost(replica, incarnation: incarnation, reason: reason, cause: cause)
        case .workerExited(let replica, let incarnation, let status, let signal):
            exited(replica, incarnation: incarnation, status: status, signal: signal)
        case .directoryStored: directoryStored()
        case .dropsStored: dropsStored()
        case .dropsNotStored(let reason): dropsNotStored(reason: reason)
        case .directoryNotStored(let reason): directoryNotStored(reason: reason)
        case .tick: tick()
        case .stopRequested(let signal): stopSignalled(signal)
        }
        advanceStop()
    }

    /// The driver listens: starts the workers.
    private mutating func start() {
        guard phase == .starting else { return }
        phase = .running
        startedAt = now
        lastTickAt = now
        reconcileAt = now.saturatingAdd(timing.reconcileInterval)
        for replica in workers.ids { spawn(replica) }
    }
}

// MARK: What tests and metrics may see

extension CoordinatorCore {
    /// Requests of clients that are not answered yet.
    package var pendingCount: Int { pending.count }
    /// Bytes that they are charged with.
    package var pendingByteCount: Int { memory.requestByteCount }
    /// Connected clients.
    package var clientCount: Int { clients.count }
    /// Shards whose worker serves.
    package var readyShards: ShardSet { ready }
    /// Whether the cluster has ended.
    package var isFinished: Bool { phase == .finished }
    /// Replies nobody waited for: late ones, repeated ones, and those of old incarnations.
    package var ignoredReplyCount: UInt64 { ignoredReplies }

    /// The state of the worker that serves a shard.
    package func workerState(_ shard: Int) -> WorkerState { worker(serving: shard).state }
    /// The number of that worker's process.
    package func workerIncarnation(_ shard: Int) -> UInt64 { worker(serving: shard).incarnation }
    /// Requests that the worker has not answered.
    package func workerRequestsInFlight(_ shard: Int) -> Int {
        worker(serving: shard).load.requestsInFlight
    }
    /// Bytes that those requests are charged with.
    package func workerBytesInFlight(_ shard: Int) -> Int {
        worker(serving: shard).load.bytesInFlight
    }

    /// The worker that is asked for a shard's part of a request.
    private func worker(serving shard: Int) -> SupervisedWorker {
        workers[directory.replica(serving: shard)]
    }

    /// Collections a client can use, ascending by name.
    package var collections: [CollectionInfo] {
        catalog.entries.filter { !$0.isCondemned && $0.dropRequests == 0 }
            .map { CollectionInfo(name: $0.name, schema: $0.schema) }
    }
}
