import OmenCoordinator
import OmenCore
import OmenWire

/// The coordinator, and what it asks of the machine.
extension Simulation {
    func startCoordinator() {
        guard core == nil else { return }
        epoch += 1
        var configuration = CoordinatorCore.Configuration(
            directory: mutant == .believeEmptyShard ? Self.newCluster(shardCount) : cluster,
            pid: 1,
            endpoint: .unix(path: "simulated"),
            nonce: random.next()
        )
        configuration.unfinishedDrops = mutant == .forgetUnfinishedDrops ? [] : unfinishedDrops
        configuration.restartsInWindowMax = .max
        configuration.timing.restartBackoffMax = 2_000_000_000
        core = CoordinatorCore(configuration: configuration)
        feed(.started)
        tick(epoch)
    }

    /// The directory of a cluster whose shards have not begun.
    static func newCluster(_ shardCount: Int) -> ClusterDirectory {
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

    func feed(_ event: CoordinatorCore.Event) {
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
            self.note("spawned \(shard) \(incarnation)")
            let worker = SimulatedWorker(self, shard: shard, incarnation: incarnation)
            self.workers[shard] = worker
            self.feed(
                .workerSpawned(
                    replica: ReplicaID(shard: shard),
                    incarnation: incarnation,
                    pid: 7
                )
            )
            worker.start(acceptsLoss: acceptsLoss)
        }
    }

    func reportExit(_ shard: UInt32, _ incarnation: UInt64, status: Int64, signal: Int32) {
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
}
