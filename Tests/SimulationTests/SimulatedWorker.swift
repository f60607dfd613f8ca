import OmenCore
import OmenShard
import OmenWire
import StorageTestSupport

@testable import OmenStorage

/// Bugs planted to prove that the simulation would see them.
enum Mutant: String, CaseIterable {
    case none
    /// Acknowledges what is written but not yet synced.
    case acknowledgeBeforeSync
    /// Takes a failed sync for a successful one.
    case believeFailedSync
    /// Deletes the log before the checkpoint that replaces it is on disk.
    case removeLogBeforeCheckpoint
    /// Answers a retried write by applying it again.
    case forgetRequestKeys
    /// Serves a shard that begins empty although the cluster knows that it had begun.
    case believeEmptyShard
}

/// One worker process: the real `ShardCore`, `ShardStore` and log code, driven in virtual time.
final class SimulatedWorker {
    unowned let simulation: Simulation
    let shard: Int
    let incarnation: UInt64
    private let files: SimulatedShardDisk
    private var core: ShardCore
    private let store: ShardStore
    private var appender: LogAppender
    /// All operations applied, for the next checkpoint.
    private var operations: [(lsn: UInt64, operation: WriteOperation)]
    /// The last record that opening found; it is durable.
    private let openedLSN: UInt64
    private var logBusyUntil: UInt64 = 0
    private var completedAt: UInt64 = 0
    private var turnScheduled = false
    private var stopTicket: UInt64?
    /// A rebuild under way; its work takes no time of its own, only its turns.
    private var rebuild: CollectionRebuild?
    private(set) var isAlive = true
    /// While stopped (SIGSTOP) what arrives waits.
    var pausedUntil: UInt64 = 0

    /// Recovers from the shard's disk as the real shard does.
    init(
        _ simulation: Simulation,
        shard: Int,
        incarnation: UInt64,
        acceptsLoss: Bool
    ) throws(OmenError) {
        self.simulation = simulation
        self.shard = shard
        self.incarnation = incarnation
        files = simulation.disks[shard]
        // An operator decided so; the only loss here is that of everything.
        if acceptsLoss { files.empty() }
        let expected: ShardProgress =
            simulation.mutant == .believeEmptyShard || acceptsLoss
            ? .notBegun : simulation.known(of: shard)
        let place = Directory("shards/\(shard)")
        try expected.check(files.checkpoint?.manifest, in: place)
        let store = ShardStore()
        var keys = RequestKeyTable()
        var operations = files.checkpoint?.operations ?? []
        for entry in operations { _ = try store.apply(lsn: entry.lsn, entry.operation) }
        let checkpoint = files.checkpoint?.manifest.current ?? ShardCheckpoint()
        for request in checkpoint.requests { keys.finish(request.key, request.counts) }
        let log = try LogRecovery.open(
            files.disk,
            identity: files.identity,
            from: checkpoint.appliedLSN + 1,
            mustExist: files.checkpoint != nil,
            nonce: simulation.random.next(),
            check: { lastLSN throws(OmenError) in
                // Without a manifest there may be a log of a first start that was cut short.
                if expected.hasBegun { try expected.check(lastLSN: lastLSN, in: place) }
            }
        ) { lsn, record throws(OmenError) in
            if keys.state(of: record.key) != .unknown {
                simulation.violation("shard \(shard) applied \(record.key) twice, LSN \(lsn)")
            }
            keys.finish(record.key, try store.apply(lsn: lsn, record.operation))
            operations.append((lsn, record.operation))
        }
        if files.checkpoint == nil {
            files.checkpoint = SimulatedShardDisk.Checkpoint(
                operations: [],
                manifest: ShardManifest(
                    identity: files.identity,
                    history: ShardProgress.history(from: simulation.random.next())
                )
            )
        }
        openedLSN = log.lastLSN
        self.store = store
        self.operations = operations
        core = ShardCore(
            durability: simulation.durability,
            schemas: store.schemas,
            appliedLSN: log.lastLSN,
            checkpointLSN: checkpoint.appliedLSN,
            keys: simulation.mutant == .forgetRequestKeys ? RequestKeyTable() : keys
        )
        appender = try LogAppender(
            storage: files.disk,
            identity: files.identity,
            continuing: log.continuation
        )
    }

    func die() { isAlive = false }

    /// Runs `action` later, unless the process is gone by then.
    private func after(_ delay: ClosedRange<UInt64>, _ action: @escaping () -> Void) {
        simulation.schedule(after: simulation.draw(delay)) { [weak self] in
            guard let self, self.isAlive else { return }
            if self.simulation.now < self.pausedUntil {
                let rest = self.pausedUntil - self.simulation.now
                self.after(rest...rest, action)
                return
            }
            action()
        }
    }

    func start() {
        send(0, .announcement(announcement))
        syncPeriodically()
    }

    private var announcement: WorkerAnnouncement {
        WorkerAnnouncement(
            shard: UInt32(shard),
            incarnation: incarnation,
            state: .ready,
            progress: ShardProgress(
                history: files.checkpoint?.manifest.history ?? 0,
                generation: files.checkpoint?.manifest.generation ?? 0,
                durableLSN: max(openedLSN, core.durableLSN)
            ),
            collections: store.ordered.map { CollectionInfo(name: $0.name, schema: $0.schema) }
        )
    }

    private func syncPeriodically() {
        after(50_000_000...60_000_000) { [unowned self] in
            self.handle(.syncDue)
            self.syncPeriodically()
        }
    }

    private func send(_ id: UInt64, _ message: Message) {
        simulation.fromWorker(self, Envelope(requestID: id, message: message))
    }

    // MARK: Requests

    func receive(_ envelope: Envelope) {
        guard isAlive else { return }
        if simulation.now < pausedUntil {
            after(0...0) { [unowned self] in self.receive(envelope) }
            return
        }
        let id = envelope.requestID
        switch envelope.message {
        case .write(let request): handle(.write(ticket: id, request))
        case .get(let request): answerGet(id, request)
        case .count(let name):
            let count = store.collections[name]?.vectorCount ?? 0
            send(id, .counted(CountReply(count: UInt64(count), coverage: Coverage(shardsTotal: 1))))
        case .shardSearch(let order): answerSearch(id, order)
        case .listCollections: send(id, .collections(announcement.collections))
        case .checkpoint: handle(.checkpointRequested(ticket: id))
        case .ping: send(id, .done)
        case .stop:
            stopTicket = id
            handle(.checkpointRequested(ticket: id))
        default: send(id, .failure(OmenError(.protocolViolation, "not a request")))
        }
        endTurn()
    }

    private func answerGet(_ id: UInt64, _ request: GetRequest) {
        do throws(OmenError) {
            let found = try store.records(
                request.ids,
                in: request.collection,
                withVector: request.withVector
            )
            let records = found.map {
                Record(id: $0.id, metadata: $0.metadata, vector: $0.vector)
            }
            let coverage = Coverage(shardsTotal: 1)
            send(id, .records(RecordsReply(element: .u8, records: records, coverage: coverage)))
        } catch { send(id, .failure(error)) }
    }

    private func answerSearch(_ id: UInt64, _ order: ShardOrder) {
        do throws(OmenError) {
            let found = try store.search(order)
            send(
                id,
                .hits(
                    SearchReply(
                        element: found.element,
                        hitCounts: found.counts,
                        hits: found.hits,
                        coverage: Coverage(shardsTotal: 1)
                    )
                )
            )
        } catch { send(id, .failure(error)) }
    }

    private func endTurn() {
        guard !turnScheduled else { return }
        turnScheduled = true
        after(0...100_000) { [unowned self] in
            self.turnScheduled = false
            self.handle(.turnEnded)
            _ = self.store.link(atMost: 4)
            self.advanceRebuild()
        }
    }

    /// Begins, goes on with or ends a rebuild: whatever the dice say, between any two operations.
    private func advanceRebuild() {
        do throws(OmenError) {
            guard let rebuild else {
                guard simulation.draw(0...7) == 0, let collection = store.ordered.first else {
                    return
                }
                let rebuild = try CollectionRebuild(collection)
                guard let output = try rebuild.work.run() else { return }
                rebuild.take(output)
                self.rebuild = rebuild
                return
            }
            guard simulation.draw(0...3) == 0 else { return }
            self.rebuild = nil
            guard store.collections.values.contains(where: { $0 === rebuild.collection }) else {
                return
            }
            while try !rebuild.catchUp(atMost: 3) {}
            rebuild.finish()
        } catch { simulation.violation("shard \(shard) cannot rebuild: \(error)") }
    }

    // MARK: Effects

    private func handle(_ event: ShardCore.Event) {
        guard isAlive else { return }
        var effects: [ShardCore.Effect] = []
        core.handle(event, into: &effects)
        for effect in effects where isAlive { perform(effect) }
    }

    private func perform(_ effect: ShardCore.Effect) {
        switch effect {
        case .appendLog(let batch, let sync): append(batch, sync: sync)
        case .syncLog: onLogThread { [unowned self] in self.complete(self.appender.sync()) }
        case .apply(let lsn, let operation): apply(lsn, operation)
        case .acknowledge(let ticket, let counts):
            let reply = WriteReply(counts: counts, coverage: Coverage(shardsTotal: 1))
            send(ticket, .written(reply))
        case .refuse(let ticket, let error): send(ticket, .failure(error))
        case .rotateLog:
            onLogThread { [unowned self] in
                let nonce = self.simulation.random.next()
                if case .failed(let error) = self.appender.rotate(nonce: nonce) {
                    self.handle(.logFailed(error))
                }
            }
        case .writeCheckpoint(let lsn): checkpoint(lsn)
        case .finishCheckpoint(let ticket, let error):
            send(ticket, error.map { .failure($0) } ?? .done)
            if ticket == stopTicket { simulation.workerExits(self, status: 0) }
        case .failStop: simulation.workerExits(self, status: 1)
        }
    }

    private func apply(_ lsn: UInt64, _ operation: WriteOperation) {
        do throws(OmenError) {
            let counts = try store.apply(lsn: lsn, operation)
            operations.append((lsn, operation))
            handle(.applied(lsn: lsn, counts))
        } catch {
            simulation.violation("shard \(shard) cannot apply LSN \(lsn): \(error)")
        }
    }

    /// The log's thread does one thing after the other.
    private func onLogThread(_ action: @escaping () -> Void) {
        let begin = max(logBusyUntil, simulation.now)
        logBusyUntil = begin + simulation.draw(100_000...8_000_000)
        let wait = logBusyUntil - simulation.now
        after(wait...wait, action)
    }

    private func append(_ batch: LogBatch, sync: Bool) {
        let lies = simulation.mutant == .acknowledgeBeforeSync && sync
        onLogThread { [unowned self] in
            let completion = self.appender.append(batch, sync: sync && !lies)
            if lies, case .written(let lastLSN, _) = completion {
                self.complete(.written(lastLSN: lastLSN, synced: true), of: batch)
                self.onLogThread { [unowned self] in self.complete(self.appender.sync()) }
            } else {
                self.complete(completion, of: batch)
            }
        }
    }

    private func complete(_ completion: LogCompletion, of batch: LogBatch? = nil) {
        let lastLSN = batch.map { $0.firstLSN + UInt64($0.records.count) - 1 } ?? 0
        // The result reaches the owner a little later than the disk, and in the same order.
        completedAt = max(completedAt, simulation.now + simulation.draw(0...200_000))
        let wait = completedAt - simulation.now
        after(wait...wait) { [unowned self] in
            switch completion {
            case .written(let lsn, let synced):
                self.handle(.logWritten(lastLSN: lsn, synced: synced))
            case .synced(let lsn): self.handle(.logSynced(throughLSN: lsn))
            case .refused(_, let error):
                if batch?.records.isEmpty == false {
                    self.handle(.logRefused(lastLSN: lastLSN, error))
                }
            case .rotated: break
            case .failed(let error):
                if self.simulation.mutant == .believeFailedSync, batch != nil {
                    self.handle(.logWritten(lastLSN: lastLSN, synced: true))
                } else {
                    self.handle(.logFailed(error))
                }
            }
            self.endTurn()
        }
    }

    private func checkpoint(_ lsn: UInt64) {
        let frozen = operations
        let requests = core.rememberedRequests
        guard let old = files.checkpoint?.manifest else {
            return simulation.violation("shard \(shard) has lost its manifest")
        }
        let manifest = old.advanced(to: ShardCheckpoint(appliedLSN: lsn, requests: requests))
        let next = SimulatedShardDisk.Checkpoint(operations: frozen, manifest: manifest)
        // After the rotation, which was submitted to the log's thread just before.
        onLogThread { [unowned self] in
            if self.simulation.mutant == .removeLogBeforeCheckpoint { self.dropLog(below: lsn) }
            self.after(1_000_000...80_000_000) { [unowned self] in
                self.files.checkpoint = next
                do throws(OmenError) {
                    self.send(0, .announcement(self.announcement))
                    try self.files.removeObsoleteLog()
                    self.handle(.checkpointWritten(throughLSN: lsn))
                } catch { self.handle(.checkpointFailed(error)) }
                self.endTurn()
            }
        }
    }

    private func dropLog(below lsn: UInt64) {
        do throws(OmenError) {
            let segments = try files.disk.names().filter { LogSegment.firstLSN(of: $0) != nil }
            for name in segments.sorted().dropLast() { try files.disk.remove(name) }
            try files.disk.syncDirectory()
        } catch { handle(.logFailed(error)) }
    }
}
