package import OmenCore
package import OmenStorage

/// The decisions of one shard's write path without its files: events in, effects out.
///
/// Invariants:
/// 1. A write is applied and acknowledged only after its log record is written, and in
///    `Durability.always` only after a sync that was asked for after that write covers it.
/// 2. One batch is with the log at a time; what arrives meanwhile gathers into the next.
/// 3. Operations are applied in the order of their LSNs, without gaps.
/// 4. A request key is applied at most once as long as it is remembered.
/// 5. After a failed write or sync, or once damage is found, nothing is acknowledged any more: the
///    shard must be reopened.
///
/// No clock, no randomness and no I/O in here, so that a simulation with a seed can drive it. The
/// driver carries out effects in order, and answers each `apply` before it hands in another event.
package struct ShardCore {
    package enum Event {
        /// A write arrived, whose values were checked, at a time in microseconds since 1970.
        ///
        /// `ticket` names who waits for the outcome.
        case write(ticket: UInt64, ShardWrite, wallMicroseconds: UInt64)
        /// Everything that arrived in this turn has been handed over: commit it together. The
        /// load is what the shard has now.
        case turnEnded(ShardLoad)
        /// The batch up to this LSN is written, and synced if that was asked for.
        case logWritten(lastLSN: UInt64, synced: Bool)
        case logSynced(throughLSN: UInt64)
        /// The batch up to this LSN is not in the log and the log is as before: a full disk.
        case logRefused(lastLSN: UInt64, OmenError)
        /// A write or sync failed: what is on disk is unknown.
        case logFailed(OmenError)
        /// What the shard holds is not what was stored: a file has rotted, or a record that is in
        /// the log cannot be applied.
        case damaged(OmenError)
        /// The answer to `Effect.apply`.
        case applied(lsn: UInt64, WriteCounts)
        /// Time for the sync of `Durability.interval`, and for a mark of what is durable.
        case syncDue
        /// Someone wants a checkpoint; nobody waits when `ticket` is nil.
        case checkpointRequested(ticket: UInt64?)
        case checkpointWritten(throughLSN: UInt64)
        case checkpointFailed(OmenError)
        /// How full the shard is now, where that is known before the turn ends.
        case load(ShardLoad)
        /// Links changed without a write: a checkpoint now would save that work.
        case linked
    }

    package enum Effect: Equatable {
        /// Without records it is a mark that tells recovery what was durable.
        case appendLog(LogBatch, sync: Bool)
        case syncLog
        /// Make the operation visible and answer with `Event.applied`.
        case apply(lsn: UInt64, CheckedOperation, WriteVersions)
        case acknowledge(ticket: UInt64, WriteCounts)
        case refuse(ticket: UInt64, OmenError)
        /// Close the log segment; the next batch begins a new one.
        case rotateLog
        /// Freeze what is applied now, which is all up to this LSN, and stream it out.
        case writeCheckpoint(throughLSN: UInt64)
        case finishCheckpoint(ticket: UInt64, OmenError?)
        /// Stop serving; only reopening from disk tells the truth again.
        case failStop(OmenError)
    }

    struct AcceptedWrite {
        let write: ShardWrite
        let versions: WriteVersions
        /// Who waits for the outcome.
        var tickets: [UInt64]

        var record: LogRecord {
            LogRecord(
                key: write.key,
                versions: versions,
                operation: write.operation.operation
            )
        }
        /// Bytes of the record in the log.
        var byteCount: Int { LogRecord.headByteCount + write.operationByteCount }
    }

    let durability: Durability
    package let hotLimits: HotLimits
    /// The parts that collections have; they tell how much memory a row takes.
    var partTypes = PartTypes.standard
    var failure: OmenError?
    /// Schemas as they will be once all accepted writes are applied.
    var schemas: [String: CollectionSchema]
    /// Schemas as they are now, to fall back to when accepted writes are refused.
    var appliedSchemas: [String: CollectionSchema]
    var nextLSN: UInt64
    package internal(set) var appliedLSN: UInt64
    /// The version of the write at `appliedLSN`: what a checkpoint stores.
    package internal(set) var appliedVersion: UInt64
    package internal(set) var durableLSN: UInt64
    package internal(set) var checkpointLSN: UInt64
    /// Highest durable LSN that some batch in the log proclaims.
    var markedLSN: UInt64
    var gathering: [AcceptedWrite] = []
    var gatheringByteCount = 0
    /// The batch that is with the log; its first LSN is `inFlightFirstLSN`.
    var inFlight: [AcceptedWrite] = []
    var inFlightFirstLSN: UInt64 = 0
    /// Written operations whose `applied` is awaited, in LSN order.
    var applying: [AcceptedWrite] = []
    var syncInFlight = false
    var keys: RequestKeyTable
    var clock: VersionClock
    var load = ShardLoad()
    /// Who waits for the checkpoint that is running, and who asked too late for that one.
    var checkpointTickets: (running: [UInt64], next: [UInt64]) = ([], [])
    var checkpointWanted = false
    var checkpointRunning = false
    var logByteCountSinceCheckpoint: Int
    var hasUnsavedLinks = false

    /// Starts after recovery.
    ///
    /// - Parameters:
    ///   - durability: When acknowledgements may go out.
    ///   - schemas: The collections that recovery found.
    ///   - appliedLSN: The last LSN recovered; all of it is durable, recovery rewrote the tail.
    ///   - checkpointLSN: What the newest checkpoint covers.
    ///   - keys: The request keys that recovery found.
    ///   - lastVersion: The largest version that recovery found.
    ///   - logByteCount: Bytes of the records behind the checkpoint, which recovery replayed.
    ///   - hotLimits: Vectors that may wait to be linked.
    package init(
        durability: Durability,
        schemas: [String: CollectionSchema],
        appliedLSN: UInt64,
        checkpointLSN: UInt64,
        keys: RequestKeyTable,
        lastVersion: UInt64 = 0,
        logByteCount: Int = 0,
        hotLimits: HotLimits = .shard
    ) {
        self.durability = durability
        self.hotLimits = hotLimits
        self.schemas = schemas
        appliedSchemas = schemas
        self.appliedLSN = appliedLSN
        self.checkpointLSN = checkpointLSN
        self.keys = keys
        clock = VersionClock(last: lastVersion)
        appliedVersion = lastVersion
        logByteCountSinceCheckpoint = logByteCount
        durableLSN = appliedLSN
        markedLSN = appliedLSN
        nextLSN = appliedLSN + 1
    }

    /// The applied request keys, oldest first, as a checkpoint stores them.
    package var rememberedRequests: [RememberedRequest] { keys.entries }

    package mutating func handle(_ event: Event, into effects: inout [Effect]) {
        switch event {
        case .write(let ticket, let write, let time):
            accept(write, at: time, ticket: ticket, &effects)
        case .turnEnded(let load):
            self.load = load
            commit(&effects)
        case .logWritten(let lastLSN, let synced): finishBatch(lastLSN, synced: synced, &effects)
        case .logSynced(let through):
            syncInFlight = false
            durableLSN = max(durableLSN, through)
        case .logRefused(let lastLSN, let error): refuseBatch(lastLSN, error, &effects)
        case .logFailed(let error): fail(error, "the shard failed", &effects)
        case .damaged(let error): fail(error, "the shard is damaged, which showed", &effects)
        case .applied(let lsn, let counts): finishApply(lsn, counts, &effects)
        case .syncDue: sync(&effects)
        case .checkpointRequested(let ticket): requestCheckpoint(ticket, &effects)
        case .checkpointWritten(let through):
            checkpointLSN = through
            finishCheckpoint(nil, &effects)
        case .checkpointFailed(let error): finishCheckpoint(error, &effects)
        case .load(let load): self.load = load
        case .linked: hasUnsavedLinks = true
        }
    }
}
