internal import OmenSystem
internal import Glibc
package import OmenCore
internal import OmenLoop
internal import OmenWire

/// The coordinator's process: feeds the core what sockets report, and does what it says.
///
/// Decides nothing.
///
/// Single-threaded; `run` must be called on the main thread, because the workers die with the
/// thread that started them (`PR_SET_PDEATHSIG`).
package final class CoordinatorServer {
    /// What the server is told once, at its start.
    package struct Configuration: Sendable {
        /// What the core is told.
        package var core: CoordinatorCore.Configuration
        /// The cluster that it serves; every frame names it.
        package var cluster: ClusterUUID
        /// Starts the workers.
        package var launcher: WorkerLauncher
        /// Stores the directory in the cluster's manifest; durable on return.
        ///
        /// Called on other threads, one call at a time.
        package var storeDirectory: @Sendable (ClusterDirectory) throws(OmenError) -> Void
        /// Stores the unfinished drops; durable on return.
        package var storeDrops: @Sendable ([UnfinishedDrop]) throws(OmenError) -> Void

        /// What every server is told.
        ///
        /// - Parameters:
        ///   - core: As the property.
        ///   - cluster: As the property.
        ///   - launcher: As the property.
        ///   - storeDirectory: As the property.
        ///   - storeDrops: As the property.
        package init(
            core: CoordinatorCore.Configuration,
            cluster: ClusterUUID,
            launcher: WorkerLauncher,
            storeDirectory: @escaping @Sendable (ClusterDirectory) throws(OmenError) -> Void,
            storeDrops: @escaping @Sendable ([UnfinishedDrop]) throws(OmenError) -> Void
        ) {
            self.core = core
            self.cluster = cluster
            self.launcher = launcher
            self.storeDirectory = storeDirectory
            self.storeDrops = storeDrops
        }
    }

    /// What the server was told.
    let configuration: Configuration
    /// The loop of this thread.
    let loop: EventLoop
    /// The decisions.
    private var core: CoordinatorCore
    /// Where clients connect; nil once no more are taken.
    private var listener: Listener?
    /// The connected clients, by number.
    var clients: [UInt64: ClientPeer] = [:]
    /// The process of each replica that was last started.
    var workers: ReplicaTable<WorkerPeer?>
    /// Clients with answers to flush at the end of the turn.
    var unflushedClients: [ClientPeer] = []
    /// Workers with messages to send at the end of the turn.
    var unflushedWorkers: [WorkerPeer] = []
    /// The search that was last sent to a worker: the other workers are sent the same bytes.
    var encodedSearch: EncodedSearch?
    /// The same as a frame of its own, when it is large: the workers' queues share its memory.
    var sharedSearch: SealedSearch?
    /// Clients with something to look at, in the order of their turns.
    var turnQueue: [ClientPeer] = []
    /// The memory for frames that are not whole.
    var frames: FrameLedger
    /// When idle clients were last looked for.
    var lastIdleCheckAt: UInt64 = 0
    /// Clients that ever connected.
    private var clientSequence: UInt64 = 0
    /// Events that arose while another was being handled.
    private var events: [CoordinatorCore.Event] = []
    /// Whether the core handles an event.
    private(set) var isHandling = false
    /// What the core said that has to be done.
    private var effects: [CoordinatorCore.Effect] = []
    /// The exit status, once the cluster has ended.
    private var exitCode: Int32?
    /// Stores the directory beside the loop.
    private var directoryKeeper: StoreKeeper<ClusterDirectory>?
    /// Stores the unfinished drops beside the loop.
    private var dropsKeeper: StoreKeeper<[UnfinishedDrop]>?

    /// - Throws: `.ioFailure` when the system gives no descriptors.
    package init(_ configuration: Configuration) throws(OmenError) {
        self.configuration = configuration
        core = CoordinatorCore(configuration: configuration.core)
        workers = ReplicaTable(configuration.core.directory, repeating: nil)
        frames = FrameLedger(memoryLimit: configuration.core.memoryLimit)
        loop = try EventLoop()
    }

    /// Serves until the cluster has stopped.
    ///
    /// The caller holds the data directory's lock for as long.
    /// - Parameter onListening: Called once clients can connect; workers may still recover.
    /// - Returns: The process's exit status.
    /// - Throws: `.locked`, `.badRequest` or `.ioFailure` when the socket cannot be listened at.
    package func run(onListening: () -> Void = {}) throws(OmenError) -> Int32 {
        defer { loop.close() }
        listener = try loop.listen(at: configuration.core.endpoint) { connection in
            self.accept(connection)
        }
        directoryKeeper = try StoreKeeper(loop, configuration.storeDirectory) {
            [unowned self] failure in
            feed(failure.map { .directoryNotStored(reason: $0.message) } ?? .directoryStored)
        }
        dropsKeeper = try StoreKeeper(loop, configuration.storeDrops) { [unowned self] failure in
            feed(failure.map { .dropsNotStored(reason: $0.message) } ?? .dropsStored)
        }
        for number in [SIGTERM, SIGINT] {
            try loop.onSignal(number) { self.feed(.stopRequested(signal: number)) }
        }
        lastIdleCheckAt = loop.now
        loop.onTurnEnd {
            self.handleQueuedClients()
            self.flush()
        }
        loop.timer(after: Limits.tickInterval, repeating: Limits.tickInterval) {
            self.feed(.tick)
            self.endIdleClients()
        }
        onListening()
        feed(.started)
        loop.run()
        return exitCode ?? 1
    }

    /// Gives the core one event and does what follows; events that arise meanwhile come after.
    func feed(_ event: CoordinatorCore.Event) {
        events.append(event)
        guard !isHandling else { return }
        isHandling = true
        handleEvents()
        isHandling = false
    }

    /// Gives the core every event that waits.
    private func handleEvents() {
        var next = 0
        while next < events.count {
            // What was handled is let go at once: it may be a request of 64 MiB.
            var event = CoordinatorCore.Event.tick
            swap(&event, &events[next])
            core.handle(consume event, now: loop.now, into: &effects)
            next += 1
            executeAll()
        }
        events.removeAll(keepingCapacity: true)
    }

    /// Carries out what the core said; effects that arise come with later events.
    private func executeAll() {
        for index in effects.indices {
            // The parts of a large write go as they are encoded.
            var effect = CoordinatorCore.Effect.stopListening
            swap(&effect, &effects[index])
            execute(effect)
        }
        effects.removeAll(keepingCapacity: true)
    }

    /// Carries out one effect.
    private func execute(_ effect: CoordinatorCore.Effect) {
        switch effect {
        case .sendToClient(let client, let envelope): send(envelope, toClient: client)
        case .sendToWorker(let replica, let incarnation, let envelope):
            send(envelope, toWorker: replica, incarnation)
        case .closeClient(let client): closeClient(client)
        case .spawn(let replica, let incarnation, let acceptsLoss):
            spawn(replica, incarnation, acceptsLoss: acceptsLoss)
        case .kill(let replica, let incarnation):
            peer(replica, incarnation)?.process.kill(SIGKILL)
        case .storeDirectory(let directory): directoryKeeper?.store(directory)
        case .storeDrops(let drops): dropsKeeper?.store(drops)
        case .stopListening:
            listener?.close()
            listener = nil
        case .finished(let code): finish(code)
        case .log(let text): LogLine.write("coordinator", text)
        }
    }

    /// A client connected.
    private func accept(_ connection: StreamConnection) {
        clientSequence += 1
        let peer = ClientPeer(
            id: clientSequence,
            cluster: configuration.cluster,
            connection: connection
        )
        clients[peer.id] = peer
        attach(peer)
        feed(.clientConnected(client: peer.id))
        peer.isReading = true
        connection.startReading()
    }

    /// Whether the next message of a client is handled now, or waits until the client uses less.
    ///
    /// - Parameters:
    ///   - peer: The client.
    ///   - byteCount: Bytes of the message.
    /// - Returns: Whether there is memory for it, and for its answers.
    func mayHandle(_ peer: ClientPeer, byteCount: Int) -> Bool {
        // Replies of one client that the kernel does not take wait here.
        peer.replyByteCount <= Limits.peerQueueByteCountMax
            && core.mayHandle(client: peer.id, byteCount: byteCount)
    }

    /// Tells the core how many bytes of answers a client has not taken.
    func noteReplies(of peer: ClientPeer) {
        core.noteReplies(client: peer.id, byteCount: peer.replyByteCount)
    }

    /// Lets clients take their last answers, but not for long.
    private func finish(_ code: Int32) {
        exitCode = code
        listener?.close()
        listener = nil
        for client in clients.keys.sorted() { closeClient(client) }
        loop.timer(after: Limits.farewellTimeout) { self.loop.stop() }
        stopWhenAlone()
    }

    /// Clients that are only sent their last answers.
    var closingClients: [UInt64: ClientPeer] = [:]

    /// Whether so much memory is used that clients which take no answers have to go.
    var isMemoryContended: Bool { core.memory.isContended }

    /// Tells the core how many bytes wait for connections that end.
    func noteClosing(byteCount: Int) { core.noteClosingReplies(byteCount: byteCount) }

    /// Ends the loop when the cluster has ended and the last client has its answers.
    func stopWhenAlone() {
        if exitCode != nil, clients.isEmpty, closingClients.isEmpty { loop.stop() }
    }
}
