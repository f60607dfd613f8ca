/// Where the shards of a cluster are: `DATA/shards`.
package func shardsDirectory(in directory: Directory) -> Directory {
    directory.subdirectory("shards")
}

/// Name of a shard's directory: three digits.
package func shardDirectoryName(_ shard: Int) -> String {
    let digits = String(shard)
    return String(repeating: "0", count: max(0, 3 - digits.count)) + digits
}

/// The lock in a data directory: its coordinator, or the process it is embedded in, holds it.
package let clusterLockName = "cluster.lock"

/// The lock in a shard's directory: its worker holds it.
package let shardLockName = "lock"

/// Where a shard's files are: `DATA/shards/NNN`.
package func shardDirectory(_ shard: Int, in directory: Directory) -> Directory {
    shardsDirectory(in: directory).subdirectory(shardDirectoryName(shard))
}
