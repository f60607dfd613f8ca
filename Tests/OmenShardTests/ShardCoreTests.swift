import OmenCore
import OmenStorage
import Testing

@testable import OmenShard

private func upsert(_ id: UInt64, sequence: UInt64, client: UInt64 = 1) -> WriteRequest {
    WriteRequest(
        key: RequestKey(client: client, sequence: sequence),
        operation: .upsert(
            UpsertBatch(
                collection: "default",
                element: .u8,
                dim: 2,
                ids: [.number(id)],
                vectors: [1, 2]
            )
        )
    )
}

private func core(_ durability: Durability = .always, applied: UInt64 = 0) -> ShardCore {
    ShardCore(
        durability: durability,
        schemas: ["default": CollectionSchema(dim: 2, element: .u8)],
        appliedLSN: applied,
        checkpointLSN: 0,
        keys: RequestKeyTable()
    )
}

extension ShardCore {
    /// Feeds one event and answers every `apply` as the driver does.
    fileprivate mutating func run(_ event: Event) -> [Effect] {
        var effects: [Effect] = []
        handle(event, into: &effects)
        var all: [Effect] = []
        for effect in effects {
            all.append(effect)
            if case .apply(let lsn, _) = effect {
                all += run(.applied(lsn: lsn, WriteCounts(upserted: 1)))
            }
        }
        return all
    }
}

extension [ShardCore.Effect] {
    fileprivate var acknowledged: [UInt64] {
        compactMap { if case .acknowledge(let ticket, _) = $0 { ticket } else { nil } }
    }
    fileprivate var refused: [UInt64] {
        compactMap { if case .refuse(let ticket, _) = $0 { ticket } else { nil } }
    }
    fileprivate var refusalCodes: [OmenError.Code] {
        compactMap { if case .refuse(_, let error) = $0 { error.code } else { nil } }
    }
    fileprivate var batches: [LogBatch] {
        compactMap { if case .appendLog(let batch, _) = $0 { batch } else { nil } }
    }
    fileprivate var checkpoints: [UInt64] {
        compactMap { if case .writeCheckpoint(let lsn) = $0 { lsn } else { nil } }
    }
}

@Suite struct ShardCoreTests {
    @Test func acknowledgesOnlyAfterTheSyncThatCoversTheWrite() {
        var core = core()
        #expect(core.run(.write(ticket: 7, upsert(1, sequence: 1))).isEmpty)
        let submitted = core.run(.turnEnded)
        #expect(submitted.batches.map(\.firstLSN) == [1])
        #expect(submitted.acknowledged.isEmpty)
        let finished = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(finished.acknowledged == [7])
        #expect(core.durableLSN == 1)
    }

    @Test func writesThatArriveDuringACommitShareTheNextOne() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        for ticket in UInt64(2)...4 {
            _ = core.run(.write(ticket: ticket, upsert(ticket, sequence: ticket)))
        }
        #expect(core.run(.turnEnded).isEmpty)
        let next = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(next.acknowledged == [1])
        #expect(next.batches.map(\.records.count) == [3])
        #expect(core.run(.logWritten(lastLSN: 4, synced: true)).acknowledged == [2, 3, 4])
    }

    /// Text ids were counted as 16 bytes each, so that a few deletes of long ones made a batch that
    /// the log's encoder takes for a bug and dies of.
    @Test func noBatchIsLargerThanTheLogTakes() {
        var core = core()
        let ids = (0..<Limits.batchCountMax).map { index -> RecordID in
            let digits = String(index)
            return .text(
                digits + String(repeating: "x", count: Limits.textIDByteCountMax - digits.count)
            )
        }
        for ticket in UInt64(1)...20 {
            let delete = WriteRequest(
                key: RequestKey(client: 1, sequence: ticket),
                operation: .delete(collection: "default", ids: ids)
            )
            let refused = core.run(.write(ticket: ticket, delete)).refusalCodes
            #expect(refused == (ticket <= 14 ? [] : [.resourceExhausted]), "write \(ticket)")
        }
        var lastLSN: UInt64 = 0
        var effects = core.run(.turnEnded)
        while let batch = effects.batches.first {
            let byteCount = batch.records.reduce(0) { $0 + $1.encodedByteCount }
            #expect(byteCount <= Limits.logBatchByteCountMax)
            lastLSN += UInt64(batch.records.count)
            effects = core.run(.logWritten(lastLSN: lastLSN, synced: true))
        }
        #expect(lastLSN == 14)
    }

    @Test func aRetriedWriteIsAnsweredAndNotRepeated() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 9)))
        _ = core.run(.turnEnded)
        // Still on its way: both tickets wait for the one record.
        #expect(core.run(.write(ticket: 2, upsert(1, sequence: 9))).isEmpty)
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged == [1, 2])
        // Long done: the remembered outcome, and nothing for the log.
        #expect(core.run(.write(ticket: 3, upsert(1, sequence: 9))).acknowledged == [3])
        #expect(core.run(.turnEnded).batches.isEmpty)
    }

    @Test func writesOfClientZeroAreNotRemembered() {
        var core = core()
        for ticket in UInt64(1)...2 {
            _ = core.run(.write(ticket: ticket, upsert(1, sequence: 1, client: 0)))
            #expect(core.run(.turnEnded).batches.count == 1)
            #expect(core.run(.logWritten(lastLSN: ticket, synced: true)).acknowledged == [ticket])
        }
    }

    @Test func aFullDiskRefusesTheBatchAndTheNextWriteTriesAgain() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        _ = core.run(.write(ticket: 2, upsert(2, sequence: 2)))
        let full = OmenError(.resourceExhausted, "no space left")
        let refusal = core.run(.logRefused(lastLSN: 1, full))
        #expect(refusal.refused == [1, 2])
        _ = core.run(.write(ticket: 3, upsert(1, sequence: 1)))
        #expect(core.run(.turnEnded).batches.map(\.firstLSN) == [1])
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged == [3])
    }

    @Test func aRefusedCreateTakesTheWritesThatBuiltOnItWithIt() {
        var core = core()
        let create = WriteRequest(
            key: RequestKey(client: 1, sequence: 1),
            operation: .createCollection(name: "new", schema: CollectionSchema(dim: 2))
        )
        _ = core.run(.write(ticket: 1, create))
        _ = core.run(.turnEnded)
        let drop = WriteRequest(
            key: RequestKey(client: 1, sequence: 2),
            operation: .dropCollection(name: "new")
        )
        #expect(core.run(.write(ticket: 2, drop)).isEmpty)
        let refusal = core.run(.logRefused(lastLSN: 1, OmenError(.resourceExhausted, "full")))
        #expect(refusal.refused == [1, 2])
        #expect(core.run(.write(ticket: 3, drop)).refusalCodes == [.notFound])
    }

    @Test func nothingIsAcknowledgedAfterDamageIsFound() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        _ = core.run(.checkpointRequested(ticket: 50))
        let damage = OmenError(.corrupt, "ckpt-1 offset 4096: a block fails its checksum")
        let found = core.run(.damaged(damage))
        #expect(found.refusalCodes == [.unknownOutcome])
        #expect(found.contains(.finishCheckpoint(ticket: 50, damage)))
        #expect(found.contains(.failStop(damage)))
        #expect(core.run(.write(ticket: 2, upsert(2, sequence: 2))).refusalCodes == [.corrupt])
        // Whatever the log says now is of no use.
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).isEmpty)
    }

    @Test func nothingIsAcknowledgedAfterAFailedSync() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        _ = core.run(.write(ticket: 2, upsert(2, sequence: 2)))
        let failed = core.run(.logFailed(OmenError(.ioFailure, "fdatasync: errno 5")))
        #expect(failed.refusalCodes == [.unknownOutcome, .unknownOutcome])
        #expect(failed.contains { if case .failStop = $0 { true } else { false } })
        // A second sync that succeeds is not believed.
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged.isEmpty)
        #expect(core.run(.write(ticket: 3, upsert(3, sequence: 3))).refusalCodes == [.ioFailure])
    }

    @Test func refusesBeforeTheLogWhatCouldNotBeApplied() {
        var core = core()
        var wrong = upsert(1, sequence: 1)
        wrong.operation = .delete(collection: "nowhere", ids: [.number(1)])
        #expect(core.run(.write(ticket: 1, wrong)).refusalCodes == [.notFound])
        wrong.operation = .upsert(
            UpsertBatch(collection: "default", element: .u8, dim: 3, ids: [], vectors: [])
        )
        #expect(core.run(.write(ticket: 2, wrong)).refusalCodes == [.badRequest])
        let loads = [
            ShardLoad(hotRowCount: Limits.hotRowCountMax),
            ShardLoad(hotRowCount: 9, hotByteCount: Limits.hotByteCountMax),
            ShardLoad(fullCollections: ["default"]),
            ShardLoad(availableByteCount: Limits.memoryReserveByteCount),
        ]
        for load in loads {
            _ = core.run(.load(load))
            let pressed = core.run(.write(ticket: 3, upsert(1, sequence: 2)))
            #expect(pressed.refusalCodes == [.resourceExhausted], "\(load)")
        }
        // What makes room is always taken.
        wrong.operation = .delete(collection: "default", ids: [.number(1)])
        #expect(core.run(.write(ticket: 4, wrong)).isEmpty)
        _ = core.run(.load(ShardLoad(fullCollections: ["other"])))
        #expect(core.run(.write(ticket: 5, upsert(1, sequence: 4))).isEmpty)
        #expect(core.run(.turnEnded).batches.map(\.records.count) == [2])
    }

    @Test func anEmptyShardHasRoom() throws {
        for dim in [1, Limits.dimensionMax] {
            let store = ShardStore()
            let schema = CollectionSchema(dim: dim)
            _ = try store.apply(lsn: 1, .createCollection(name: "c", schema: schema))
            #expect(store.load == ShardLoad())
        }
    }

    @Test func intervalAcknowledgesWhatIsWrittenAndSyncsLater() {
        var core = core(.interval(milliseconds: 100))
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        #expect(core.run(.logWritten(lastLSN: 1, synced: false)).acknowledged == [1])
        #expect(core.durableLSN == 0)
        #expect(core.run(.syncDue) == [.syncLog])
        // The durable LSN advances when the sync ends, not when it begins.
        #expect(core.durableLSN == 0)
        #expect(core.run(.syncDue).isEmpty)
        _ = core.run(.logSynced(throughLSN: 1))
        #expect(core.durableLSN == 1)
        let mark = core.run(.syncDue)
        #expect(mark.batches.map(\.durableLSN) == [1])
        #expect(mark.batches.map(\.records.isEmpty) == [true])
        #expect(core.run(.syncDue).isEmpty)
    }

    @Test func aCheckpointStartsBetweenTwoBatches() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        #expect(core.run(.checkpointRequested(ticket: 50)).isEmpty)
        _ = core.run(.write(ticket: 2, upsert(2, sequence: 2)))
        let next = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(next.checkpoints == [1])
        #expect(next.contains(.rotateLog))
        #expect(next.batches.map(\.firstLSN) == [2])
        let done = core.run(.checkpointWritten(throughLSN: 1))
        #expect(done == [.finishCheckpoint(ticket: 50, nil)])
        #expect(core.checkpointLSN == 1)
    }

    /// The first to ask must not wait for the second's: under load there would always be another.
    @Test func whoeverAsksDuringACheckpointGetsTheNextOne() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        _ = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(core.run(.checkpointRequested(ticket: 50)).checkpoints == [1])
        _ = core.run(.write(ticket: 2, upsert(2, sequence: 2)))
        _ = core.run(.turnEnded)
        _ = core.run(.logWritten(lastLSN: 2, synced: true))
        #expect(core.run(.checkpointRequested(ticket: 51)).isEmpty)
        let first = core.run(.checkpointWritten(throughLSN: 1))
        #expect(first.contains(.finishCheckpoint(ticket: 50, nil)))
        #expect(!first.contains(.finishCheckpoint(ticket: 51, nil)))
        #expect(first.checkpoints == [2])
        let second = core.run(.checkpointWritten(throughLSN: 2))
        #expect(second == [.finishCheckpoint(ticket: 51, nil)])
    }

    @Test func linksThatAFailedCheckpointDidNotSaveAreSavedByTheNext() {
        var core = core()
        _ = core.run(.linked)
        #expect(core.run(.checkpointRequested(ticket: 50)).checkpoints == [0])
        _ = core.run(.checkpointFailed(OmenError(.resourceExhausted, "no space left")))
        #expect(core.run(.checkpointRequested(ticket: 51)).checkpoints == [0])
        _ = core.run(.checkpointWritten(throughLSN: 0))
        #expect(core.run(.checkpointRequested(ticket: 52)).checkpoints.isEmpty)
    }

    @Test func aFailedLogAnswersWhoeverWaitsForACheckpoint() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        #expect(core.run(.checkpointRequested(ticket: 50)).isEmpty)
        let error = OmenError(.ioFailure, "fdatasync: errno 5")
        #expect(core.run(.logFailed(error)).contains(.finishCheckpoint(ticket: 50, error)))
    }

    /// Otherwise a shard that is killed again and again would let its log grow for ever.
    @Test func aLongReplayedLogCallsForACheckpoint() {
        var core = ShardCore(
            durability: .always,
            schemas: [:],
            appliedLSN: 7,
            checkpointLSN: 0,
            keys: RequestKeyTable(),
            logByteCount: Limits.checkpointLogByteCountTarget + 1
        )
        #expect(core.run(.turnEnded).checkpoints == [7])
    }

    @Test func aCheckpointWithNothingNewIsDoneAtOnce() {
        var core = core()
        #expect(
            core.run(.checkpointRequested(ticket: 5)) == [.finishCheckpoint(ticket: 5, nil)]
        )
    }

    @Test func aFailedCheckpointKeepsTheOldOne() {
        var core = core()
        _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
        _ = core.run(.turnEnded)
        _ = core.run(.logWritten(lastLSN: 1, synced: true))
        _ = core.run(.checkpointRequested(ticket: 50))
        let error = OmenError(.resourceExhausted, "full")
        #expect(
            core.run(.checkpointFailed(error)) == [.finishCheckpoint(ticket: 50, error)]
        )
        #expect(core.checkpointLSN == 0)
        #expect(core.run(.checkpointRequested(ticket: 51)).checkpoints == [1])
    }

    @Test func diesWhenTheLogClaimsMoreThanWasSubmitted() async {
        await #expect(processExitsWith: .failure) {
            var core = core()
            _ = core.run(.write(ticket: 1, upsert(1, sequence: 1)))
            _ = core.run(.turnEnded)
            _ = core.run(.logWritten(lastLSN: 2, synced: true))
        }
    }
}

@Suite struct RequestKeyTableTests {
    @Test func forgetsTheOldestBeyondItsCapacity() {
        var table = RequestKeyTable(capacity: 3)
        for sequence in UInt64(1)...8 {
            let key = RequestKey(client: 1, sequence: sequence)
            table.begin(key)
            table.finish(key, WriteCounts(upserted: sequence))
        }
        #expect(table.entries.map(\.key.sequence) == [6, 7, 8])
        #expect(table.state(of: RequestKey(client: 1, sequence: 5)) == .unknown)
        #expect(
            table.state(of: RequestKey(client: 1, sequence: 7))
                == .applied(WriteCounts(upserted: 7))
        )
    }
}
