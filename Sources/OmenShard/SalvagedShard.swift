internal import OmenCore
internal import OmenStorage

/// What can still be read of a shard whose files are damaged, missing or too old.
///
/// Each collection is taken from its newest file that passes every check. Then the log's records
/// that follow are applied, as far as they follow without a gap. Nothing is changed.
struct SalvagedShard {
    private(set) var store = ShardStore()
    private(set) var keys = RequestKeyTable()
    /// The last record that is kept, or that a kept file holds.
    private(set) var lastLSN: UInt64 = 0
    /// What could not be read, and why.
    private(set) var problems: [String] = []
    /// Files that collections were opened from, by collection.
    private(set) var files: [String: String] = [:]

    private let directory: Directory
    private let identity: ShardIdentity
    /// Each collection holds everything up to here, apart from the log.
    private var baseLSN: [String: UInt64] = [:]
    /// Everything in the checkpoint that the manifest names is at or below this LSN.
    private var checkpointLSN: UInt64 = 0

    /// Reads what there is; a directory that is missing has nothing.
    ///
    /// - Parameters:
    ///   - directory: The shard's files; the caller holds its lock.
    ///   - identity: Whose files they must be; others are left out.
    /// - Throws: `.resourceExhausted` when the files need more memory than there is; damage is
    ///   never thrown.
    init(_ directory: Directory, identity: ShardIdentity) throws(OmenError) {
        self.directory = directory
        self.identity = identity
        guard try directory.exists() else {
            problems.append("\(directory.path) is missing")
            return
        }
        let names = try directory.names()
        try readFiles(names, manifest: readManifest())
        try readLog(names)
    }

    private mutating func readManifest() -> ShardManifest? {
        do throws(OmenError) {
            if let manifest = try ShardManifest.load(directory, identity: identity) {
                return manifest
            }
            problems.append("\(directory.path(of: ShardManifest.fileName)) is missing")
        } catch {
            problems.append(error.message)
        }
        return nil
    }

    // MARK: Shard files

    private mutating func readFiles(
        _ names: [String],
        manifest: ShardManifest?
    ) throws(OmenError) {
        let checkpoints = [manifest?.current, manifest?.previous].compactMap { $0 }
        checkpointLSN = manifest?.current.appliedLSN ?? 0
        for request in manifest?.current.requests ?? [] { keys.finish(request.key, request.counts) }
        // Newest first: names begin with their LSN.
        let others = names.filter(ShardFileName.isValid).reversed()
        if let current = checkpoints.first {
            for entry in current.collections {
                let older = others.filter { $0 != entry.file }
                try open(entry.name, from: [entry.file] + older, checkpoints)
            }
        } else {
            for name in others {
                guard let file = openFile(name), store.collections[file.collection] == nil else {
                    continue
                }
                try open(file.collection, from: [name], checkpoints)
            }
        }
        lastLSN = max(baseLSN.values.max() ?? 0, checkpointLSN)
    }

    /// Opens a collection from the first of the files that holds it and is whole.
    private mutating func open(
        _ collection: String,
        from names: [String],
        _ checkpoints: [ShardCheckpoint]
    ) throws(OmenError) {
        for name in names {
            guard let file = openFile(name), file.collection == collection else { continue }
            let entry = ShardCheckpoint.Collection(
                name: collection,
                schema: file.schema,
                file: name
            )
            // A checkpoint that keeps an older file says that nothing was written since.
            let holder = checkpoints.first { $0.collections.contains(entry) }
            let base = max(holder?.appliedLSN ?? 0, file.lsn)
            do throws(OmenError) {
                _ = try ShardRecovery.openCollections(
                    of: ShardCheckpoint(appliedLSN: base, collections: [entry]),
                    directory,
                    identity: identity,
                    isWhole: true,
                    memoryByteCountMax: try SystemMemory.availableByteCount(),
                    progress: {},
                    into: store
                )
                baseLSN[collection] = base
                files[collection] = name
                return
            } catch {
                guard error.code != .resourceExhausted else { throw error }
                problems.append(error.message)
            }
        }
        problems.append("collection \(collection) has no readable file")
    }

    private mutating func openFile(_ name: String) -> ShardFile? {
        do throws(OmenError) {
            return try ShardFile(path: directory.path(of: name), identity: identity)
        } catch {
            if !problems.contains(error.message) { problems.append(error.message) }
            return nil
        }
    }

    // MARK: The log

    private mutating func readLog(_ names: [String]) throws(OmenError) {
        var log: SegmentFiles?
        do throws(OmenError) {
            log = try SegmentFiles(directory, names)
        } catch { problems.append(error.message) }
        guard let log, let firstLSN = log.firstLSN else {
            problems.append("\(directory.path) has no readable log")
            return
        }
        let wanted = (baseLSN.values.min() ?? checkpointLSN) + 1
        do throws(OmenError) {
            let scan = try log.examine(
                identity: identity,
                from: max(wanted, firstLSN)
            ) { lsn, record throws(OmenError) in
                try apply(record, lsn: lsn, logFirstLSN: firstLSN)
            }
            if case .corrupt = scan.end { problems.append(LogRecovery.damage(scan.end).message) }
        } catch { problems.append(error.message) }
    }

    /// Applies a record unless its collection has it already, or lacks records before it.
    private mutating func apply(
        _ record: LogRecord,
        lsn: UInt64,
        logFirstLSN: UInt64
    ) throws(OmenError) {
        let name = record.operation.collection
        if let base = baseLSN[name] {
            guard lsn > base, logFirstLSN <= base + 1 else { return }
        } else if case .createCollection = record.operation {
            // Created behind the checkpoint, or its files are lost and its log begins here.
        } else if store.collections[name] == nil {
            let problem = "the log has records of collection \(name), which is not there"
            if !problems.contains(problem) { problems.append(problem) }
            lastLSN = max(lastLSN, lsn)
            return
        }
        do throws(OmenError) {
            var logged = LoggedWrites(schemas: store.schemas)
            try logged.check(record.operation)
        } catch {
            // Nothing of it was applied, and the records behind it do not need it.
            problems.append("log record \(lsn): \(error.message)")
            lastLSN = max(lastLSN, lsn)
            return
        }
        let counts = try store.apply(lsn: lsn, record.operation)
        keys.finish(record.key, counts)
        if case .dropCollection = record.operation { baseLSN[name] = nil }
        lastLSN = max(lastLSN, lsn)
    }
}
