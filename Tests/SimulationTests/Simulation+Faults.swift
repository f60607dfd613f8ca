import OmenCoordinator
import OmenCore
import OmenWire
import StorageTestSupport

/// What goes wrong while clients work.
extension Simulation {
    func scheduleFault() {
        schedule(after: draw(10_000_000...250_000_000)) {
            guard self.faultsAllowed else { return }
            self.tally.faults += 1
            self.strike()
            self.scheduleFault()
        }
    }

    private func strike() {
        let shard = Int(draw(0...UInt64(shardCount - 1)))
        let kind = draw(0...14)
        note("fault \(kind) \(shard)")
        switch kind {
        case 0...3: if let worker = workers[shard] { kill(worker) }
        case 4: crash(losingPower: false)
        case 5...6: crash(losingPower: true)
        case 7: workers[shard]?.process.pausedUntil = now + draw(10_000_000...15_000_000_000)
        case 8: failDisk(shard, Self.diskError)
        case 9: failDisk(shard, OmenError(.resourceExhausted, "injected ENOSPC"))
        case 10...11: endAtOperation(shard)
        default: requestCheckpoint()
        }
    }

    func kill(_ worker: SimulatedWorker) {
        guard !worker.hasEnded else { return }
        end(worker)
        reportExit(UInt32(worker.shard), worker.incarnation, status: 0, signal: 9)
    }

    /// The coordinator dies, and its workers with it; with the power, unsynced bytes die, too.
    func crash(losingPower: Bool) {
        core = nil
        epoch += 1
        for shard in workers.indices {
            workers[shard]?.process.die()
            if losingPower {
                disks[shard].cutPower(using: &random)
            } else {
                disks[shard].killProcess()
            }
            workers[shard]?.end()
            workers[shard] = nil
        }
        let victims = connections.sorted { $0.key < $1.key }.map(\.value)
        connections = [:]
        for client in victims {
            client.disconnected()
            // A worker may die of reading what has rotted; its next start would check everything
            // first. Here that would be the end of the test's own process.
            guard damaged == nil else { continue }
            schedule(after: draw(1_000_000...20_000_000)) { self.connect(client) }
        }
        schedule(after: draw(1_000_000...200_000_000)) { self.startCoordinator() }
    }

    /// One of the next operations on a shard's disk fails once.
    private func failDisk(_ shard: Int, _ error: OmenError) {
        let operation = disks[shard].operationCount + Int(draw(1...6))
        disks[shard].faults = [
            MemoryDisk.Fault(operation: operation, error: error, isLast: false)
        ]
    }

    /// The worker is killed at one of its next changes of the disk, half of which may be done.
    private func endAtOperation(_ shard: Int) {
        let operation = disks[shard].operationCount + Int(draw(1...60))
        disks[shard].faults = [
            MemoryDisk.Fault(operation: operation, error: Self.diskError, isLast: true)
        ]
        requestCheckpoint()
    }

    /// Kills a worker's process, whatever it is doing.
    func die(_ worker: SimulatedWorker) {
        tally.cutOperations += 1
        worker.process.die()
        schedule(after: 0) { [weak self, weak worker] in
            guard let self, let worker else { return }
            self.kill(worker)
        }
    }

    /// A worker ends by its own decision.
    func workerExits(_ worker: SimulatedWorker, status: Int64) {
        guard !worker.hasEnded else { return }
        end(worker)
        reportExit(UInt32(worker.shard), worker.incarnation, status: status, signal: 0)
    }

    private func end(_ worker: SimulatedWorker) {
        worker.process.die()
        disks[worker.shard].killProcess()
        worker.end()
    }

    private func requestCheckpoint() { ask(.checkpoint) }

    /// A request on a connection of its own, whose answer nobody reads.
    func ask(_ message: Message) {
        nextConnection += 1
        let connection = nextConnection
        feed(.clientConnected(client: connection))
        feed(.clientMessage(client: connection, Envelope(requestID: 1, message: message)))
    }
}
