internal import OmenCore
internal import OmenIndex
internal import OmenStorage

/// What opening a shard directory found.
struct RecoveredShard {
    var store: ShardStore
    var keys: RequestKeyTable
    var appliedLSN: UInt64
    var checkpointLSN: UInt64
    /// Records replayed from the log.
    var replayedCount: Int
    /// Their bytes.
    var logByteCount: Int
    /// What was not checked yet; nil when everything was.
    var check: DeferredCheck?
}

/// Opening a shard: map the files of the newest checkpoint, replay the log behind it into the hot
/// buffers, and rewrite the replayed tail so that what the page cache showed is on disk, too.
///
/// Nothing is linked here: the shard serves all its data before a single tail row is in the graph.
enum ShardRecovery {
    /// Opens a shard.
    ///
    /// - Parameters:
    ///   - directory: The shard's files; the caller holds its lock.
    ///   - identity: Whose files they must be.
    ///   - nonce: A fresh random number, for the log.
    ///   - isWhole: Check everything before anything is served, instead of leaving the large
    ///     sections of shard files to `RecoveredShard.check`.
    ///   - memoryByteCountMax: More than this the shard files must not need.
    ///   - progress: Called with the records replayed so far, after each record and each checked
    ///     block of a file: whoever watches takes silence for a hang.
    /// - Returns: The shard's data, and where its log goes on.
    /// - Throws: `.corrupt` when acknowledged data is damaged or missing, or the log holds what
    ///   cannot be applied; the shard must then not be served. `.resourceExhausted` when the files
    ///   need more memory than they may have.
    static func open(
        _ directory: Directory,
        identity: ShardIdentity,
        nonce: UInt64,
        isWhole: Bool,
        memoryByteCountMax: Int,
        progress: (_ replayed: UInt64) -> Void
    ) throws(OmenError) -> (RecoveredShard, LogContinuation) {
        _ = try directory.removeTemporaryFiles()
        let manifest = try ShardManifest.load(directory, identity: identity)
        let checkpoint = manifest?.current ?? ShardCheckpoint()
        let store = ShardStore()
        var keys = RequestKeyTable()
        for request in checkpoint.requests { keys.finish(request.key, request.counts) }
        let check = try openCollections(
            of: checkpoint,
            directory,
            identity: identity,
            isWhole: isWhole,
            memoryByteCountMax: memoryByteCountMax,
            progress: { progress(0) },
            into: store
        )
        var replayed: UInt64 = 0
        var logByteCount = 0
        var logged = LoggedWrites(schemas: store.schemas)
        let log = try LogRecovery.open(
            LogDirectory(directory),
            identity: identity,
            from: checkpoint.appliedLSN + 1,
            mustExist: manifest != nil,
            nonce: nonce
        ) { lsn, record throws(OmenError) in
            try logged.check(record.operation)
            keys.finish(record.key, try store.apply(lsn: lsn, record.operation))
            replayed += 1
            logByteCount += record.encodedByteCount
            progress(replayed)
        }
        // From now on a missing log or manifest is damage.
        if manifest == nil { try ShardManifest(identity: identity).store(directory) }
        let recovered = RecoveredShard(
            store: store,
            keys: keys,
            appliedLSN: log.lastLSN,
            checkpointLSN: checkpoint.appliedLSN,
            replayedCount: log.recordCount,
            logByteCount: logByteCount,
            check: check
        )
        return (recovered, log.continuation)
    }

    /// Opens the files of a checkpoint.
    ///
    /// - Returns: What is left to check.
    private static func openCollections(
        of checkpoint: ShardCheckpoint,
        _ directory: Directory,
        identity: ShardIdentity,
        isWhole: Bool,
        memoryByteCountMax: Int,
        progress: () -> Void,
        into store: ShardStore
    ) throws(OmenError) -> DeferredCheck? {
        var unchecked: [DeferredCheck.Part] = []
        var neededByteCount = 0
        for entry in checkpoint.collections {
            let file = try ShardFile(
                path: directory.path(of: entry.file),
                identity: identity,
                isWhole: isWhole,
                progress: progress
            )
            neededByteCount += file.residentByteCount
            try SystemMemory.require(
                neededByteCount,
                available: memoryByteCountMax,
                for: "the shard, up to collection \(entry.name),"
            )
            let collection = try openCollection(entry, file, isWhole: isWhole)
            // A later write would take itself for saved in this file.
            guard collection.changedLSN <= checkpoint.appliedLSN else {
                throw OmenError(
                    .corrupt,
                    "\(entry.file) is from LSN \(collection.changedLSN), its checkpoint from \(checkpoint.appliedLSN)"
                )
            }
            if !isWhole, let check = file.check() {
                unchecked.append(DeferredCheck.Part(check, of: file, collection))
            }
            store.insert(collection)
        }
        return unchecked.isEmpty ? nil : DeferredCheck(unchecked)
    }

    private static func openCollection(
        _ entry: ShardCheckpoint.Collection,
        _ file: ShardFile,
        isWhole: Bool
    ) throws(OmenError) -> ShardCollection {
        guard file.collection == entry.name, file.schema == entry.schema else {
            throw OmenError(
                .corrupt,
                "\(entry.file) holds collection \(file.collection) with \(file.schema), the manifest says \(entry.name) with \(entry.schema)"
            )
        }
        var sections: [VectorIndex.Section: (region: ReservedRegion, byteCount: Int)] = [:]
        for section in VectorIndex.Section.allCases {
            guard let byteCount = file.byteCount(of: section.rawValue) else { continue }
            let region = try file.region(
                of: section.rawValue,
                byteCountMax: VectorIndex.regionByteCountMax(section, schema: entry.schema)
            )
            sections[section] = (region, byteCount)
        }
        // Files of earlier versions have no lazy sections: they are checked whole, links and all.
        let checksLinks = isWhole || !file.isLazy(VectorIndex.Section.links.rawValue)
        let checksRecords = isWhole || !file.isLazy(RecordSection.idSlots.rawValue)
        return try ShardCollection(
            name: entry.name,
            schema: entry.schema,
            index: try VectorIndex(
                schema: entry.schema,
                sections: sections,
                checksLinks: checksLinks
            ),
            records: try RecordTable(file: file, isWhole: checksRecords),
            file: CheckpointFile(
                name: entry.file,
                lsn: file.lsn,
                byteCount: file.fileByteCount
            )
        )
    }
}
