internal import OmenSystem
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
        let files = DataDirectory.shard(shard, in: directory)
        let lock = try lockIfThere(files)
        defer { withExtendedLifetime(lock) {} }
        let identity = manifest.identity(ofShard: shard)
        let staged = files.parent.subdirectory(DataDirectory.shardName(shard) + stagedSuffix)
        let finished = try finished(staged, in: files, identity, .standard)
        let salvaged = try SalvagedShard(finished ?? files, identity: identity)
        let mismatch = try mismatch(files, identity, manifest[progressOfShard: shard])
        return SalvageReport(
            collections: salvaged.store.ordered.map { ($0.name, $0.vectorCount) },
            lastLSN: salvaged.lastLSN,
            known: manifest[progressOfShard: shard],
            problems: (mismatch.map { [$0.message] } ?? [])
                + salvaged.problems.filter { mismatch?.message.contains($0) != true },
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
            directory: DataDirectory.shard(shard, in: directory),
            identity: manifest.identity(ofShard: shard),
            durability: .always,
            memoryByteCountMax: try SystemMemory.availableByteCount()
        )
        configuration.expected = manifest[progressOfShard: shard]
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
            try ShardReading.check(files, identity: identity, expected: known)
            return nil
        } catch {
            guard error.code == .corrupt || error.code == .unsupportedVersion else { throw error }
            return error
        }
    }

    /// Puts what is left of a shard into the place of its directory, which is kept under
    /// `NNN.lost-K`.
    ///
    /// Nothing of the shard is deleted. A crash between the two renames leaves the new directory
    /// whole, under its own name; the next run finishes that.
    /// - Parameters:
    ///   - shardDirectory: The shard's directory, which may be missing.
    ///   - identity: Whose files they must be.
    ///   - expected: How far the cluster knows the shard to have come.
    ///   - partTypes: The parts that collections have.
    ///   - random: Draws the name of the new history, and the log's nonce.
    /// - Throws: `.locked`, `.resourceExhausted` on a full disk, `.ioFailure`; then the old
    ///   directory is as it was.
    static func run(
        _ shardDirectory: Directory,
        identity: ShardIdentity,
        expected: ShardProgress,
        partTypes: PartTypes = .standard,
        random: () -> UInt64 = Machine.system.random
    ) throws(OmenError) {
        let lock = try lockIfThere(shardDirectory)
        defer { withExtendedLifetime(lock) {} }
        let parent = shardDirectory.parent
        try parent.create()
        let name = DataDirectory.shardName(Int(identity.shard))
        let stagedName = name + stagedSuffix
        let staged = parent.subdirectory(stagedName)
        if try finished(staged, in: shardDirectory, identity, partTypes) == nil {
            let salvaged = try SalvagedShard(
                shardDirectory,
                identity: identity,
                partTypes: partTypes
            )
            // An earlier attempt may have crashed and left a copy. While the shard's own files are
            // there, nothing is lost with it.
            if try shardDirectory.exists() { try staged.removeWithFiles() }
            try parent.setAside(stagedName, as: name + lostSuffix)
            try staged.create()
            do throws(OmenError) {
                try write(salvaged, from: shardDirectory, to: staged, identity, expected, random)
                // A mistake in it must show while the old directory is still in force.
                try ShardReading.check(
                    staged,
                    identity: identity,
                    expected: nil,
                    partTypes: partTypes
                )
            } catch {
                try staged.removeWithFiles()
                throw error
            }
            try parent.setAside(name, as: name + lostSuffix)
        }
        try parent.rename(stagedName, to: name)
        try parent.sync()
    }

    /// What the new directory is called until it takes the shard's name.
    private static let stagedSuffix = ".salvaged"
    /// What the old directory is called afterwards, with a number.
    private static let lostSuffix = ".lost"

    /// The new directory of a run that was cut short between its two renames; nil otherwise.
    ///
    /// Only then the shard's directory is missing while a whole new one is there.
    private static func finished(
        _ staged: Directory,
        in shardDirectory: Directory,
        _ identity: ShardIdentity,
        _ partTypes: PartTypes
    ) throws(OmenError) -> Directory? {
        guard try !shardDirectory.exists(), try staged.exists() else { return nil }
        do throws(OmenError) {
            try ShardReading.check(
                staged,
                identity: identity,
                expected: nil,
                partTypes: partTypes
            )
            return staged
        } catch {
            guard error.code == .corrupt else { throw error }
            return nil
        }
    }

    private static func write(
        _ salvaged: SalvagedShard,
        from old: Directory,
        to staged: Directory,
        _ identity: ShardIdentity,
        _ expected: ShardProgress,
        _ random: () -> UInt64
    ) throws(OmenError) {
        // Numbers go on where the lost ones ended, so that none stands for two records.
        let lastLSN = max(salvaged.lastLSN, expected.durableLSN)
        let kept = salvaged.store.ordered.filter(\.isStored)
            .compactMap { salvaged.files[$0.name] }
        var manifest = ShardManifest(
            identity: identity,
            history: ShardProgress.history(from: random())
        )
        manifest.generation = freeGeneration(
            above: max(salvaged.generation, expected.generation),
            beside: kept
        )
        try manifest.store(staged)
        // They did not change since, so the checkpoint names their files.
        for file in kept { try old.link(file, into: staged) }
        let job = CheckpointJob(
            store: salvaged.store,
            throughLSN: lastLSN,
            requests: salvaged.keys.entries,
            lastVersion: salvaged.lastVersion,
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
            staged,
            identity: identity,
            nextLSN: lastLSN + 1,
            nonce: random()
        )
    }

    /// A generation for the new manifest: the next checkpoint's file names differ from `kept`.
    private static func freeGeneration(above generation: UInt64, beside kept: [String]) -> UInt64 {
        var free = generation + 1
        let taken = Set(kept.compactMap { ShardFileName.ordinal(of: $0).map { $0 >> 8 } })
        // At most as many steps as there are collections.
        while taken.contains(UInt16(truncatingIfNeeded: (free + 1) & 0xFF)),
            free - generation <= 256
        {
            free += 1
        }
        return free
    }

    /// The lock of a shard's directory; nil when there is none to be locked.
    private static func lockIfThere(_ directory: Directory) throws(OmenError) -> (any FileLock)? {
        try directory.checkKind()
        guard try directory.exists() else { return nil }
        return try directory.lockForReading(DataDirectory.shardLockName)
    }
}
