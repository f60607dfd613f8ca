/// What lies where in a data directory, `DATA`: the one place in Swift that knows the names.
///
///     DATA/cluster.manifest   which shards there are, and how far each had come
///     DATA/cluster.drops      drops of collections that are not finished
///     DATA/cluster.lock       held by the coordinator, or by the process that embeds the database
///     DATA/builds.lock        held by the shard whose build has its turn
///     DATA/builds-memory.lock held by shards whose builds have memory promised
///     DATA/coordinator.log    what the processes of the cluster tell the operator
///     DATA/omen.sock          the coordinator's socket, unless another path was given
///     DATA/shards/NNN/        the files of shard NNN, with its own `lock`, held by its worker
package enum DataDirectory {
    package static let manifestName = "cluster.manifest"
    package static let dropsName = "cluster.drops"
    package static let lockName = "cluster.lock"
    package static let buildsLockName = "builds.lock"
    package static let buildsMemoryLockName = "builds-memory.lock"
    package static let logName = "coordinator.log"
    package static let socketName = "omen.sock"
    /// Name of the lock in a shard's own directory.
    package static let shardLockName = "lock"

    /// Name of a shard's directory: the number with at least three digits.
    package static func shardName(_ shard: Int) -> String {
        let digits = String(shard)
        return String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// The directory of all shards, `DATA/shards`.
    package static func shards(in data: Directory) -> Directory { data.subdirectory("shards") }

    /// The directory of one shard, `DATA/shards/NNN`.
    package static func shard(_ shard: Int, in data: Directory) -> Directory {
        shards(in: data).subdirectory(shardName(shard))
    }
}
