package import OmenCore
package import OmenStorage

/// Checks a whole stopped data directory, up to opening its shards, and changes nothing.
///
/// - Parameter directory: The data directory.
/// - Returns: What was found.
/// - Throws: `.locked` when a process of the cluster runs; `.ioFailure` when the directory cannot
///   be read. Damage is never thrown, it is in the report.
/// - Complexity: Reads every byte; one shard at a time is in memory.
package func verifyCluster(_ directory: Directory) throws(OmenError) -> StorageReport {
    try verifyDataDirectory(directory) { shard, manifest throws(OmenError) in
        let files = DataDirectory.shard(shard, in: directory)
        guard try files.exists() else { return }
        let lock = try files.lockForReading(DataDirectory.shardLockName)
        defer { withExtendedLifetime(lock) {} }
        try ShardReading.check(
            files,
            identity: manifest.identity(ofShard: shard),
            expected: manifest[progressOfShard: shard]
        )
    }
}
