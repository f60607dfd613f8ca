internal import OmenCore
internal import OmenStorage

/// Carries out the records of a log, in their order, on what the checkpoint before it holds.
struct LogReplay {
    private let store: ShardStore
    private var logged: LoggedWrites
    /// The requests that were applied.
    private(set) var keys = RequestKeyTable()
    /// The largest version of all writes.
    private(set) var lastVersion: UInt64
    /// Records that were applied.
    private(set) var recordCount = 0
    /// The bytes of these records.
    private(set) var byteCount = 0

    /// Begins behind a checkpoint.
    ///
    /// - Parameters:
    ///   - store: Holds what the checkpoint holds.
    ///   - checkpoint: The checkpoint.
    init(_ store: ShardStore, behind checkpoint: ShardCheckpoint) {
        self.store = store
        logged = LoggedWrites(schemas: store.schemas)
        lastVersion = checkpoint.lastVersion
        for request in checkpoint.requests { keys.finish(request.key, request.counts) }
    }

    /// Applies the next record.
    ///
    /// - Parameters:
    ///   - record: As the log holds it.
    ///   - lsn: Its number.
    /// - Throws: `.corrupt` telling why it cannot be applied; `.resourceExhausted` at a limit of
    ///   the shard.
    mutating func apply(_ record: LogRecord, lsn: UInt64) throws(OmenError) {
        let operation = try logged.check(record.operation)
        keys.finish(record.key, try store.apply(lsn: lsn, operation, record.versions))
        lastVersion = max(lastVersion, record.versions.newest)
        recordCount += 1
        byteCount += record.encodedByteCount
    }
}
