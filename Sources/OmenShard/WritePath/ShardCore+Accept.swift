internal import OmenCore

/// Accepting writes: what is refused is refused before it has an LSN.
extension ShardCore {
    mutating func accept(_ request: WriteRequest, ticket: UInt64, _ effects: inout [Effect]) {
        if let failure {
            effects.append(.refuse(ticket: ticket, failure))
            return
        }
        switch keys.state(of: request.key) {
        case .applied(let counts):
            effects.append(.acknowledge(ticket: ticket, counts))
        case .pending:
            join(ticket: ticket, key: request.key)
        case .unknown:
            do throws(OmenError) {
                try enqueue(request, ticket: ticket)
            } catch {
                effects.append(.refuse(ticket: ticket, error))
            }
        }
    }

    private mutating func enqueue(_ request: WriteRequest, ticket: UInt64) throws(OmenError) {
        let operation = try validated(request.operation)
        let pending = AcceptedWrite(key: request.key, operation: operation, tickets: [ticket])
        let byteCount = pending.byteCount
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
        operation.change(&schemas)
        keys.begin(request.key)
        gathering.append(pending)
        gatheringByteCount += byteCount
    }

    /// The same write is under way: all that asked for it get its one outcome.
    private mutating func join(ticket: UInt64, key: RequestKey) {
        if let index = gathering.firstIndex(where: { $0.key == key }) {
            gathering[index].tickets.append(ticket)
        } else if let index = inFlight.firstIndex(where: { $0.key == key }) {
            inFlight[index].tickets.append(ticket)
        } else {
            preconditionFailure("request key \(key) is pending nowhere")
        }
    }

    private func validated(_ operation: WriteOperation) throws(OmenError) -> WriteOperation {
        if case .upsert(let batch) = operation, schemas[batch.collection] != nil {
            try checkLoad(batch.collection)
        }
        let checked = try operation.validated(against: schemas)
        guard case .upsert(let batch) = checked else { return checked }
        try checkMemory(batch)
        return .upsert(batch.keepingLastOfEqualIDs())
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
    private func checkMemory(_ batch: UpsertBatch) throws(OmenError) {
        let rowByteCount =
            schemas[batch.collection].map(partTypes.residentByteCountPerRow) ?? 0
        // The full vectors are in memory until the next checkpoint.
        let vectors = batch.ids.count * (rowByteCount + batch.dim * batch.element.byteCount)
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
