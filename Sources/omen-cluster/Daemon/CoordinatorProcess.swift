internal import OmenSystem
internal import ArgumentParser
internal import Glibc
internal import OmenCoordinator
internal import OmenCore
internal import OmenStorage

/// The process that holds the data directory's lock and drives the workers.
enum CoordinatorProcess {
    /// What the hidden `coordinator` command is told so that it does the same in a new process.
    static func arguments(_ settings: ClusterSettings) -> [String] {
        var arguments = ["coordinator", "--data", settings.location.data]
        arguments += ["--socket", settings.location.socket]
        if let shards = settings.shards { arguments += ["--shards", "\(shards)"] }
        arguments += settings.durability.arguments
        arguments += ["--memory-limit", "\(settings.memoryLimit)"]
        for (limit, value) in settings.limits.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            arguments += ["--limit", "\(limit.rawValue)=\(value)"]
        }
        return arguments
    }

    /// Serves until the cluster is stopped, then ends the process with its exit status.
    static func run(_ settings: ClusterSettings) throws {
        AllocatorPolicy.apply()
        let lock = try settings.lock()
        defer { withExtendedLifetime(lock) {} }
        let manifest = try settings.manifest(lock)
        let directory = settings.directory
        var core = CoordinatorCore.Configuration(
            directory: manifest.cluster,
            pid: UInt32(clamping: getpid()),
            endpoint: settings.location.endpoint,
            nonce: .random(in: .min ... .max)
        )
        core.memoryLimit = settings.memoryLimit
        core.unfinishedDrops = try UnfinishedDropsFile.load(directory)
        core.connectionCountMax = try Descriptors.check(shardCount: manifest.shardCount)
        for (limit, value) in settings.limits { core.apply(limit, value) }
        let server = try CoordinatorServer(
            CoordinatorServer.Configuration(
                core: core,
                cluster: manifest.uuid,
                launcher: WorkerLauncher(
                    executable: try executablePath(),
                    dataDirectory: settings.location.data,
                    durability: settings.durability
                ),
                storeDirectory: { cluster throws(OmenError) in
                    var next = manifest
                    next.cluster = cluster
                    try next.store(directory)
                },
                storeDrops: { drops throws(OmenError) in
                    try UnfinishedDropsFile.store(drops, directory)
                }
            )
        )
        LogLine.write(
            "coordinator",
            "process \(getpid()), \(manifest.shardCount) shards, \(settings.location.data)"
        )
        let status = try server.run()
        if status != 0 { throw ExitCode(status) }
    }
}

extension CoordinatorCore.Configuration {
    mutating func apply(_ limit: CoordinatorLimit, _ value: Int) {
        let nanoseconds = UInt64(value) * 1_000_000
        switch limit {
        case .readTimeout: timing.readTimeout = nanoseconds
        case .writeTimeout: timing.writeTimeout = nanoseconds
        case .heartbeatInterval: timing.heartbeatInterval = nanoseconds
        case .heartbeatTimeout: timing.heartbeatTimeout = nanoseconds
        case .restartBackoffMin: timing.restartBackoffMin = nanoseconds
        case .restartBackoffMax: timing.restartBackoffMax = nanoseconds
        case .restartWindow: timing.restartWindow = nanoseconds
        case .restartsInWindowMax: restartsInWindowMax = value
        case .frameTimeout: timing.frameTimeout = nanoseconds
        }
    }
}

/// The file that this process runs.
func executablePath() throws(OmenError) -> String {
    guard let path = realpath("/proc/self/exe", nil) else {
        throw OmenError(.ioFailure, "cannot tell which file this process runs")
    }
    defer { free(path) }
    guard let text = String(validatingCString: path) else {
        throw OmenError(.badRequest, "this program is \(shownBytes(path)), which is not UTF-8")
    }
    return text
}

/// Hidden: what `start` runs in a session of its own.
struct Coordinator: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the coordinator.",
        shouldDisplay: false
    )

    @OptionGroup var start: StartOptions

    @Option(help: "KEY=NUMBER, as in the limits of a topology file.")
    var limit: [String] = []

    func run() throws {
        do {
            var settings = try start.settings(nil)
            for text in limit {
                let (limit, value) = try CoordinatorLimit.parse(text)
                settings.limits[limit] = value
            }
            becomeDaemon(directory: settings.location.data)
            try CoordinatorProcess.run(settings)
        } catch let error as OmenError {
            LogLine.write("coordinator", "cannot serve: \(error.message)")
            throw error.exitStatus
        }
    }
}
