import OmenCore
import OmenStorage
import OmenWire
import StorageTestSupport

@testable import OmenShard

/// One worker process: the real engine of a shard under its real driver, on a simulated disk and in
/// virtual time, with messages for a socket.
final class SimulatedWorker {
    unowned let simulation: Simulation
    let shard: Int
    let incarnation: UInt64
    let process: SimulatedProcess
    private let disk: MemoryDisk
    private let files: LyingFiles
    private var driver: ShardDriver?
    /// What came before the shard was open.
    private var early: [Envelope] = []
    private var isTurnDue = false
    private var isDrainDue = false
    private var isWorkDue = false
    private var stopRequest: UInt64?
    /// Of the newest checkpoint.
    private var generation: UInt64 = 0
    /// Whether it has decided to end, or was ended.
    private(set) var isLeaving = false
    /// Whether the process is gone.
    private(set) var hasEnded = false

    /// A worker speaks for its own shard only.
    private static let alone = Coverage(shardsTotal: 1)

    init(_ simulation: Simulation, shard: Int, incarnation: UInt64) {
        self.simulation = simulation
        self.shard = shard
        self.incarnation = incarnation
        disk = simulation.disks[shard]
        process = SimulatedProcess(simulation)
        files = LyingFiles(
            disk.files,
            simulation.mutant,
            simulation.identity(of: shard),
            unrotted: simulation.unrotted
        )
        disk.beforeStep = { [unowned process] what in process.aboutToChange("\(shard) \(what)") }
        process.whenWoken = { [unowned self] in self.wake() }
        disk.whenGone = { [unowned self] in self.simulation.die(self) }
    }

    var isAlive: Bool { process.isAlive }

    /// Opens the shard, step by step.
    func start(acceptsLoss: Bool) {
        var configuration = ShardEngine.Configuration(
            directory: DataDirectory.shard(shard, in: Directory(MemoryDisk.homePath, on: files)),
            identity: simulation.identity(of: shard),
            durability: simulation.durability,
            // Everything at once, or the large sections later.
            checksWhole: simulation.opensWhole
                || (simulation.damaged == nil && simulation.draw(0...3) == 0)
        )
        configuration.machine = process.machine
        configuration.buildGate = BuildGate(availableByteCount: { 1 << 40 })
        configuration.acceptsLoss = acceptsLoss
        configuration.rebuildRowCountMin = 8
        if simulation.mutant != .believeEmptyShard {
            configuration.expected = simulation.known(of: shard)
        }
        let process = process
        process.begin { [weak self] in
            let opened: Result<ShardEngine, OmenError>
            do throws(OmenError) {
                let engine = try ShardEngine(
                    configuration,
                    progress: { _ in },
                    wake: { process.whenWoken() }
                )
                opened = .success(engine)
            } catch { opened = .failure(error) }
            process.after(0...100_000) { self?.opened(opened) }
        }
    }

    private func opened(_ result: Result<ShardEngine, OmenError>) {
        switch result {
        case .failure(let error): simulation.workerCannotOpen(self, error)
        case .success(let engine):
            files.isOpening = false
            if simulation.mutant == .forgetRequestKeys { engine.core.keys = RequestKeyTable() }
            engine.onOutcome = { [unowned self] outcome in self.handle(outcome) }
            driver = ShardDriver(engine)
            if engine.replayedCount > 0 { simulation.tally.replays += 1 }
            if engine.check != nil { simulation.tally.deferredChecks += 1 }
            generation = engine.progress.generation
            checkVersion(of: engine)
            simulation.note("opened \(shard) \(engine.core.appliedLSN) \(engine.replayedCount)")
            announce(.ready)
            tick()
            for envelope in early { receive(envelope) }
            early = []
        }
    }

    /// The process is gone: what its threads still do changes nothing.
    func end() {
        process.die()
        isLeaving = true
        hasEnded = true
        disk.beforeStep = { _ in }
        driver?.engine.close()
        process.endJobs()
        driver = nil
    }

    // MARK: The loop

    private func tick() {
        process.after(50_000_000...60_000_000) { [unowned self] in
            self.driver?.tick()
            self.endTurn()
            self.tick()
        }
    }

    /// Called by a job that has finished something.
    private func wake() {
        guard !isDrainDue else { return }
        isDrainDue = true
        process.after(0...200_000) { [unowned self] in
            self.isDrainDue = false
            self.driver?.drain()
            self.endTurn()
        }
    }

    private func endTurn() {
        guard !isTurnDue else { return }
        isTurnDue = true
        process.after(0...100_000) { [unowned self] in
            self.isTurnDue = false
            self.driver?.endTurn()
            self.work()
        }
    }

    private func work() {
        guard !isWorkDue, driver?.hasWork == true else { return }
        isWorkDue = true
        process.after(0...3_000_000) { [unowned self] in
            self.isWorkDue = false
            let before = self.orderCount
            let isMoreToDo = self.driver?.work() == true
            if self.orderCount > before { self.simulation.tally.builds += 1 }
            if isMoreToDo { self.work() }
        }
    }

    /// How often collections were put into another order, which builds do.
    private var orderCount: UInt64 {
        driver?.engine.store.ordered.reduce(0) { $0 + $1.orderCount } ?? 0
    }

    // MARK: Messages

    private func send(_ id: UInt64, _ message: Message) {
        guard isAlive else { return }
        simulation.fromWorker(self, Envelope(requestID: id, message: message))
    }

    private func announce(_ state: WorkerState, reason: String = "") {
        guard let engine = driver?.engine else { return }
        send(
            0,
            .announcement(
                WorkerAnnouncement(
                    shard: UInt32(shard),
                    incarnation: incarnation,
                    state: state,
                    progress: engine.progress,
                    collections: collections(engine),
                    reason: reason
                )
            )
        )
    }

    private func collections(_ engine: ShardEngine) -> [CollectionInfo] {
        engine.store.ordered.map { CollectionInfo(name: $0.name, schema: $0.schema) }
    }

    func receive(_ envelope: Envelope) {
        guard isAlive, !isLeaving else { return }
        if simulation.now < process.pausedUntil {
            process.after(0...0) { [unowned self] in self.receive(envelope) }
            return
        }
        guard let engine = driver?.engine else {
            early.append(envelope)
            return
        }
        let id = envelope.requestID
        switch envelope.message {
        case .shardWrite(let write): engine.write(write, ticket: id)
        case .get(let request): answerGet(id, request, engine)
        case .count(let name):
            let count = engine.store.collections[name]?.vectorCount ?? 0
            send(id, .counted(CountReply(count: UInt64(count), coverage: Self.alone)))
        case .listCollections: send(id, .collections(collections(engine)))
        case .checkpoint: engine.checkpoint(ticket: id)
        case .ping: send(id, .done)
        case .stop:
            stopRequest = id
            engine.checkpoint(ticket: id)
        default: send(id, .failure(OmenError(.protocolViolation, "not a request")))
        }
        endTurn()
    }

    private func answerGet(_ id: UInt64, _ request: GetRequest, _ engine: ShardEngine) {
        do throws(OmenError) {
            let found = try engine.store.records(
                request.ids,
                in: request.collection,
                withVector: request.withVector
            )
            let records = found.map {
                Record(id: $0.id, metadata: $0.metadata, vector: $0.vector)
            }
            send(id, .records(RecordsReply(element: .u8, records: records, coverage: Self.alone)))
        } catch { send(id, .failure(error)) }
    }

    private func handle(_ outcome: ShardEngine.Outcome) {
        // Nobody hears a process that has ended.
        guard isAlive, !isLeaving else { return }
        switch outcome {
        case .written(let ticket, let counts):
            if let engine = driver?.engine { checkVersion(of: engine) }
            send(ticket, .written(WriteReply(counts: counts, coverage: Self.alone)))
        case .refused(let ticket, let error): send(ticket, .failure(error))
        case .checkpointed(let ticket, let error):
            if ticket == stopRequest { driver?.engine.tellProgress() }
            send(ticket, error.map { .failure($0) } ?? .done)
            if ticket == stopRequest { leave(0) }
        case .advanced:
            if let now = driver?.engine.progress.generation, now != generation {
                generation = now
                simulation.tally.checkpoints += 1
            }
            announce(.ready)
        case .failed(let error):
            let isDamaged = error.code == .corrupt
            if isDamaged {
                simulation.foundDamage(shard, error)
                announce(.quarantined, reason: error.message)
            }
            leave(isDamaged ? 65 : 1)
        }
    }

    /// The last version that was given never becomes less, not even by a crash or a clock set back.
    private func checkVersion(of engine: ShardEngine) {
        // An operator has accepted that writes are lost.
        guard simulation.damaged != shard else { return }
        let version = engine.core.appliedVersion
        if version < simulation.versions[shard] {
            simulation.violation(
                "shard \(shard): version \(version) after \(simulation.versions[shard])"
            )
        }
        simulation.versions[shard] = version
    }

    /// Ends by its own decision, once this turn is over.
    private func leave(_ status: Int64) {
        isLeaving = true
        process.after(0...0) { [unowned self] in
            self.driver?.engine.close()
            self.simulation.workerExits(self, status: status)
        }
    }
}
