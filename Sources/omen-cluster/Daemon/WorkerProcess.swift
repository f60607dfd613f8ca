internal import OmenSystem
internal import ArgumentParser
internal import OmenCoordinator
internal import OmenCore
internal import OmenShard
internal import OmenStorage
internal import OmenWorker

/// Hidden: what the coordinator runs for each shard, with a socket to itself on descriptor 3.
struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one shard.",
        shouldDisplay: false
    )

    @Option var shard: Int
    @Option var data: String
    @Option var incarnation: UInt64
    /// Go on with what is left of the shard's files.
    @Flag var acceptsLoss = false
    @Option var durability = DurabilityArgument.always
    @Option(name: .customLong("durability-interval-ms"))
    var durabilityInterval: Int?

    /// What this shard may need of the memory that is available.
    ///
    /// At a start all shards ask at the same time, and hashing makes them alike; later the others
    /// have taken theirs.
    private func memoryByteCountMax(_ shardCount: Int) throws(OmenError) -> Int {
        let available = try SystemMemory.availableByteCount()
        return incarnation > 1 ? available : available / shardCount
    }

    func run() throws {
        let configuration: WorkerServer.Configuration
        do {
            let directory = Directory(data)
            guard let manifest = try ClusterManifest.load(directory) else {
                throw OmenError(.ioFailure, "\(data) has no \(ClusterManifest.fileName)")
            }
            guard (0..<manifest.shardCount).contains(shard) else {
                throw OmenError(.badRequest, "shard \(shard) of \(manifest.shardCount)")
            }
            var shard = ShardEngine.Configuration(
                directory: DataDirectory.shard(shard, in: directory).path,
                identity: manifest.identity(ofShard: shard),
                durability: try durabilityNamed(
                    durability.rawValue,
                    intervalMilliseconds: durabilityInterval
                ),
                // Whatever ended the worker before this one may have been damage.
                checksWhole: incarnation > 1,
                memoryByteCountMax: try memoryByteCountMax(manifest.shardCount),
                buildTurnPath: directory.path(of: DataDirectory.buildsLockName)
            )
            shard.expected = manifest.progress[Int(shard.shard)]
            shard.acceptsLoss = acceptsLoss
            shard.hotLimits = try HotLimits.shard.overridden()
            shard.buildGate = BuildGate(
                leasePath: directory.path(of: "builds-memory.lock"),
                shardCount: manifest.shardCount
            )
            // All shards may build at once.
            shard.buildHelperCount = max(0, Processors.usableCount / manifest.shardCount - 1)
            configuration = WorkerServer.Configuration(
                shard: shard,
                incarnation: incarnation,
                descriptor: CoordinatorServer.workerDescriptor
            )
        } catch let error as OmenError {
            LogLine.write("shard \(shard)", "cannot open: \(error.message)")
            throw ExitStatus.unavailable
        }
        throw ExitCode(WorkerServer.runProcess(configuration).rawValue)
    }
}
