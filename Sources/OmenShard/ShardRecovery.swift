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
    ///   - progress: Called with the records replayed so far, after each record and each checked
    ///     block of a file: whoever watches takes silence for a hang.
    /// - Returns: The shard's data, and where its log goes on.
    /// - Throws: `.corrupt` when acknowledged data is damaged or missing; the shard must then not
    ///   be served.
    static func open(
        _ directory: Directory,
        identity: ShardIdentity,
        nonce: UInt64,
        progress: (_ replayed: UInt64) -> Void
    ) throws(OmenError) -> (RecoveredShard, LogContinuation) {
        _ = try directory.removeTemporaryFiles()
        let manifest = try ShardManifest.load(directory, identity: identity)
        let checkpoint = manifest?.current ?? ShardCheckpoint()
        let store = ShardStore()
        var keys = RequestKeyTable()
        for request in checkpoint.requests { keys.finish(request.key, request.counts) }
        for entry in checkpoint.collections {
            let file = try ShardFile(
                path: directory.path(of: entry.file),
                identity: identity,
                progress: { progress(0) }
            )
            let collection = try openCollection(entry, file)
            // A later write would take itself for saved in this file.
            guard collection.changedLSN <= checkpoint.appliedLSN else {
                throw OmenError(
                    .corrupt,
                    "\(entry.file) is from LSN \(collection.changedLSN), its checkpoint from \(checkpoint.appliedLSN)"
                )
            }
            store.insert(collection)
        }
        var replayed: UInt64 = 0
        var logByteCount = 0
        let log = try LogRecovery.open(
            LogDirectory(directory),
            identity: identity,
            from: checkpoint.appliedLSN + 1,
            mustExist: manifest != nil,
            nonce: nonce
        ) { lsn, record throws(OmenError) in
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
            logByteCount: logByteCount
        )
        return (recovered, log.continuation)
    }

    private static func openCollection(
        _ entry: ShardCheckpoint.Collection,
        _ file: ShardFile
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
        return try ShardCollection(
            name: entry.name,
            schema: entry.schema,
            index: try VectorIndex(schema: entry.schema, sections: sections),
            records: try RecordTable(file: file),
            file: CheckpointFile(
                name: entry.file,
                lsn: file.lsn,
                byteCount: file.fileByteCount
            )
        )
    }
}
