import OmenCore
import OmenShard
import OmenStorage
import StorageTestSupport

/// What one shard has on disk: a log on a disk that forgets and tears, and its checkpoints.
///
/// The log's bytes, its recovery and the manifest's rules about what may be removed are the real
/// ones; a checkpoint's files are replaced by the operations that they hold.
final class SimulatedShardDisk {
    struct Checkpoint {
        var operations: [(lsn: UInt64, operation: WriteOperation)]
        var manifest: ShardManifest
    }

    let identity: ShardIdentity
    private(set) var disk = MemoryDisk()
    /// Durable as a whole or not at all: the real one is published by a rename.
    var checkpoint: Checkpoint?

    init(shard: UInt32) {
        identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: shard)
    }

    /// Whether a checkpoint holds operations.
    var hasRecords: Bool { checkpoint?.operations.isEmpty == false }

    /// Takes all files away, as a lost file system or an operator's mistake does.
    func empty() {
        disk = MemoryDisk()
        checkpoint = nil
    }

    /// Removes the log segments that no generation needs any more.
    func removeObsoleteLog() throws(OmenError) {
        guard let checkpoint else { return }
        for name in checkpoint.manifest.removableFiles(among: try disk.names()) {
            try disk.remove(name)
        }
        try disk.syncDirectory()
    }
}
