import OmenCoordinator
import OmenCore
import OmenShard
import OmenWire
import StorageTestSupport

/// A whole cluster in one thread and in virtual time: the real coordinator and shard cores, real
/// log bytes, a simulated network, and a simulated disk that forgets what was not synced.
///
/// Everything follows from the seed. Two phases: under faults nothing promised may be broken; then
/// faults stop, and within a bound every shard must serve and every client must be done.
final class Simulation {
    let seed: UInt64
    let mutant: Mutant
    let durability: Durability
    var random: SplitMix64
    private(set) var now: UInt64 = 1_000_000_000
    private var queue = EventQueue()
    private(set) var violations: [String] = []
    /// Hash of everything that happened, in order: equal for equal seeds.
    private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var faultCount = 0

    let shardCount: Int
    let disks: [SimulatedShardDisk]
    private var workers: [SimulatedWorker?]
    private var core: CoordinatorCore?
    /// Counts coordinators; what belongs to an older one is dropped.
    private var epoch: UInt64 = 0
    /// What the cluster's manifest knows of the shards; durable as a whole or not at all.
    private(set) var cluster: ClusterDirectory
    private var unfinishedDrops: [UnfinishedDrop] = []
    private var clients: [SimulatedClient] = []
    private var connections: [UInt64: SimulatedClient] = [:]
    private var nextConnection: UInt64 = 0
    /// Messages on one stream arrive in order: the latest arrival so far, by stream.
    private var arrivals: [String: UInt64] = [:]
    private var faultsAllowed = true
    /// The shard whose files were taken away.
    private var emptied: Int?

    init(seed: UInt64, mutant: Mutant = .none, shards: Int = 3, clients: Int = 3, writes: Int = 25)
    {
        self.seed = seed
        self.mutant = mutant
        random = SplitMix64(seed: seed)
        // Only `always` promises anything after a power cut, and power cuts are half of the faults.
        durability = .always
        shardCount = shards
        disks = (0..<shards).map { SimulatedShardDisk(shard: UInt32($0)) }
        workers = Array(repeating: nil, count: shards)
        cluster = Self.newCluster(shards)
        self.clients = (0..<UInt64(clients)).map {
            SimulatedClient(self, number: $0, writes: writes)
        }
    }

    func draw(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &random) }

    func schedule(after delay: UInt64, _ action: @escaping () -> Void) {
        queue.schedule(at: now + delay, action)
    }

    func violation(_ text: String) { violations.append("t=\(now / 1_000_000) ms: \(text)") }

    private func note(_ what: String) {
        for byte in "\(now) \(what)".utf8 { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// Runs to the end.
    ///
    /// - Returns: Acknowledged records.
    func run() -> Int {
        startCoordinator()
        for client in clients { connect(client) }
        scheduleFault()
        advance(for: 20_000_000_000) { self.clients.allSatisfy(\.isFinished) }
        faultsAllowed = false
        // Liveness: nothing goes wrong any more, so all must come to an end.
        advance(for: 120_000_000_000) {
            self.clients.allSatisfy(\.isFinished) && self.core?.readyShards.count == self.shardCount
        }
        if !clients.allSatisfy(\.isFinished) || core?.readyShards.count != shardCount {
            violation("faults ended, but not all shards serve or not all writes were answered")
        }
        for client in clients { client.readAtTheEnd() }
        advance(for: 60_000_000_000) { self.clients.allSatisfy(\.isLastReadDone) }
        if !clients.allSatisfy(\.isLastReadDone) { violation("the last reads were not answered") }
        if violations.isEmpty { loseShard() }
        let acknowledged = clients.reduce(0) { $0 + $1.acknowledged }
        // What is still scheduled refers to this object and would keep it.
        queue = EventQueue()
        workers = []
        connections = [:]
        return acknowledged
    }

    private func advance(for duration: UInt64, until done: () -> Bool) {
        let end = now + duration
        while violations.isEmpty, !done(), let (time, action) = queue.next() {
            now = time
            action()
            if now > end { return }
        }
    }
}

// MARK: - The network

extension Simulation {
    private func deliver(_ stream: String, _ action: @escaping () -> Void) {
        let time = max(arrivals[stream] ?? 0, now + draw(10_000...2_000_000))
        arrivals[stream] = time
        queue.schedule(at: time, action)
    }

    private func connect(_ client: SimulatedClient) {
        guard core != nil else {
            schedule(after: draw(1_000_000...20_000_000)) { self.connect(client) }
            return
        }
        nextConnection += 1
        connections[nextConnection] = client
        feed(.clientConnected(client: nextConnection))
        client.connected(nextConnection)
    }

    func fromClient(_ client: SimulatedClient, _ envelope: Envelope) {
        guard let connection = client.connection else { return }
        let epoch = epoch
        deliver("c\(connection)") {
            guard self.epoch == epoch, self.connections[connection] != nil else { return }
            self.feed(.clientMessage(client: connection, envelope))
        }
    }

    private func toClient(_ connection: UInt64, _ envelope: Envelope) {
        deliver("C\(connection)") {
            guard let client = self.connections[connection] else { return }
            self.note("reply \(connection) \(envelope.requestID) \(envelope.message.kind)")
            client.receive(envelope)
        }
    }

    func fromWorker(_ worker: SimulatedWorker, _ envelope: Envelope) {
        let epoch = epoch
        let (shard, incarnation) = (UInt32(worker.shard), worker.incarnation)
        deliver("w\(shard).\(incarnation).\(epoch)") {
            guard self.epoch == epoch else { return }
            self.feed(
                .workerMessage(
                    replica: ReplicaID(shard: Int(shard)),
                    incarnation: incarnation,
                    envelope
                )
            )
        }
    }

    private func toWorker(_ shard: Int, _ incarnation: UInt64, _ envelope: Envelope) {
        guard let worker = workers[shard], worker.incarnation == incarnation else { return }
        deliver("W\(shard).\(incarnation).\(epoch)") { worker.receive(envelope) }
    }
}

// MARK: - The coordinator

extension Simulation {
    private func startCoordinator() {
        guard core == nil else { return }
        epoch += 1
        var configuration = CoordinatorCore.Configuration(
            directory: mutant == .believeEmptyShard ? Self.newCluster(shardCount) : cluster,
            pid: 1,
            endpoint: .unix(path: "simulated"),
            nonce: random.next()
        )
        configuration.unfinishedDrops = unfinishedDrops
        configuration.restartsInWindowMax = .max
        configuration.timing.restartBackoffMax = 2_000_000_000
        core = CoordinatorCore(configuration: configuration)
        feed(.started)
        tick(epoch)
    }

    /// The directory of a cluster whose shards have not begun.
    private static func newCluster(_ shardCount: Int) -> ClusterDirectory {
        do throws(OmenError) {
            return try ClusterDirectory(shardCount: shardCount)
        } catch { preconditionFailure("no cluster: \(error)") }
    }

    /// What the cluster's manifest knows of a shard.
    func known(of shard: Int) -> ShardProgress {
        cluster[progress: cluster.replica(serving: shard)]
    }

    private func tick(_ epoch: UInt64) {
        guard self.epoch == epoch else { return }
        feed(.tick)
        schedule(after: 50_000_000) { self.tick(epoch) }
    }

    private func feed(_ event: CoordinatorCore.Event) {
        guard core != nil else { return }
        var effects: [CoordinatorCore.Effect] = []
        core?.handle(event, now: now, into: &effects)
        for effect in effects { perform(effect) }
    }

    private func perform(_ effect: CoordinatorCore.Effect) {
        switch effect {
        case .sendToClient(let client, let envelope): toClient(client, envelope)
        case .sendToWorker(let replica, let incarnation, let envelope):
            toWorker(replica.shard, incarnation, envelope)
        case .closeClient(let connection):
            connections.removeValue(forKey: connection)?.disconnected()
        case .spawn(let replica, let incarnation, let acceptsLoss):
            spawn(replica.shard, incarnation, acceptsLoss: acceptsLoss)
        case .storeDirectory(let cluster): store(cluster)
        case .storeDrops(let drops): store(drops)
        case .kill(let replica, let incarnation):
            guard let worker = workers[replica.shard], worker.incarnation == incarnation else {
                return
            }
            kill(worker)
        case .stopListening, .finished, .log: break
        }
    }

    /// A crash comes before the file has its new name, or after.
    private func store(_ cluster: ClusterDirectory) {
        let epoch = epoch
        schedule(after: draw(500_000...10_000_000)) {
            guard self.epoch == epoch else { return }
            self.cluster = cluster
            self.schedule(after: self.draw(0...1_000_000)) {
                guard self.epoch == epoch else { return }
                self.feed(.directoryStored)
            }
        }
    }

    private func store(_ drops: [UnfinishedDrop]) {
        let epoch = epoch
        schedule(after: draw(500_000...10_000_000)) {
            guard self.epoch == epoch else { return }
            self.unfinishedDrops = drops
            self.schedule(after: self.draw(0...1_000_000)) {
                guard self.epoch == epoch else { return }
                self.feed(.dropsStored)
            }
        }
    }

    private func spawn(_ shard: Int, _ incarnation: UInt64, acceptsLoss: Bool) {
        if let old = workers[shard], old.isAlive {
            violation("shard \(shard) is started while its worker lives")
        }
        let epoch = epoch
        schedule(after: draw(1_000_000...30_000_000)) {
            guard self.epoch == epoch else { return }
            do throws(OmenError) {
                let worker = try SimulatedWorker(
                    self,
                    shard: shard,
                    incarnation: incarnation,
                    acceptsLoss: acceptsLoss
                )
                self.workers[shard] = worker
                self.note("spawned \(shard) \(incarnation)")
                self.feed(
                    .workerSpawned(
                        replica: ReplicaID(shard: shard),
                        incarnation: incarnation,
                        pid: 7
                    )
                )
                worker.start()
            } catch {
                guard error.code == .corrupt else {
                    // A fault hit the recovery itself: this process ends, the next one tries.
                    self.disks[shard].disk.killProcess()
                    self.reportExit(UInt32(shard), incarnation, status: 69, signal: 0)
                    return
                }
                guard self.emptied == shard else {
                    return self.violation("shard \(shard) is taken for damaged: \(error)")
                }
                self.quarantine(UInt32(shard), incarnation, error)
            }
        }
    }

    private func reportExit(_ shard: UInt32, _ incarnation: UInt64, status: Int64, signal: Int32) {
        let epoch = epoch
        deliver("w\(shard).\(incarnation).\(epoch)") {
            guard self.epoch == epoch else { return }
            self.feed(
                .workerConnectionLost(
                    replica: ReplicaID(shard: Int(shard)),
                    incarnation: incarnation,
                    reason: ""
                )
            )
            self.feed(
                .workerExited(
                    replica: ReplicaID(shard: Int(shard)),
                    incarnation: incarnation,
                    status: status,
                    signal: signal
                )
            )
        }
    }

    /// A worker ends by its own decision.
    func workerExits(_ worker: SimulatedWorker, status: Int64) {
        worker.die()
        disks[worker.shard].disk.killProcess()
        reportExit(UInt32(worker.shard), worker.incarnation, status: status, signal: 0)
    }
}

// MARK: - A shard without its files

extension Simulation {
    /// Takes all files of one shard away while nothing runs: it must be missed, whatever the
    /// others do, and come back empty only when an operator accepts that.
    private func loseShard() {
        let shard = Int(draw(0...UInt64(shardCount - 1)))
        guard known(of: shard).durableLSN > 0 || disks[shard].hasRecords else { return }
        crash(losingPower: false)
        disks[shard].empty()
        emptied = shard
        let others = shardCount - 1
        advance(for: 20_000_000_000) { self.core?.workerState(shard) == .quarantined }
        advance(for: 20_000_000_000) { self.core?.readyShards.count == others }
        guard core?.workerState(shard) == .quarantined, core?.readyShards.count == others else {
            return violation("shard \(shard) lost its files, and \(stateText(shard))")
        }
        acceptLoss(of: shard)
        advance(for: 20_000_000_000) { self.core?.readyShards.count == self.shardCount }
        if core?.readyShards.count != shardCount {
            violation("shard \(shard) was accepted, and \(stateText(shard))")
        }
    }

    /// Asks until the last worker's end was reported and the request is taken.
    private func acceptLoss(of shard: Int) {
        guard core?.workerState(shard) == .quarantined else { return }
        ask(.acceptLoss(shard: UInt32(shard)))
        schedule(after: 50_000_000) { self.acceptLoss(of: shard) }
    }

    private func stateText(_ shard: Int) -> String {
        core.map { "is \($0.workerState(shard))" } ?? "no coordinator runs"
    }

    private func quarantine(_ shard: UInt32, _ incarnation: UInt64, _ error: OmenError) {
        feed(
            .workerSpawned(replica: ReplicaID(shard: Int(shard)), incarnation: incarnation, pid: 7)
        )
        let announcement = WorkerAnnouncement(
            shard: shard,
            incarnation: incarnation,
            state: .quarantined,
            reason: error.message
        )
        feed(
            .workerMessage(
                replica: ReplicaID(shard: Int(shard)),
                incarnation: incarnation,
                Envelope(requestID: 0, message: .announcement(announcement))
            )
        )
        reportExit(shard, incarnation, status: 65, signal: 0)
    }
}

// MARK: - Faults

extension Simulation {
    private func scheduleFault() {
        schedule(after: draw(10_000_000...250_000_000)) {
            guard self.faultsAllowed else { return }
            self.faultCount += 1
            self.strike()
            self.scheduleFault()
        }
    }

    private func strike() {
        let shard = Int(draw(0...UInt64(shardCount - 1)))
        let kind = draw(0...11)
        note("fault \(kind) \(shard)")
        switch kind {
        case 0...3: if let worker = workers[shard] { kill(worker) }
        case 4: crash(losingPower: false)
        case 5...6: crash(losingPower: true)
        case 7: workers[shard]?.pausedUntil = now + draw(10_000_000...15_000_000_000)
        case 8: failDisk(shard, OmenError(.ioFailure, "injected EIO"))
        case 9: failDisk(shard, OmenError(.resourceExhausted, "injected ENOSPC"))
        default: requestCheckpoint()
        }
    }

    private func kill(_ worker: SimulatedWorker) {
        guard worker.isAlive else { return }
        worker.die()
        disks[worker.shard].disk.killProcess()
        reportExit(UInt32(worker.shard), worker.incarnation, status: 0, signal: 9)
    }

    /// The coordinator dies, and its workers with it; with the power, unsynced bytes die, too.
    private func crash(losingPower: Bool) {
        core = nil
        epoch += 1
        for shard in workers.indices {
            workers[shard]?.die()
            workers[shard] = nil
            if losingPower {
                disks[shard].disk.cutPower(using: &random)
            } else {
                disks[shard].disk.killProcess()
            }
        }
        let victims = connections.sorted { $0.key < $1.key }.map(\.value)
        connections = [:]
        for client in victims {
            client.disconnected()
            schedule(after: draw(1_000_000...20_000_000)) { self.connect(client) }
        }
        schedule(after: draw(1_000_000...200_000_000)) { self.startCoordinator() }
    }

    /// One of the next operations on a shard's disk fails once.
    private func failDisk(_ shard: Int, _ error: OmenError) {
        let disk = disks[shard].disk
        let operation = disk.operationCount + Int(draw(1...6))
        disk.faults = [MemoryDisk.Fault(operation: operation, error: error, isLast: false)]
    }

    private func requestCheckpoint() { ask(.checkpoint) }

    /// A request on a connection of its own, whose answer nobody reads.
    private func ask(_ message: Message) {
        nextConnection += 1
        let connection = nextConnection
        feed(.clientConnected(client: connection))
        feed(.clientMessage(client: connection, Envelope(requestID: 1, message: message)))
    }
}
