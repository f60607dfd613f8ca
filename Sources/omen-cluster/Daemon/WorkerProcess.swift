internal import OmenSystem
internal import ArgumentParser
internal import OmenCoordinator
internal import OmenCore
internal import OmenShard
internal import OmenStorage
internal import OmenWire
internal import OmenWorker

/// Hidden: what the coordinator runs for each shard, with a socket to itself.
struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: WorkerOrders.command,
        abstract: "Run one shard.",
        shouldDisplay: false
    )

    /// `WorkerOrders` reads them: it wrote them.
    @Argument(parsing: .captureForPassthrough)
    var words: [String] = []

    /// What this shard may need of the memory that is available.
    ///
    /// At a start all shards ask at the same time, and hashing makes them alike; later the others
    /// have taken theirs.
    private func memoryByteCountMax(
        _ orders: WorkerOrders,
        _ shardCount: Int
    ) throws(OmenError) -> Int {
        let available = try SystemMemory.availableByteCount()
        return orders.incarnation > 1 ? available : available / shardCount
    }

    func run() throws {
        let orders = try checkingUsage { () throws(OmenError) in
            try WorkerOrders(arguments: words)
        }
        let configuration: WorkerServer.Configuration
        do {
            configuration = try self.configuration(orders)
        } catch {
            LogLine.write("shard \(orders.shard)", "cannot open: \(error.message)")
            throw ExitStatus.unavailable
        }
        throw ExitCode(WorkerServer.runProcess(configuration).rawValue)
    }

    /// Everything that the shard is opened with.
    private func configuration(
        _ orders: WorkerOrders
    ) throws(OmenError) -> WorkerServer.Configuration {
        let directory = Directory(orders.dataDirectory)
        guard let manifest = try ClusterManifest.load(directory) else {
            throw OmenError(
                .ioFailure,
                "\(orders.dataDirectory) has no \(ClusterManifest.fileName)"
            )
        }
        let number = Int(orders.shard)
        guard (0..<manifest.shardCount).contains(number) else {
            throw OmenError(.badRequest, "shard \(number) of \(manifest.shardCount)")
        }
        var shard = ShardEngine.Configuration(
            directory: DataDirectory.shard(number, in: directory),
            identity: manifest.identity(ofShard: number),
            durability: orders.durability,
            // Whatever ended the worker before this one may have been damage.
            checksWhole: orders.incarnation > 1,
            memoryByteCountMax: try memoryByteCountMax(orders, manifest.shardCount),
            buildTurnPath: directory.path(of: DataDirectory.buildsLockName)
        )
        shard.expected = manifest[progressOfShard: number]
        shard.acceptsLoss = orders.acceptsLoss
        shard.hotLimits = try HotLimits.shard.overridden()
        shard.buildGate = BuildGate(
            leasePath: directory.path(of: DataDirectory.buildsMemoryLockName),
            shardCount: manifest.shardCount
        )
        // All shards may build at once.
        shard.buildHelperCount = max(0, Processors.usableCount / manifest.shardCount - 1)
        return WorkerServer.Configuration(
            shard: shard,
            incarnation: orders.incarnation,
            scope: FrameScope(
                cluster: manifest.uuid,
                shard: orders.shard,
                epoch: orders.epoch
            ),
            descriptor: WorkerOrders.descriptor
        )
    }
}
