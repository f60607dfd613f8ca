internal import OmenCore
internal import OmenStorage

/// Accepting writes: what is refused is refused before it has an LSN.
extension ShardCore {
    mutating func accept(
        _ write: ShardWrite,
        at time: UInt64,
        ticket: UInt64,
        _ effects: inout [Effect]
    ) {
        if let failure {
            effects.append(.refuse(ticket: ticket, failure))
            return
        }
        switch keys.state(of: write.key) {
        case .applied(let counts):
            effects.append(.acknowledge(ticket: ticket, counts))
        case .pending:
            join(ticket: ticket, key: write.key)
        case .unknown:
            do throws(OmenError) {
                try enqueue(write, at: time, ticket: ticket)
            } catch {
                effects.append(.refuse(ticket: ticket, error))
            }
        }
    }

    private mutating func enqueue(
        _ given: ShardWrite,
        at time: UInt64,
        ticket: UInt64
    ) throws(OmenError) {
        let write = try admitted(given)
        let byteCount = LogRecord.headByteCount + write.operationByteCount
        guard byteCount <= Limits.logBatchByteCountMax else {
            throw OmenError(
                .badRequest,
                "the write takes \(byteCount) bytes in the log, expected at most \(Limits.logBatchByteCountMax): send fewer at once"
            )
        }
        guard gatheringByteCount < Limits.commitQueueByteCountMax else {
            throw OmenError(
                .resourceExhausted,
                "\(gatheringByteCount) bytes wait for the log, limit \(Limits.commitQueueByteCountMax)"
            )
        }
        let versions = WriteVersions(try clock.next(at: time))
        write.operation.change(&schemas)
        keys.begin(write.key)
        gathering.append(AcceptedWrite(write: write, versions: versions, tickets: [ticket]))
        gatheringByteCount += byteCount
    }

    /// The same write is under way: all that asked for it get its one outcome.
    private mutating func join(ticket: UInt64, key: RequestKey) {
        if let index = gathering.firstIndex(where: { $0.write.key == key }) {
            gathering[index].tickets.append(ticket)
        } else if let index = inFlight.firstIndex(where: { $0.write.key == key }) {
            inFlight[index].tickets.append(ticket)
        } else {
            preconditionFailure("request key \(key) is pending nowhere")
        }
    }

    /// Checks what only the shard knows: its schemas, its load and its memory.
    ///
    /// The values were checked before, against the schema that comes along. Replay checks schema
    /// and values again; with the same schema it finds the same, so that it refuses nothing.
    private func admitted(_ write: ShardWrite) throws(OmenError) -> ShardWrite {
        try write.operation.checkSchema(in: schemas)
        guard case .upsert(let checked) = write.operation else { return write }
        try checkLoad(checked.batch.collection)
        try checkMemory(checked)
        let kept = checked.keepingLastOfEqualIDs()
        guard kept.batch.ids.count < checked.batch.ids.count else { return write }
        return ShardWrite(key: write.key, operation: .upsert(kept))
    }

    /// Refuses inserts that searches, or the shard's memory, have no room for.
    ///
    /// What is applied must not fail: replaying it would fail in the same way, for ever.
    private func checkLoad(_ collection: String) throws(OmenError) {
        guard hotLimits.allow(load) else {
            throw OmenError(
                .resourceExhausted,
                "\(load.hotRowCount) vectors of \(load.hotByteCount) bytes wait to be linked, limits \(hotLimits.rowCount) and \(hotLimits.byteCount)",
                retryAfterMilliseconds: Limits.linkingRetryAfterMilliseconds
            )
        }
        guard !load.fullCollections.contains(collection) else {
            throw OmenError(
                .resourceExhausted,
                "collection \(collection) has no room for more on this shard"
            )
        }
    }

    /// Refuses inserts that memory has no room for: a worker that the system kills for its memory
    /// would replay them and be killed again.
    private func checkMemory(_ checked: CheckedBatch) throws(OmenError) {
        let batch = checked.batch
        let rowByteCount = partTypes.residentByteCountPerRow(checked.schema)
        // The full vectors are in memory until the next checkpoint.
        let vectors = batch.ids.count * (rowByteCount + checked.schema.vectorByteCount)
        let metadata = batch.metadata.reduce(0) { $0 + $1.count }
        let reserve = Limits.memoryReserveByteCount + load.buildByteCount
        // A build takes in what comes while it goes on once more.
        let needed = (vectors + metadata) * (load.isBuilding ? 2 : 1) + reserve
        guard needed > load.availableByteCount else { return }
        throw OmenError(
            .resourceExhausted,
            "\(batch.ids.count) vectors need \(needed) bytes of memory, \(reserve) of them in reserve; \(load.availableByteCount) are available",
            retryAfterMilliseconds: load.isBuilding ? Limits.linkingRetryAfterMilliseconds : 0
        )
    }
}
