internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Reads a stopped shard as opening would, and changes nothing.
enum ShardReading {
    /// Opens every file whole and applies every record of the log, then forgets both.
    ///
    /// - Parameters:
    ///   - directory: The shard's files; the caller holds its lock.
    ///   - identity: Whose files they must be.
    ///   - expected: What the cluster knows of the shard; nil for a directory that was just written
    ///     and must have a manifest.
    ///   - partTypes: The parts that collections have.
    /// - Throws: What `ShardRecovery.open` would throw.
    static func check(
        _ directory: Directory,
        identity: ShardIdentity,
        expected: ShardProgress?,
        partTypes: PartTypes = .standard
    ) throws(OmenError) {
        let manifest = try ShardRecovery.loadManifest(
            directory,
            identity: identity,
            expected: expected
        )
        guard let checkpoint = manifest?.current else {
            guard expected == nil else { return }
            throw OmenError(
                .corrupt,
                "\(directory.path(of: ShardManifest.fileName)) is missing"
            )
        }
        let store = ShardStore(partTypes: partTypes)
        _ = try ShardRecovery.openCollections(
            of: checkpoint,
            directory,
            identity: identity,
            isWhole: true,
            memoryByteCountMax: try SystemMemory.availableByteCount(),
            progress: {},
            into: store
        )
        var replay = LogReplay(store, behind: checkpoint)
        let log = try SegmentFiles(directory, directory.names())
        guard log.firstLSN != nil else {
            throw OmenError(.corrupt, "\(directory.path) has no log")
        }
        let scan = try log.examine(
            identity: identity,
            from: checkpoint.appliedLSN + 1
        ) { lsn, record throws(OmenError) in
            try replay.apply(record, lsn: lsn)
        }
        if case .corrupt = scan.end { throw LogRecovery.damage(scan.end) }
        try expected?.check(lastLSN: scan.lastLSN, in: directory)
    }
}

/// The log segments of a directory, mapped.
struct SegmentFiles {
    private var segments: [(name: String, file: MappedFile)] = []

    /// - Parameters:
    ///   - directory: Where the segments are.
    ///   - names: Of all entries of the directory, ascending.
    ///   - unreadable: Is given what is wrong with a segment that cannot be mapped, such as a
    ///     directory in its place; throws to give up.
    /// - Throws: What `unreadable` throws.
    init(
        _ directory: Directory,
        _ names: [String],
        unreadable: (OmenError) throws(OmenError) -> Void = { error throws(OmenError) in throw error
        }
    ) throws(OmenError) {
        for name in names where LogSegment.firstLSN(of: name) != nil {
            do throws(OmenError) {
                segments.append((name, try directory.map(name)))
            } catch { try unreadable(error) }
        }
    }

    /// First LSN that some segment is named after; nil without segments.
    var firstLSN: UInt64? { segments.first.flatMap { LogSegment.firstLSN(of: $0.name) } }

    /// `LogScanner.examine` of these segments.
    func examine(
        identity: ShardIdentity,
        from lsn: UInt64,
        visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) -> LogScan {
        defer { withExtendedLifetime(segments) {} }
        return try LogScanner.examine(
            segments.map { LogSegmentBytes(name: $0.name, bytes: $0.file.bytes) },
            identity: identity,
            from: lsn,
            visit: visit
        )
    }
}
