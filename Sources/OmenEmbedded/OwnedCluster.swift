internal import OmenCore
internal import OmenStorage

/// The cluster manifest of a database inside this process, which is a cluster of one shard.
///
/// Belongs to the owner of the engine, which holds the directory's lock.
final class OwnedCluster {
    private var manifest: ClusterManifest
    private let directory: Directory

    init(_ manifest: ClusterManifest, _ directory: Directory) {
        self.manifest = manifest
        self.directory = directory
    }

    /// Stores how far the shard has come, if that is news; durable on return.
    func note(_ progress: ShardProgress) throws(OmenError) {
        guard manifest[progressOfShard: 0] != progress else { return }
        var next = manifest
        next[progressOfShard: 0] = progress
        try next.store(directory)
        manifest = next
    }
}
