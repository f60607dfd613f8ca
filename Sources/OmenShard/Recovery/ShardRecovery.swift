internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// What opening a shard directory found.
struct RecoveredShard {
    var store: ShardStore
    var keys: RequestKeyTable
    /// The largest version of all writes.
    var lastVersion: UInt64
    var appliedLSN: UInt64
    var checkpointLSN: UInt64
    /// Records replayed from the log.
    var replayedCount: Int
    /// Their bytes.
    var logByteCount: Int
    /// What was not checked yet; nil when everything was.
    var check: DeferredCheck?
    /// How far the shard has come, for the cluster's manifest.
    var progress: ShardProgress
    /// Where the shard's log goes on.
    var continuation: LogContinuation
    /// Keeps other processes away from the directory while it lives.
    var lock: any FileLock
}

/// Opening a shard: lock its directory, map the files of the newest checkpoint, replay the log
/// behind it into the hot buffers, and rewrite the replayed tail so that what the page cache showed
/// is on disk, too.
///
/// Nothing is linked here: the shard serves all its data before a single tail row is in the graph.
enum ShardRecovery {
    /// Opens a shard, or creates it.
    ///
    /// - Parameters:
    ///   - configuration: Of the engine.
    ///   - progress: Called with the records replayed so far, after each record and each checked
    ///     block of a file: a supervisor takes silence for a hang.
    /// - Returns: The shard's data, where its log goes on, and the lock of its directory.
    /// - Throws: `.locked` naming the process that has the shard; `.corrupt` when acknowledged data
    ///   is damaged or missing, or the log holds what cannot be applied; the shard must then not be
    ///   served. `.resourceExhausted` when the files need more memory than they may have.
    ///   `.stopped`; what `ShardSalvage.run` throws when a loss is accepted.
    static func open(
        _ configuration: ShardEngine.Configuration,
        progress: (_ replayed: UInt64) -> Void
    ) throws(OmenError) -> RecoveredShard {
        let (directory, identity) = (configuration.directory, configuration.identity)
        let expected = try prepare(configuration)
        let lock = try directory.lock(DataDirectory.shardLockName)
        let nonce = configuration.machine.random()
        let manifest = try loadManifest(directory, identity: identity, expected: expected)
        _ = try directory.removeTemporaryFiles()
        let checkpoint = manifest?.current ?? ShardCheckpoint()
        let store = ShardStore(partTypes: configuration.partTypes)
        let check = try openCollections(
            of: checkpoint,
            directory,
            identity: identity,
            isWhole: configuration.checksWhole || AddressSpace.limit != nil,
            memoryByteCountMax: configuration.memoryByteCountMax,
            progress: { progress(0) },
            into: store
        )
        var replay = LogReplay(store, behind: checkpoint)
        let log = try LogRecovery.open(
            directory,
            identity: identity,
            from: checkpoint.appliedLSN + 1,
            mustExist: manifest != nil,
            nonce: nonce,
            check: { lastLSN throws(OmenError) in
                try expected?.check(lastLSN: lastLSN, in: directory)
                guard manifest == nil, lastLSN > 0 else { return }
                throw missingManifest(directory, "the log holds records up to LSN \(lastLSN)")
            }
        ) { lsn, record throws(OmenError) in
            try Stop.check()
            try replay.apply(record, lsn: lsn)
            progress(UInt64(replay.recordCount))
        }
        // From now on a missing log or manifest is damage.
        let stored = manifest ?? ShardManifest(identity: identity, history: newHistory(nonce))
        if manifest == nil { try storeFirst(stored, in: directory) }
        return RecoveredShard(
            store: store,
            keys: replay.keys,
            lastVersion: replay.lastVersion,
            appliedLSN: log.lastLSN,
            checkpointLSN: checkpoint.appliedLSN,
            replayedCount: replay.recordCount,
            logByteCount: replay.byteCount,
            check: check,
            progress: ShardProgress(
                history: stored.history,
                generation: stored.generation,
                durableLSN: log.lastLSN
            ),
            continuation: log.continuation,
            lock: lock
        )
    }

    /// Makes a shard's directory ready to be locked and read.
    ///
    /// - Returns: How far the shard must have come; nil when nothing is known, or its loss is
    ///   accepted.
    /// - Throws: `.corrupt` when the directory of a shard that has begun is missing; what
    ///   `ShardSalvage.run` throws when a loss is accepted.
    private static func prepare(
        _ configuration: ShardEngine.Configuration
    ) throws(OmenError) -> ShardProgress? {
        let directory = configuration.directory
        try directory.checkKind()
        if configuration.acceptsLoss {
            try ShardSalvage.run(
                directory,
                identity: configuration.identity,
                expected: configuration.expected ?? .notBegun,
                partTypes: configuration.partTypes,
                random: configuration.machine.random
            )
            return nil
        }
        if let expected = configuration.expected, expected.hasBegun, try !directory.exists() {
            // Making it would hide that it is gone.
            try expected.check(nil, in: directory)
        }
        try directory.create()
        return configuration.expected
    }

    /// The manifest of the directory, checked against what the cluster knows; changes nothing.
    ///
    /// - Returns: Nil for a shard that has not begun.
    static func loadManifest(
        _ directory: Directory,
        identity: ShardIdentity,
        expected: ShardProgress?
    ) throws(OmenError) -> ShardManifest? {
        let manifest = try ShardManifest.load(directory, identity: identity)
        try expected?.check(manifest, in: directory)
        guard manifest == nil else { return manifest }
        // A shard file is written only after the first manifest.
        guard let file = try directory.names().first(where: ShardFileName.isValid) else {
            return nil
        }
        throw missingManifest(directory, "\(file) is there")
    }

    /// The error of a shard that has files and no manifest.
    private static func missingManifest(_ directory: Directory, _ proof: String) -> OmenError {
        OmenError(
            .corrupt,
            "\(directory.path(of: ShardManifest.fileName)) is missing, but \(proof)"
        )
    }

    /// Stores a shard's first manifest, which makes the shard durable as a whole.
    private static func storeFirst(
        _ manifest: ShardManifest,
        in directory: Directory
    ) throws(OmenError) {
        // The process that made the shard's directory, and the one of all shards, may have died
        // before their names were durable.
        try directory.parent.sync()
        try directory.parent.parent.sync()
        try manifest.store(directory)
    }

    /// The name of a history that begins now.
    private static func newHistory(_ nonce: UInt64) -> UInt64 {
        var generator = SplitMix64(seed: nonce)
        return ShardProgress.history(from: generator.next())
    }

    /// Opens the files of a checkpoint.
    ///
    /// - Returns: What is left to check.
    static func openCollections(
        of checkpoint: ShardCheckpoint,
        _ directory: Directory,
        identity: ShardIdentity,
        isWhole: Bool,
        memoryByteCountMax: Int,
        progress: () -> Void,
        into store: ShardStore
    ) throws(OmenError) -> DeferredCheck? {
        var unchecked: [DeferredCheck.UncheckedFile] = []
        var neededByteCount = 0
        for entry in checkpoint.collections {
            let file = try ShardFile(
                entry.file,
                in: directory,
                identity: identity,
                isWhole: isWhole,
                progress: progress
            )
            try store.partTypes.checkKinds(of: file)
            neededByteCount += store.partTypes.residentByteCount(of: file)
            try SystemMemory.require(
                neededByteCount,
                available: memoryByteCountMax,
                for: "the shard, up to collection \(entry.name),"
            )
            let source = PartSource(file: file, isWhole: isWhole)
            let (collection, checks) = try openCollection(entry, source, store.partTypes)
            // A later write would take itself for saved in this file.
            guard collection.changedLSN <= checkpoint.appliedLSN else {
                throw OmenError(
                    .corrupt,
                    "\(entry.file) is from LSN \(collection.changedLSN), its checkpoint from \(checkpoint.appliedLSN)"
                )
            }
            if !isWhole, let check = file.check() {
                unchecked.append(DeferredCheck.UncheckedFile(check: check, parts: checks))
            }
            store.insert(collection)
        }
        return unchecked.isEmpty ? nil : DeferredCheck(unchecked)
    }

    /// Opens the file of one collection.
    ///
    /// - Returns: The collection, and the checks that its parts left for later.
    private static func openCollection(
        _ entry: ShardCheckpoint.Collection,
        _ source: PartSource,
        _ types: PartTypes
    ) throws(OmenError) -> (ShardCollection, checks: [any SectionCheck]) {
        let file = source.file
        guard file.collection == entry.name, file.schema == entry.schema else {
            throw OmenError(
                .corrupt,
                "\(entry.file) holds collection \(file.collection) with \(file.schema), the manifest says \(entry.name) with \(entry.schema)"
            )
        }
        let (parts, checks) = try CollectionParts.open(source, types)
        let collection = ShardCollection(
            name: entry.name,
            schema: entry.schema,
            parts: parts,
            file: CheckpointFile(
                name: entry.file,
                lsn: file.lsn,
                byteCount: file.fileByteCount
            )
        )
        return (collection, checks)
    }
}
