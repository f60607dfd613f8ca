import OmenCoordinator
import OmenCore
import OmenWire
import StorageTestSupport

@testable import OmenStorage

/// Files that are lost or rot while nothing runs, and the operator who accepts that.
extension Simulation {
    /// Damages one shard while nothing runs: it must be missed, whatever the others do, and come
    /// back only when an operator accepts that.
    func damageShard() {
        let shard = Int(draw(0...UInt64(shardCount - 1)))
        guard known(of: shard).durableLSN > 0 else { return }
        damaged = shard
        crash(losingPower: false)
        let what = draw(0...1) == 0 && rot(shard) ? "a rotten file" : "no files"
        if unrotted.isEmpty { disks[shard].empty() }
        let others = shardCount - 1
        advance(for: 30_000_000_000) { self.core?.workerState(shard) == .quarantined }
        advance(for: 20_000_000_000) { self.core?.readyShards.count == others }
        guard core?.workerState(shard) == .quarantined, core?.readyShards.count == others else {
            return violation("shard \(shard) has \(what), and \(stateText(shard))")
        }
        acceptLoss(of: shard)
        advance(for: 20_000_000_000) { self.core?.readyShards.count == self.shardCount }
        if core?.readyShards.count != shardCount {
            violation("shard \(shard) was accepted, and \(stateText(shard))")
        }
    }

    /// Section of the full vectors, which lead nowhere.
    private static let vectorSection: UInt32 = 2

    /// Inverts a bit in a shard file where opening does not look at once.
    ///
    /// - Returns: Whether there is such a place.
    private func rot(_ shard: Int) -> Bool {
        let disk = disks[shard]
        let directory = DataDirectory.shard(shard, in: disk.directory)
        do throws(OmenError) {
            let manifest = try ShardManifest.load(directory, identity: identity(of: shard))
            guard let file = manifest?.current.collections.randomElement(using: &random)?.file,
                let node = disk.node(directory.path(of: file))
            else { return false }
            let bytes = node.visible
            let header = try withBytes(of: bytes) { bytes throws(OmenError) in
                try ShardFileHeader(of: bytes)
            }
            // A worker may follow what has rotted elsewhere before the check has come there, and
            // die of that, which would be the end of this process. Its next start checks everything
            // first, and so does the first one here.
            opensWhole = mutant != .trustRottenFile && draw(0...1) == 0
            let lazy = header.sections.filter {
                $0.isLazy && $0.byteCount > 0 && (opensWhole || $0.kind == Self.vectorSection)
            }
            guard let section = lazy.randomElement(using: &random) else { return false }
            unrotted[directory.path(of: file)] = bytes
            node.rot(at: section.offset + Int(draw(0...UInt64(section.byteCount - 1))))
            return true
        } catch {
            violation("shard \(shard) stopped, and its files cannot be read: \(error)")
            return false
        }
    }

    /// A worker could not open its shard.
    func workerCannotOpen(_ worker: SimulatedWorker, _ error: OmenError) {
        let shard = UInt32(worker.shard)
        note("cannot open \(shard) \(error)")
        // A fault hit the recovery itself: this process ends, the next one tries.
        guard error.code == .corrupt else { return workerExits(worker, status: 69) }
        foundDamage(worker.shard, error)
        quarantine(shard, worker.incarnation, error)
        workerExits(worker, status: 65)
    }

    /// A worker takes its files for damaged.
    func foundDamage(_ shard: Int, _ error: OmenError) {
        guard damaged != shard else { return }
        violation("shard \(shard) is taken for damaged: \(error)")
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
    }
}
