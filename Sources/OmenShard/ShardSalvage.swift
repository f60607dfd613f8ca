package import OmenCore
package import OmenStorage

/// What accepting the loss of a shard's damaged or missing files would keep.
package struct SalvageReport: Equatable, Sendable {
    /// Records that are kept, by collection.
    package var collections: [(name: String, recordCount: Int)]
    /// The last log record whose effect is kept.
    package var lastLSN: UInt64
    /// How far the cluster knows the shard to have come.
    package var known: ShardProgress
    /// What cannot be read, and why; naming files.
    package var problems: [String]

    /// Whether the shard is not what the cluster knows of it, or cannot be read whole.
    package var loses: Bool

    package var recordCount: Int { collections.reduce(0) { $0 + $1.recordCount } }

    package static func == (left: SalvageReport, right: SalvageReport) -> Bool {
        left.lastLSN == right.lastLSN && left.known == right.known
            && left.problems == right.problems
            && left.collections.elementsEqual(right.collections, by: ==)
    }
}

/// Lets a shard go on with what is left of its files, which only an operator may decide.
///
/// What can be read is written to a new directory, under a new history, so that files of the old
/// one can never be taken for its own. The old directory is kept beside it.
package enum ShardSalvage {
    /// What `run` would keep; changes nothing.
    ///
    /// - Parameters:
    ///   - shard: Number of the shard.
    ///   - directory: The data directory.
    ///   - manifest: Of the cluster.
    /// - Returns: What would be kept, and what cannot be read.
    /// - Throws: `.locked` while a process has the shard open; `.ioFailure`.
    package static func report(
        ofShard shard: Int,
        in directory: Directory,
        manifest: ClusterManifest
    ) throws(OmenError) -> SalvageReport {
        let files = shardDirectory(shard, in: directory)
        let lock = try lockIfThere(files)
        defer { withExtendedLifetime(lock) {} }
        let identity = manifest.identity(ofShard: shard)
        let salvaged = try SalvagedShard(files, identity: identity)
        let mismatch = try mismatch(files, identity, manifest.progress[shard])
        return SalvageReport(
            collections: salvaged.store.ordered.map { ($0.name, $0.vectorCount) },
            lastLSN: salvaged.lastLSN,
            known: manifest.progress[shard],
            problems: salvaged.problems + (mismatch.map { [$0.message] } ?? []),
            loses: mismatch != nil || !salvaged.problems.isEmpty
        )
    }

    /// `run` on a closed data directory.
    ///
    /// - Parameters:
    ///   - shard: Number of the shard.
    ///   - directory: The data directory; the caller holds its lock.
    ///   - manifest: Of the cluster.
    /// - Returns: What the cluster's manifest must know of the shard from now on.
    /// - Throws: As `run`.
    package static func accept(
        _ shard: Int,
        in directory: Directory,
        manifest: ClusterManifest
    ) throws(OmenError) -> ShardProgress {
        var configuration = ShardEngine.Configuration(
            directory: shardDirectory(shard, in: directory).path,
            identity: manifest.identity(ofShard: shard),
            durability: .always,
            memoryByteCountMax: try SystemMemory.availableByteCount()
        )
        configuration.expected = manifest.progress[shard]
        configuration.acceptsLoss = true
        let engine = try ShardEngine(configuration, progress: { _ in }, wake: {})
        if let error = engine.close() { throw error }
        return engine.progress
    }

    /// Why the shard would not be opened; nil when it would be.
    private static func mismatch(
        _ files: Directory,
        _ identity: ShardIdentity,
        _ known: ShardProgress
    ) throws(OmenError) -> OmenError? {
        do throws(OmenError) {
            guard try files.exists() else {
                try known.check(nil, in: files)
                return nil
            }
            try ShardReading.check(
                files,
                identity: identity,
                expected: known,
                memoryByteCountMax: try SystemMemory.availableByteCount()
            )
            return nil
        } catch {
            guard error.code == .corrupt || error.code == .unsupportedVersion else { throw error }
            return error
        }
    }

    /// Puts what is left of a shard into the place of its directory, which is kept under
    /// `NNN.lost-K`.
    ///
    /// A crash leaves the old directory or the new one in force, and nothing is deleted.
    /// - Parameters:
    ///   - shardDirectory: The shard's directory, which may be missing.
    ///   - identity: Whose files they must be.
    ///   - expected: How far the cluster knows the shard to have come.
    /// - Throws: `.locked`, `.resourceExhausted` on a full disk, `.ioFailure`; then the old
    ///   directory is as it was.
    static func run(
        _ shardDirectory: Directory,
        identity: ShardIdentity,
        expected: ShardProgress
    ) throws(OmenError) {
        let lock = try lockIfThere(shardDirectory)
        defer { withExtendedLifetime(lock) {} }
        let salvaged = try SalvagedShard(shardDirectory, identity: identity)
        let parent = shardDirectory.parent
        try parent.create()
        let name = shardDirectoryName(Int(identity.shard))
        let staged = parent.subdirectory("\(name).salvaged")
        // What a crash in the midst of an earlier attempt left.
        try parent.setAside("\(name).salvaged", as: "\(name).lost")
        try staged.create()
        try write(salvaged, from: shardDirectory, to: staged, identity, expected)
        try parent.setAside(name, as: "\(name).lost")
        try parent.rename("\(name).salvaged", to: name)
        try parent.sync()
    }

    private static func write(
        _ salvaged: SalvagedShard,
        from old: Directory,
        to staged: Directory,
        _ identity: ShardIdentity,
        _ expected: ShardProgress
    ) throws(OmenError) {
        var random = SystemRandomNumberGenerator()
        // Numbers go on where the lost ones ended, so that none stands for two records.
        let lastLSN = max(salvaged.lastLSN, expected.durableLSN)
        var manifest = ShardManifest(
            identity: identity,
            history: ShardProgress.history(from: random.next())
        )
        manifest.generation = expected.generation + 1
        try manifest.store(staged)
        for collection in salvaged.store.ordered where collection.isStored {
            // It did not change since, so the checkpoint names its file.
            guard let file = salvaged.files[collection.name] else { continue }
            try old.link(file, into: staged)
        }
        let job = CheckpointJob(
            store: salvaged.store,
            throughLSN: lastLSN,
            requests: salvaged.keys.entries,
            directory: staged,
            identity: identity,
            check: nil
        )
        _ = try job.run()
        // There is no earlier checkpoint to fall back to.
        guard var written = try ShardManifest.load(staged, identity: identity) else {
            throw OmenError(.corrupt, "\(staged.path) has lost its manifest")
        }
        written.previous = nil
        try written.store(staged)
        try LogRecovery.createFirst(
            LogDirectory(staged),
            identity: identity,
            nextLSN: lastLSN + 1,
            nonce: random.next()
        )
    }

    /// The lock of a shard's directory; nil when there is none to be locked.
    private static func lockIfThere(_ directory: Directory) throws(OmenError) -> LockFile? {
        try directory.checkKind()
        guard try directory.exists() else { return nil }
        return try LockFile.acquireForReading(directory.path(of: shardLockName))
    }
}
