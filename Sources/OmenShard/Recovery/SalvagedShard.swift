internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// What can still be read of a shard whose files are damaged, missing or too old.
///
/// Each collection is taken from its newest file that passes every check. Then the log's records
/// that follow are applied, as far as they follow without a gap. Nothing is changed. Only damage
/// and missing files are left out: a file that the system refuses to read, for want of rights or of
/// descriptors, is an error, because it may be whole.
struct SalvagedShard {
    let store: ShardStore
    private(set) var keys = RequestKeyTable()
    /// The largest version of all writes that are known.
    private(set) var lastVersion: UInt64 = 0
    /// The last record whose effect is kept.
    private(set) var lastLSN: UInt64 = 0
    /// What could not be read, and why.
    private(set) var problems: [String] = []
    /// Files that collections were opened from, by collection.
    private(set) var files: [String: String] = [:]

    /// Of the manifest; 0 when it cannot be read.
    private(set) var generation: UInt64 = 0

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
    ///   - partTypes: The parts that collections have.
    /// - Throws: `.unsupportedVersion` for a file that another version wrote, which is whole;
    ///   `.ioFailure` or `.resourceExhausted` when the system refuses to read something. Damage is
    ///   never thrown.
    init(
        _ directory: Directory,
        identity: ShardIdentity,
        partTypes: PartTypes = .standard
    ) throws(OmenError) {
        store = ShardStore(partTypes: partTypes)
        self.directory = directory
        self.identity = identity
        guard try directory.exists() else {
            problems.append("\(directory.path) is missing")
            return
        }
        let names = try directory.names()
        try readFiles(names, manifest: try readManifest())
        try readLog(names)
    }

    /// Notes damage once; throws what is no damage, such as a file of another version.
    private mutating func note(_ error: OmenError) throws(OmenError) {
        guard error.code == .corrupt else { throw error }
        note(error.message)
    }

    private mutating func note(_ problem: String) {
        if !problems.contains(problem) { problems.append(problem) }
    }

    private mutating func readManifest() throws(OmenError) -> ShardManifest? {
        do throws(OmenError) {
            if let manifest = try ShardManifest.load(directory, identity: identity) {
                generation = manifest.generation
                return manifest
            }
            note("\(directory.path(of: ShardManifest.fileName)) is missing")
        } catch { try note(error) }
        return nil
    }

    // MARK: Shard files

    private mutating func readFiles(
        _ names: [String],
        manifest: ShardManifest?
    ) throws(OmenError) {
        let checkpoints = [manifest?.current, manifest?.previous].compactMap { $0 }
        checkpointLSN = manifest?.current.appliedLSN ?? 0
        lastVersion = manifest?.current.lastVersion ?? 0
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
                guard let file = try openFile(name), store.collections[file.collection] == nil
                else { continue }
                try open(file.collection, from: [name], checkpoints)
            }
        }
        // Without a manifest the rows tell.
        for collection in store.ordered {
            lastVersion = max(lastVersion, collection.records.newestVersion)
        }
        // A checkpoint without collections holds everything up to its end, too.
        let isEmpty = manifest?.current.collections.isEmpty == true
        lastLSN = baseLSN.values.max() ?? (isEmpty ? checkpointLSN : 0)
    }

    /// Opens a collection from the first of the files that holds it and is whole.
    private mutating func open(
        _ collection: String,
        from names: [String],
        _ checkpoints: [ShardCheckpoint]
    ) throws(OmenError) {
        for name in names {
            guard let file = try openFile(name), file.collection == collection else { continue }
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
            } catch { try note(error) }
        }
        note("collection \(collection) has no readable file")
    }

    private mutating func openFile(_ name: String) throws(OmenError) -> ShardFile? {
        do throws(OmenError) {
            return try ShardFile(name, in: directory, identity: identity)
        } catch {
            try note(error)
            return nil
        }
    }

    // MARK: The log

    private mutating func readLog(_ names: [String]) throws(OmenError) {
        let log = try SegmentFiles(directory, names) { error throws(OmenError) in try note(error) }
        guard let firstLSN = log.firstLSN else {
            return note("\(directory.path) has no readable log")
        }
        let bases = baseLSN
        // A damaged segment that one collection needs must not cost another its later records.
        for start in Set(bases.values).union([checkpointLSN]).sorted() {
            do throws(OmenError) {
                let scan = try log.examine(
                    identity: identity,
                    from: max(start + 1, firstLSN)
                ) { lsn, record throws(OmenError) in
                    lastVersion = max(lastVersion, record.versions.newest)
                    let base = bases[record.operation.collection]
                    guard base ?? checkpointLSN == start else { return }
                    // Records before the log's first are missing.
                    guard base == nil || firstLSN <= start + 1 else { return }
                    try apply(record, lsn: lsn)
                }
                if case .corrupt = scan.end { try note(LogRecovery.damage(scan.end)) }
            } catch { try note(error) }
        }
    }

    /// Applies a record, unless its collection is not there or it cannot be applied.
    private mutating func apply(_ record: LogRecord, lsn: UInt64) throws(OmenError) {
        let operation = record.operation
        let isCreation = if case .createCollection = operation { true } else { false }
        guard isCreation || store.collections[operation.collection] != nil else {
            return note(
                "the log has records of collection \(operation.collection), which is not there"
            )
        }
        let checked: CheckedOperation
        do throws(OmenError) {
            var logged = LoggedWrites(schemas: store.schemas)
            checked = try logged.check(operation)
        } catch {
            // Nothing of it was applied, and the records behind it do not need it.
            return note("log record \(lsn): \(error.message)")
        }
        let counts = try store.apply(lsn: lsn, checked, record.versions)
        keys.finish(record.key, counts)
        lastLSN = max(lastLSN, lsn)
    }
}
