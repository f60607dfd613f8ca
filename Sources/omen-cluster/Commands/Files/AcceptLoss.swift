internal import ArgumentParser
internal import Glibc
internal import OmenClient
internal import OmenCore
internal import OmenShard
internal import OmenStorage
internal import OmenWire

/// The only way on for a shard whose files are damaged, missing or too old.
struct AcceptLoss: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accept-loss",
        abstract: "Let a quarantined shard go on with what is left of its files.",
        discussion: """
            Says what is left and what is lost, and asks. The old files are kept beside the new \
            ones. Works on a running cluster and on a stopped data directory.
            """
    )

    @Argument(help: "Number of the shard, as status shows it.")
    var shard: Int

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup var options: ClusterOptions

    func run() throws {
        try reporting {
            let directory = Directory(try options.location().data)
            guard try directory.exists(), let manifest = try ClusterManifest.load(directory) else {
                throw OmenError(
                    .notFound,
                    "\(directory.path(of: ClusterManifest.fileName)) is missing: without it no shard's files can be told from another cluster's"
                )
            }
            guard (0..<manifest.shardCount).contains(shard) else {
                throw OmenError(
                    .badRequest,
                    "shard \(shard), \(directory.path) has shards 0...\(manifest.shardCount - 1)"
                )
            }
            // While it is held no coordinator runs, and none starts.
            let lock = try closedDirectoryLock(directory)
            if lock == nil { try checkIsOutOfService() }
            let report = try ShardSalvage.report(
                ofShard: shard,
                in: directory,
                manifest: manifest
            )
            guard report.loses else {
                throw OmenError(
                    .badRequest,
                    "shard \(shard) has lost nothing: \(report.recordCount) records up to LSN \(report.lastLSN), the cluster knows of \(report.known)"
                )
            }
            describe(report)
            guard try yes || isConfirmed() else {
                throw OmenError(.badRequest, "nothing was changed")
            }
            if let lock {
                defer { withExtendedLifetime(lock) {} }
                try acceptClosed(directory, manifest)
            } else {
                try acceptRunning()
            }
            answer(report)
        }
    }

    /// The lock of a data directory that no coordinator has; nil when one runs.
    private func closedDirectoryLock(_ directory: Directory) throws(OmenError) -> LockFile? {
        do throws(OmenError) {
            return try LockFile.acquire(directory.path(of: DataDirectory.lockName))
        } catch {
            guard error.code == .locked else { throw error }
            return nil
        }
    }

    private func checkIsOutOfService() throws(OmenError) {
        let status: ClusterStatus
        do throws(OmenError) {
            status = try connect(options).status()
        } catch {
            guard error.code == .unavailable else { throw error }
            // Not a coordinator: the database is open inside a process, or somebody else does this.
            let path = Directory(try options.location().data).path(of: DataDirectory.lockName)
            _ = try LockFile.acquireForReading(path)
            throw error
        }
        guard let worker = status.workers.first(where: { Int($0.shard) == shard }) else { return }
        guard worker.state == .quarantined || worker.state == .failed else {
            throw OmenError(
                .badRequest,
                "shard \(shard) is \(worker.state): a loss can be accepted of a shard that is quarantined or failed"
            )
        }
    }

    private func acceptClosed(
        _ directory: Directory,
        _ manifest: ClusterManifest
    ) throws(OmenError) {
        // Fails here, before anything is changed, where the manifest cannot be stored afterwards.
        try manifest.store(directory)
        var next = manifest
        next[progressOfShard: shard] = try ShardSalvage.accept(
            shard,
            in: directory,
            manifest: manifest
        )
        try next.store(directory)
    }

    private func acceptRunning() throws(OmenError) {
        let client = try connect(options)
        try askUntilTaken(client)
        while true {
            let status = try client.status()
            let worker = status.workers.first { Int($0.shard) == shard }
            switch worker?.state {
            case .ready: return
            case .quarantined, .failed, .backoff, .dead, nil:
                throw OmenError(
                    .unavailable,
                    "shard \(shard) did not come back: \(worker?.lastError ?? "it is unknown")"
                )
            case .spawning, .recovering, .draining: pause(milliseconds: 10)
            }
        }
    }

    /// The last worker of a shard may take a moment to end.
    private func askUntilTaken(_ client: ClusterClient) throws(OmenError) {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            do throws(OmenError) {
                return try client.acceptLoss(shard: UInt32(shard))
            } catch {
                guard error.code == .unavailable, ContinuousClock.now < deadline else {
                    throw error
                }
            }
            pause(milliseconds: 50)
        }
    }

    // MARK: Words

    private func describe(_ report: SalvageReport) {
        Console.note("shard \(shard): the cluster knows of \(report.known).")
        for problem in report.problems { Console.note("  \(problem)") }
        Console.note(keptText(report))
        Console.note(lostText(report))
    }

    private func keptText(_ report: SalvageReport) -> String {
        guard !report.collections.isEmpty else { return "Kept is nothing." }
        let parts = report.collections.map { "\($0.name) \($0.recordCount)" }
        return
            "Kept are \(report.recordCount) records up to LSN \(report.lastLSN): \(parts.joined(separator: ", "))."
    }

    private func lostText(_ report: SalvageReport) -> String {
        guard report.lastLSN < report.known.durableLSN else {
            return
                "The cluster knows of no later write. Whatever else the files above held is lost."
        }
        return
            "Lost is at least what was written after LSN \(report.lastLSN) up to LSN \(report.known.durableLSN)."
    }

    private func isConfirmed() throws(OmenError) -> Bool {
        guard isatty(STDIN_FILENO) == 1 else {
            throw OmenError(
                .badRequest,
                "nothing was changed: there is no terminal to ask at, give --yes to accept the loss"
            )
        }
        Console.put("Type the number of the shard to accept this: ", on: STDERR_FILENO)
        return readLine() == "\(shard)"
    }

    private func answer(_ report: SalvageReport) {
        guard options.json else {
            let name = DataDirectory.shardName(shard)
            Console.note("The old files stay under shards/\(name).lost-N.")
            return Console.out("shard \(shard) goes on with \(report.recordCount) records")
        }
        Console.out(
            .object([
                ("shard", .integer(shard)),
                ("records", .integer(report.recordCount)),
                ("lsn", .unsigned(report.lastLSN)),
                ("known_lsn", .unsigned(report.known.durableLSN)),
                ("problems", .array(report.problems.map { .string($0) })),
            ])
        )
    }
}
