internal import OmenSystem
internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenStorage
internal import OmenWire

/// What `start` and the coordinator process are both told.
struct StartOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Number of shards; fixed when the data directory is made. Otherwise one per processor.",
            valueName: "n"
        )
    )
    var shards: Int?

    @Option(
        help:
            "When a write is acknowledged: after its sync, or before (interval, none). Default: always."
    )
    var durability: DurabilityArgument?

    @Option(
        name: .customLong("durability-interval-ms"),
        help: ArgumentHelp("Time between syncs under interval. Default: 100.", valueName: "ms")
    )
    var durabilityInterval: Int?

    @Option(
        help: ArgumentHelp(
            "Memory that the coordinator may hold for clients: bytes, or as 512MiB. Default: 1GiB, at least 256MiB.",
            valueName: "bytes"
        )
    )
    var memoryLimit: ByteCount?

    @OptionGroup var options: ClusterOptions

    func settings(_ config: ClusterConfig?) throws(OmenError) -> ClusterSettings {
        try ClusterSettings(
            data: options.data,
            socket: options.socket,
            shards: shards,
            durability: durability?.rawValue,
            durabilityIntervalMilliseconds: durabilityInterval,
            memoryLimit: memoryLimit,
            config: config,
            environment: environmentVariable
        )
    }
}

struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create or reopen a cluster; returns when all shards are ready."
    )

    @OptionGroup var start: StartOptions

    @Flag(help: "Stay in the foreground and log to stderr.")
    var foreground = false

    @Option(help: ArgumentHelp("Topology file; see cluster/.", valueName: "file.toml"))
    var config: String?

    @Option(help: ArgumentHelp("Longest wait for the shards to be ready.", valueName: "seconds"))
    var timeout = 300

    func validate() throws {
        let config = try checkingUsage { () throws(OmenError) in try readConfig() }
        _ = try checkingUsage { () throws(OmenError) in try start.settings(config) }
    }

    private func readConfig() throws(OmenError) -> ClusterConfig? {
        guard let config else { return nil }
        return try ClusterConfig(file: config)
    }

    func run() throws {
        try reporting {
            let settings = try start.settings(try readConfig())
            // Here, where the user looks, and before anything is begun.
            try Descriptors.check(shardCount: try settings.expectedShardCount())
            if foreground {
                try CoordinatorProcess.run(settings)
                return
            }
            let process = try startDetached(settings)
            let status = try waitUntilSettled(process, settings)
            if start.options.json {
                Console.out(StatusOutput.json(status))
            } else {
                Console.out(StatusOutput.text(status))
            }
            let missing = status.workers.filter { $0.state != .ready }
            guard missing.isEmpty else {
                let names = missing.map { "shard \($0.shard) is \($0.state)" }
                Console.warning(names.joined(separator: ", "))
                throw ExitStatus.partial
            }
        }
    }

    private func startDetached(_ settings: ClusterSettings) throws(OmenError) -> DetachedProcess {
        do {
            // Checked here, where the user looks; the coordinator takes the lock for good.
            let lock = try lockPatiently(settings)
            _ = try settings.manifest(lock)
        }
        return try DetachedProcess(
            arguments: CoordinatorProcess.arguments(settings),
            logPath: settings.directory.path(of: DataDirectory.logName)
        )
    }

    /// Takes the lock; a coordinator that was just killed gets a moment to be gone.
    private func lockPatiently(_ settings: ClusterSettings) throws(OmenError) -> LockFile {
        let deadline = ContinuousClock.now + .milliseconds(500)
        while true {
            do throws(OmenError) {
                return try settings.lock()
            } catch {
                guard error.code == .locked, ContinuousClock.now < deadline else { throw error }
            }
            pause(milliseconds: 5)
        }
    }

    /// Asks until every shard is ready or given up, the time is over, or the coordinator is gone.
    private func waitUntilSettled(
        _ process: DetachedProcess,
        _ settings: ClusterSettings
    ) throws(OmenError) -> ClusterStatus {
        let deadline = ContinuousClock.now + .seconds(timeout)
        var client: ClusterClient?
        while true {
            guard !process.hasEnded() else {
                throw OmenError(.ioFailure, "the coordinator ended:\n\(process.lastWords())")
            }
            do throws(OmenError) {
                if client == nil {
                    client = try ClusterClient.connect(to: settings.location.endpoint)
                }
                guard let status = try client?.status() else { continue }
                let isSettled = status.workers.allSatisfy(\.isSettled)
                if isSettled || ContinuousClock.now > deadline { return status }
            } catch {
                // Not listening yet.
                guard error.code == .unavailable, ContinuousClock.now < deadline else {
                    throw error
                }
            }
            pause(milliseconds: 1)
        }
    }
}

extension WorkerStatus {
    /// Whether waiting longer changes nothing.
    fileprivate var isSettled: Bool {
        switch state {
        case .ready, .failed, .quarantined: true
        case .spawning, .recovering, .draining, .dead, .backoff: false
        }
    }
}

struct StopCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Checkpoint and end the cluster; returns when no process is left."
    )

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let location = try options.location()
            try connect(options).stop()
            try waitUntilGone(Directory(location.data))
            if options.json { Console.out(.object([("stopped", .bool(true))])) }
        }
    }

    /// The lock is let go by the kernel when the coordinator is gone, its process number may be
    /// anybody's by then.
    private func waitUntilGone(_ directory: Directory) throws(OmenError) {
        let deadline = ContinuousClock.now + .seconds(150)
        while true {
            do throws(OmenError) {
                _ = try LockFile.acquireForReading(directory.path(of: DataDirectory.lockName))
                return
            } catch {
                guard error.code == .locked, ContinuousClock.now < deadline else { throw error }
            }
            pause(milliseconds: 1)
        }
    }
}

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the coordinator and its shards."
    )

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let status = try connect(options).status()
            if options.json {
                Console.out(StatusOutput.json(status))
            } else {
                Console.out(StatusOutput.text(status))
            }
        }
    }
}
