internal import OmenSystem
internal import Glibc
internal import OmenCoordinator
internal import OmenCore
internal import OmenStorage

/// Everything a coordinator is started with, from all its sources.
struct ClusterSettings: Equatable {
    var location: Location
    /// Wanted number of shards; nil takes what is there, or one per processor.
    var shards: Int?
    var durability: Durability
    /// What the coordinator may hold for clients, in bytes.
    var memoryLimit: Int
    var limits: [CoordinatorLimit: Int] = [:]

    /// Merges the command line over the environment over the file over the defaults.
    init(
        data: String?,
        socket: String?,
        shards: Int?,
        durability: String?,
        durabilityIntervalMilliseconds: Int?,
        memoryLimit: ByteCount?,
        config: ClusterConfig?,
        environment: (String) throws(OmenError) -> String?
    ) throws(OmenError) {
        let configured = try environment("OMENDB_DATA") == nil ? config?.data : nil
        location = try Location(
            data: data ?? configured,
            socket: socket ?? config?.socket,
            environment: environment
        )
        self.shards = shards ?? config?.shards
        let interval = durabilityIntervalMilliseconds ?? config?.durabilityIntervalMilliseconds
        let name = durability ?? config?.durability ?? "always"
        self.durability = try Durability(named: name, intervalMilliseconds: interval)
        self.memoryLimit =
            try memoryLimit?.checkedAsMemoryLimit() ?? config?.memoryLimit
            ?? Limits.memoryLimitDefault
        limits = config?.limits ?? [:]
        if let shards = self.shards, !(1...Limits.shardCountMax).contains(shards) {
            throw OmenError(
                .badRequest,
                "\(shards) shards, expected 1...\(Limits.shardCountMax)"
            )
        }
        if let interval, !durabilityIntervalRange.contains(interval) {
            throw OmenError(
                .badRequest,
                "durability interval is \(interval) ms, expected 1...60000"
            )
        }
    }

    var directory: Directory { Directory(location.data) }

    /// Takes the right to be the coordinator of the data directory.
    ///
    /// - Throws: `.locked`, naming the process that is.
    func lock() throws(OmenError) -> LockFile {
        try directory.create()
        do throws(OmenError) {
            return try LockFile.acquire(directory.path(of: DataDirectory.lockName))
        } catch {
            guard error.code == .locked else { throw error }
            throw OmenError(.locked, "a cluster is already running: \(error.message)")
        }
    }

    /// The number of shards that the cluster has, or will have; makes nothing.
    func expectedShardCount() throws(OmenError) -> Int {
        if let manifest = try ClusterManifest.load(directory) { return manifest.shardCount }
        return newShardCount
    }

    private var newShardCount: Int {
        shards ?? min(Processors.usableCount, Limits.shardCountMax)
    }

    /// The manifest of the data directory, made when there is none.
    ///
    /// The caller shows that it holds the lock: two makers would each believe in their own.
    func manifest(_ lock: LockFile) throws(OmenError) -> ClusterManifest {
        defer { withExtendedLifetime(lock) {} }
        let manifest = try ClusterManifest.loadOrMake(directory) {
            newShardCount
        }
        guard manifest.shardCount == shards ?? manifest.shardCount else {
            throw OmenError(
                .badRequest,
                "\(location.data) has \(manifest.shardCount) shards, asked were \(shards ?? 0); the number is fixed when the directory is made"
            )
        }
        return manifest
    }
}
