import OmenCore
import OmenStorage
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 2, element: .u8)

private func upsert(
    _ id: UInt64,
    sequence: UInt64,
    client: UInt64 = 1,
    checkedAgainst checked: CollectionSchema = schema
) throws -> ShardWrite {
    let batch = UpsertBatch(
        collection: "default",
        element: .u8,
        dim: 2,
        ids: [.number(id)],
        vectors: [1, 2]
    )
    return ShardWrite(
        key: RequestKey(client: client, sequence: sequence),
        operation: .upsert(try batch.validated(against: checked))
    )
}

private func core(_ durability: Durability = .always, applied: UInt64 = 0) -> ShardCore {
    ShardCore(
        durability: durability,
        schemas: ["default": schema],
        appliedLSN: applied,
        checkpointLSN: 0,
        keys: RequestKeyTable()
    )
}

extension ShardCore {
    /// Feeds a write that comes at some time.
    fileprivate mutating func write(
        _ write: ShardWrite,
        ticket: UInt64,
        at time: UInt64 = 0
    ) -> [Effect] {
        run(.write(ticket: ticket, write, wallMicroseconds: time))
    }

    /// Ends a turn in which the load has not changed.
    fileprivate mutating func endTurn() -> [Effect] { run(.turnEnded(load)) }

    /// Feeds one event and answers every `apply` as the driver does.
    fileprivate mutating func run(_ event: Event) -> [Effect] {
        var effects: [Effect] = []
        handle(event, into: &effects)
        var all: [Effect] = []
        for effect in effects {
            all.append(effect)
            if case .apply(let lsn, _, _) = effect {
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
    @Test func acknowledgesOnlyAfterTheSyncThatCoversTheWrite() throws {
        var core = core()
        #expect(core.write(try upsert(1, sequence: 1), ticket: 7).isEmpty)
        let submitted = core.endTurn()
        #expect(submitted.batches.map(\.firstLSN) == [1])
        #expect(submitted.acknowledged.isEmpty)
        let finished = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(finished.acknowledged == [7])
        #expect(core.durableLSN == 1)
    }

    @Test func writesThatArriveDuringACommitShareTheNextOne() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        for ticket in UInt64(2)...4 {
            _ = core.write(try upsert(ticket, sequence: ticket), ticket: ticket)
        }
        #expect(core.endTurn().isEmpty)
        let next = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(next.acknowledged == [1])
        #expect(next.batches.map(\.records.count) == [3])
        #expect(core.run(.logWritten(lastLSN: 4, synced: true)).acknowledged == [2, 3, 4])
    }

    /// Text ids were counted as 16 bytes each, so that a few deletes of long ones made a batch that
    /// the log's encoder takes for a bug and dies of.
    @Test func noBatchIsLargerThanTheLogTakes() throws {
        var core = core()
        let ids = (0..<Limits.batchCountMax).map { index -> RecordID in
            let digits = String(index)
            return .text(
                digits + String(repeating: "x", count: Limits.textIDByteCountMax - digits.count)
            )
        }
        for ticket in UInt64(1)...20 {
            let delete = ShardWrite(
                key: RequestKey(client: 1, sequence: ticket),
                operation: .delete(collection: "default", ids: ids)
            )
            let refused = core.write(delete, ticket: ticket).refusalCodes
            #expect(refused == (ticket <= 14 ? [] : [.resourceExhausted]), "write \(ticket)")
        }
        var lastLSN: UInt64 = 0
        var effects = core.endTurn()
        while let batch = effects.batches.first {
            let byteCount = batch.records.reduce(0) { $0 + $1.encodedByteCount }
            #expect(byteCount <= Limits.logBatchByteCountMax)
            lastLSN += UInt64(batch.records.count)
            effects = core.run(.logWritten(lastLSN: lastLSN, synced: true))
        }
        #expect(lastLSN == 14)
    }

    @Test func aRetriedWriteIsAnsweredAndNotRepeated() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 9), ticket: 1)
        _ = core.endTurn()
        // Still on its way: both tickets wait for the one record.
        #expect(core.write(try upsert(1, sequence: 9), ticket: 2).isEmpty)
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged == [1, 2])
        // Long done: the remembered outcome, and nothing for the log.
        #expect(core.write(try upsert(1, sequence: 9), ticket: 3).acknowledged == [3])
        #expect(core.endTurn().batches.isEmpty)
    }

    @Test func writesOfClientZeroAreNotRemembered() throws {
        var core = core()
        for ticket in UInt64(1)...2 {
            _ = core.write(try upsert(1, sequence: 1, client: 0), ticket: ticket)
            #expect(core.endTurn().batches.count == 1)
            #expect(core.run(.logWritten(lastLSN: ticket, synced: true)).acknowledged == [ticket])
        }
    }

    @Test func aFullDiskRefusesTheBatchAndTheNextWriteTriesAgain() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        _ = core.write(try upsert(2, sequence: 2), ticket: 2)
        let full = OmenError(.resourceExhausted, "no space left")
        let refusal = core.run(.logRefused(lastLSN: 1, full))
        #expect(refusal.refused == [1, 2])
        _ = core.write(try upsert(1, sequence: 1), ticket: 3)
        #expect(core.endTurn().batches.map(\.firstLSN) == [1])
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged == [3])
    }

    @Test func aRefusedCreateTakesTheWritesThatBuiltOnItWithIt() throws {
        var core = core()
        let create = ShardWrite(
            key: RequestKey(client: 1, sequence: 1),
            operation: .createCollection(name: "new", schema: CollectionSchema(dim: 2))
        )
        _ = core.write(create, ticket: 1)
        _ = core.endTurn()
        let drop = ShardWrite(
            key: RequestKey(client: 1, sequence: 2),
            operation: .dropCollection(name: "new")
        )
        #expect(core.write(drop, ticket: 2).isEmpty)
        let refusal = core.run(.logRefused(lastLSN: 1, OmenError(.resourceExhausted, "full")))
        #expect(refusal.refused == [1, 2])
        #expect(core.write(drop, ticket: 3).refusalCodes == [.notFound])
    }

    @Test func nothingIsAcknowledgedAfterDamageIsFound() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        _ = core.run(.checkpointRequested(ticket: 50))
        let damage = OmenError(.corrupt, "ckpt-1 offset 4096: a block fails its checksum")
        let found = core.run(.damaged(damage))
        #expect(found.refusalCodes == [.unknownOutcome])
        #expect(found.contains(.finishCheckpoint(ticket: 50, damage)))
        #expect(found.contains(.failStop(damage)))
        #expect(core.write(try upsert(2, sequence: 2), ticket: 2).refusalCodes == [.corrupt])
        // Whatever the log says now is of no use.
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).isEmpty)
    }

    @Test func nothingIsAcknowledgedAfterAFailedSync() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        _ = core.write(try upsert(2, sequence: 2), ticket: 2)
        let failed = core.run(.logFailed(OmenError(.ioFailure, "fdatasync: errno 5")))
        #expect(failed.refusalCodes == [.unknownOutcome, .unknownOutcome])
        #expect(failed.contains { if case .failStop = $0 { true } else { false } })
        // A second sync that succeeds is not believed.
        #expect(core.run(.logWritten(lastLSN: 1, synced: true)).acknowledged.isEmpty)
        #expect(
            core.write(try upsert(3, sequence: 3), ticket: 3).refusalCodes == [.ioFailure]
        )
    }

    @Test func refusesBeforeTheLogWhatCouldNotBeApplied() throws {
        var core = core()
        let key = RequestKey(client: 1, sequence: 1)
        let ids: [RecordID] = [.number(1)]
        let missing = ShardWrite(key: key, operation: .delete(collection: "nowhere", ids: ids))
        #expect(core.write(missing, ticket: 1).refusalCodes == [.notFound])
        let loads = [
            ShardLoad(hotRowCount: Limits.hotRowCountMax),
            ShardLoad(hotRowCount: 9, hotByteCount: Limits.hotByteCountMax),
            ShardLoad(fullCollections: ["default"]),
            ShardLoad(availableByteCount: Limits.memoryReserveByteCount),
        ]
        for load in loads {
            _ = core.run(.load(load))
            let pressed = core.write(try upsert(1, sequence: 2), ticket: 3)
            #expect(pressed.refusalCodes == [.resourceExhausted], "\(load)")
        }
        // What makes room is always taken.
        let delete = ShardWrite(key: key, operation: .delete(collection: "default", ids: ids))
        #expect(core.write(delete, ticket: 4).isEmpty)
        _ = core.run(.load(ShardLoad(fullCollections: ["other"])))
        #expect(core.write(try upsert(1, sequence: 4), ticket: 5).isEmpty)
        #expect(core.endTurn().batches.map(\.records.count) == [2])
    }

    @Test func versionsGrowWhateverTheClockDoes() throws {
        var core = core()
        for (place, time) in [UInt64(500), 900, 900, 100, 0, 901, 2000].enumerated() {
            let id = UInt64(place + 1)
            #expect(core.write(try upsert(id, sequence: id), ticket: id, at: time).isEmpty)
        }
        let batch = try #require(core.endTurn().batches.first)
        #expect(batch.records.map(\.versions.write) == [500, 900, 901, 902, 903, 904, 2000])
        #expect(batch.records.allSatisfy { $0.versions.records.isEmpty })
        #expect(batch.wallMicroseconds == 2000)
        let written = core.run(.logWritten(lastLSN: 7, synced: true))
        let applied = written.compactMap { effect in
            if case .apply(_, _, let versions) = effect { versions.write } else { nil }
        }
        #expect(applied == batch.records.map(\.versions.write))
        #expect(core.appliedVersion == 2000)
        // A retried write takes none, every other write takes one.
        #expect(core.write(try upsert(1, sequence: 1), ticket: 8, at: 9000).acknowledged == [8])
        let operations: [CheckedOperation] = [
            .delete(collection: "default", ids: [.number(1)]),
            .clearCollection(name: "default"),
        ]
        for (place, operation) in operations.enumerated() {
            let key = RequestKey(client: 2, sequence: UInt64(place + 1))
            _ = core.write(ShardWrite(key: key, operation: operation), ticket: 9, at: 10)
        }
        let next = try #require(core.endTurn().batches.first)
        #expect(next.records.map(\.versions.write) == [2001, 2002])
        #expect(next.wallMicroseconds == 2000, "the time that a log tells does not go back")
    }

    @Test func versionsGoOnBehindTheLastOneOfTheFiles() throws {
        var clock = VersionClock(last: 5000)
        #expect(try clock.next(at: 10) == 5001)
        #expect(try clock.next(at: 6000) == 6000)
        // A clock in another age of the world leaves numbers for those to come.
        #expect(try clock.next(at: .max) == WriteVersions.limit / 2)
        #expect(try clock.next(at: 7000) == WriteVersions.limit / 2 + 1)
        var last = VersionClock(last: WriteVersions.limit - 1)
        #expect(throws: OmenError.self) { try last.next(at: 7000) }
    }

    /// A client sent an upsert, another one dropped the collection and made it again, and the
    /// coordinator had checked the upsert against the schema before that.
    @Test func aBatchForAnotherSchemaIsRefusedBeforeTheLog() throws {
        for changed in [
            CollectionSchema(dim: 3, element: .u8), CollectionSchema(dim: 2),
            CollectionSchema(dim: 2, metric: .cosine, element: .u8),
        ] {
            var core = core()
            let again: [CheckedOperation] = [
                .dropCollection(name: "default"),
                .createCollection(name: "default", schema: changed),
            ]
            for (place, operation) in again.enumerated() {
                let key = RequestKey(client: 2, sequence: UInt64(place + 1))
                let write = ShardWrite(key: key, operation: operation)
                #expect(core.write(write, ticket: 1).isEmpty)
            }
            let late = core.write(try upsert(1, sequence: 1), ticket: 2)
            #expect(late.refusalCodes == [.unavailable], "\(changed)")
            #expect(core.endTurn().batches.map(\.records.count) == [2])
        }
    }

    @Test func anEmptyShardHasRoom() throws {
        for dim in [1, Limits.dimensionMax] {
            let store = ShardStore()
            let schema = CollectionSchema(dim: dim)
            _ = try store.apply(
                lsn: 1,
                .createCollection(name: "c", schema: schema),
                WriteVersions(1)
            )
            #expect(store.load == ShardLoad())
        }
    }

    @Test func intervalAcknowledgesWhatIsWrittenAndSyncsLater() throws {
        var core = core(.interval(milliseconds: 100))
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
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

    @Test func aCheckpointStartsBetweenTwoBatches() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        #expect(core.run(.checkpointRequested(ticket: 50)).isEmpty)
        _ = core.write(try upsert(2, sequence: 2), ticket: 2)
        let next = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(next.checkpoints == [1])
        #expect(next.contains(.rotateLog))
        #expect(next.batches.map(\.firstLSN) == [2])
        let done = core.run(.checkpointWritten(throughLSN: 1))
        #expect(done == [.finishCheckpoint(ticket: 50, nil)])
        #expect(core.checkpointLSN == 1)
    }

    /// The first to ask must not wait for the second's: under load there would always be another.
    @Test func whoeverAsksDuringACheckpointGetsTheNextOne() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        _ = core.run(.logWritten(lastLSN: 1, synced: true))
        #expect(core.run(.checkpointRequested(ticket: 50)).checkpoints == [1])
        _ = core.write(try upsert(2, sequence: 2), ticket: 2)
        _ = core.endTurn()
        _ = core.run(.logWritten(lastLSN: 2, synced: true))
        #expect(core.run(.checkpointRequested(ticket: 51)).isEmpty)
        let first = core.run(.checkpointWritten(throughLSN: 1))
        #expect(first.contains(.finishCheckpoint(ticket: 50, nil)))
        #expect(!first.contains(.finishCheckpoint(ticket: 51, nil)))
        #expect(first.checkpoints == [2])
        let second = core.run(.checkpointWritten(throughLSN: 2))
        #expect(second == [.finishCheckpoint(ticket: 51, nil)])
    }

    @Test func linksThatAFailedCheckpointDidNotSaveAreSavedByTheNext() throws {
        var core = core()
        _ = core.run(.linked)
        #expect(core.run(.checkpointRequested(ticket: 50)).checkpoints == [0])
        _ = core.run(.checkpointFailed(OmenError(.resourceExhausted, "no space left")))
        #expect(core.run(.checkpointRequested(ticket: 51)).checkpoints == [0])
        _ = core.run(.checkpointWritten(throughLSN: 0))
        #expect(core.run(.checkpointRequested(ticket: 52)).checkpoints.isEmpty)
    }

    @Test func aFailedLogAnswersWhoeverWaitsForACheckpoint() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
        #expect(core.run(.checkpointRequested(ticket: 50)).isEmpty)
        let error = OmenError(.ioFailure, "fdatasync: errno 5")
        #expect(core.run(.logFailed(error)).contains(.finishCheckpoint(ticket: 50, error)))
    }

    /// Otherwise a shard that is killed again and again would let its log grow for ever.
    @Test func aLongReplayedLogCallsForACheckpoint() throws {
        var core = ShardCore(
            durability: .always,
            schemas: [:],
            appliedLSN: 7,
            checkpointLSN: 0,
            keys: RequestKeyTable(),
            logByteCount: Limits.checkpointLogByteCountTarget + 1
        )
        #expect(core.endTurn().checkpoints == [7])
    }

    @Test func aCheckpointWithNothingNewIsDoneAtOnce() throws {
        var core = core()
        #expect(
            core.run(.checkpointRequested(ticket: 5)) == [.finishCheckpoint(ticket: 5, nil)]
        )
    }

    @Test func aFailedCheckpointKeepsTheOldOne() throws {
        var core = core()
        _ = core.write(try upsert(1, sequence: 1), ticket: 1)
        _ = core.endTurn()
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
            _ = core.write(try upsert(1, sequence: 1), ticket: 1)
            _ = core.endTurn()
            _ = core.run(.logWritten(lastLSN: 2, synced: true))
        }
    }
}

@Suite struct RequestKeyTableTests {
    @Test func forgetsTheOldestBeyondItsCapacity() throws {
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
