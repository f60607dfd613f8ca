import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct WriteTests {
    @Test func splitsAnUpsertBySlotAndKeepsTheOrderOfEachShard() throws {
        var fixture = try Fixture.ready(shards: 4, collections: [info("c")])
        let all = Array<UInt64>(1...40).reversed() + [7, 7]
        fixture.write(.upsert(batch("c", all)))
        var seen = 0
        for sent in fixture.sent {
            guard case .shardWrite(let write) = sent.message,
                case .upsert(let checked) = write.operation
            else { throw OmenError(.badRequest, "not an upsert") }
            let expected = all.filter { shard(of: $0, shards: 4) == sent.shard }
            let part = checked.batch
            #expect(part == batch("c", expected))
            #expect(checked.schema == info("c").schema)
            #expect(write.key == RequestKey(client: 1001, sequence: 1))
            seen += part.ids.count
        }
        #expect(seen == all.count)
        #expect(fixture.sent.map(\.shard) == [0, 1, 2, 3])
        #expect(fixture.replies.isEmpty)
    }

    @Test func answersAWriteWhenEveryPartIsAnsweredAndSumsTheCounts() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", Array(1...10))), id: 5)
        let parts = fixture.sent
        fixture.worker(0, parts[0].id, written(upserted: 4))
        #expect(fixture.replies.isEmpty)
        fixture.worker(1, parts[1].id, written(upserted: 6))
        #expect(fixture.writeReply?.counts.upserted == 10)
        #expect(fixture.writeReply?.coverage == Coverage(shardsTotal: 2))
        #expect(fixture.replies.map(\.requestID) == [5])
        #expect(fixture.core.pendingCount == 0)
        #expect(fixture.core.pendingByteCount == 0)
    }

    @Test func appliesNothingOfABatchWithOneBadVector() throws {
        var fixture = try Fixture.ready(shards: 4, collections: [info("c")])
        var bad = batch("c", Array(1...20))
        bad.vectors.replaceSubrange(19 * 8..<19 * 8 + 4, with: floats([.nan]))
        fixture.write(.upsert(bad))
        #expect(fixture.error?.code == .badRequest)
        #expect(fixture.sent.isEmpty)
        fixture.write(.upsert(batch("c", [1], dim: 3)))
        #expect(fixture.error?.code == .badRequest)
        #expect(fixture.sent.isEmpty)
    }

    /// What a client says it has checked was not checked.
    @Test func anOrderOfAClientIsRefused() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        let checked = try batch("c", [1, 2, 3]).validated(against: info("c").schema)
        let key = RequestKey(client: 5, sequence: 1)
        fixture.ask(.shardWrite(ShardWrite(key: key, operation: .upsert(checked))))
        #expect(fixture.error?.code == .badRequest)
        #expect(fixture.sent.isEmpty)
    }

    @Test func aBatchThatFillsAFrameLeavesNoRoomForTheOrder() throws {
        let schema = CollectionSchema(dim: 8192)
        let collection = CollectionInfo(name: "c", schema: schema)
        var fixture = try Fixture.ready(shards: 1, collections: [collection])
        let count = 2047
        var large = UpsertBatch(
            collection: "c",
            element: .f32,
            dim: 8192,
            ids: (0..<UInt64(count)).map { .number($0) },
            vectors: [UInt8](repeating: 0, count: count * schema.vectorByteCount)
        )
        let left = Limits.frameBodyByteCountMax - large.encodedByteCount
        large.ids[0] = .text("x")
        large.metadata = [[UInt8]](repeating: [], count: count)
        let object = { (byteCount: Int) in
            Array("{}".utf8) + [UInt8](repeating: UInt8(ascii: " "), count: byteCount - 2)
        }
        // With its head, its key and the operation's number the request fills a frame.
        let filling = left + 7 - 4 * count - 33
        large.metadata[0] = object(filling)
        let request = WriteRequest(
            key: RequestKey(client: 1, sequence: 1),
            operation: .upsert(large)
        )
        let isSent = Message.write(request).fitsFrame
        #expect(isSent)
        fixture.ask(.write(request))
        #expect(fixture.error?.code == .badRequest && fixture.sent.isEmpty)
        large.metadata[0] = object(filling - Limits.messageOverheadByteCount)
        fixture.write(.upsert(large), id: 2)
        let isOrdered = fixture.sent.first?.message.fitsFrame
        #expect(isOrdered == true)
    }

    @Test func failsThePartOfAShardThatIsNotReadyAndNeverReroutesIt() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(1)
        fixture.write(.upsert(batch("c", Array(1...10))))
        #expect(fixture.sent.map(\.shard) == [0])
        fixture.worker(0, fixture.sent[0].id, written(upserted: 5))
        #expect(fixture.writeReply?.counts.upserted == 5)
        #expect(fixture.writeReply?.coverage.failures.map(\.shard) == [1])
        #expect(fixture.writeReply?.coverage.failures.first?.error.code == .unavailable)
    }

    @Test func failsAWriteWholeWhenNoShardGotItsPart() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(1)
        fixture.write(.upsert(batch("c", numbers(on: 1, shards: 2, count: 3))))
        #expect(fixture.error?.code == .unavailable)
        #expect(fixture.core.pendingCount == 0)
    }

    @Test func aDeathWithAWriteInFlightMakesThatPartUnknown() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", Array(1...10))))
        let parts = fixture.sent
        fixture.worker(0, parts[0].id, written(upserted: 5))
        fixture.step(
            .workerConnectionLost(replica: ReplicaID(shard: 1), incarnation: 1, reason: "")
        )
        #expect(fixture.writeReply?.coverage.failures.map(\.shard) == [1])
        #expect(fixture.writeReply?.coverage.failures.first?.error.code == .unknownOutcome)
        // All parts unknown: so is the whole.
        fixture.write(.upsert(batch("c", numbers(on: 0, shards: 2))))
        fixture.exit(0)
        #expect(fixture.error?.code == .unknownOutcome)
    }

    @Test func aWriteWithoutAnswerIsUnknownAtItsDeadlineAndItsLateAnswerIsIgnored() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")]) {
            $0.timing.heartbeatTimeout = .max
        }
        fixture.write(.upsert(batch("c", [1])))
        let part = fixture.sent[0]
        fixture.tick(after: 29 * second)
        #expect(fixture.replies.isEmpty)
        fixture.tick(after: second)
        #expect(fixture.error?.code == .unknownOutcome)
        // Until the worker answers or dies, its queue still holds the write.
        #expect(fixture.core.workerRequestsInFlight(0) == 1)
        fixture.worker(0, part.id, written(upserted: 1))
        #expect(fixture.replies.isEmpty)
        #expect(fixture.core.ignoredReplyCount == 1)
        #expect(fixture.core.workerRequestsInFlight(0) == 0)
        #expect(fixture.core.workerBytesInFlight(0) == 0)
    }

    @Test func repeatedAndInventedAnswersAreIgnored() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", Array(1...10))))
        let parts = fixture.sent
        fixture.worker(0, parts[0].id, written(upserted: 5))
        fixture.worker(0, parts[0].id, written(upserted: 5))
        fixture.worker(0, parts[0].id + 1, written(upserted: 5))
        fixture.worker(0, 0, written(upserted: 5))
        #expect(fixture.core.ignoredReplyCount == 3)
        fixture.worker(1, parts[1].id, written(upserted: 5))
        #expect(fixture.writeReply?.counts.upserted == 10)
    }

    @Test func anAnswerOfAnOlderIncarnationIsDropped() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.exit(0)
        fixture.tick(after: 100 * millisecond)
        fixture.becomeReady(0, [info("c")])
        #expect(fixture.core.workerIncarnation(0) == 2)
        fixture.write(.upsert(batch("c", [1])))
        let part = fixture.sent[0]
        #expect(part.incarnation == 2)
        let envelope = Envelope(requestID: part.id, message: written(upserted: 1))
        fixture.step(.workerMessage(replica: ReplicaID(shard: 0), incarnation: 1, envelope))
        #expect(fixture.replies.isEmpty)
        fixture.worker(0, part.id, written(upserted: 1))
        #expect(fixture.writeReply?.counts.upserted == 1)
    }

    @Test func aWorkersRefusalIsPassedOnForItsPart() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", Array(1...10))))
        var parts = fixture.sent
        fixture.worker(0, parts[0].id, failure(.resourceExhausted))
        fixture.worker(1, parts[1].id, written(upserted: 5))
        #expect(fixture.writeReply?.coverage.failures.first?.error.code == .resourceExhausted)
        fixture.write(.upsert(batch("c", Array(1...10))))
        parts = fixture.sent
        fixture.worker(0, parts[0].id, failure(.resourceExhausted))
        fixture.worker(1, parts[1].id, failure(.resourceExhausted))
        #expect(fixture.error?.code == .resourceExhausted)
    }

    @Test func deletesAreRoutedAndAskedForEvenWhenTheCollectionIsGone() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        let ids = (1...6).map { RecordID.number($0) }
        fixture.write(.delete(collection: "c", ids: ids))
        #expect(fixture.sent.count == 2)
        fixture.write(.delete(collection: "gone", ids: ids), id: 2)
        let parts = fixture.sent
        #expect(parts.count == 2)
        for part in parts { fixture.worker(part.shard, part.id, failure(.notFound)) }
        #expect(fixture.error?.code == .notFound)
        fixture.write(.delete(collection: "c", ids: []), id: 3)
        #expect(fixture.writeReply?.counts == WriteCounts())
    }

    @Test func aLostClientsWriteGoesOnAndItsAnswerIsDroppedWithoutALeak() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", Array(1...10))))
        let parts = fixture.sent
        fixture.step(.clientClosed(client: 1))
        #expect(fixture.core.clientCount == 0)
        fixture.worker(0, parts[0].id, written(upserted: 5))
        fixture.worker(1, parts[1].id, written(upserted: 5))
        #expect(fixture.effects.isEmpty)
        #expect(fixture.core.pendingCount == 0)
        #expect(fixture.core.pendingByteCount == 0)
    }

    @Test func aClientThatEndedItsHalfGetsItsLastAnswerAndIsThenClosed() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.write(.upsert(batch("c", [1])), id: 8)
        let part = fixture.sent[0]
        fixture.step(.clientEnded(client: 1))
        #expect(fixture.effects.isEmpty)
        fixture.worker(0, part.id, written(upserted: 1))
        #expect(fixture.writeReply?.counts.upserted == 1)
        #expect(fixture.effects.last == .closeClient(client: 1))
        #expect(fixture.core.clientCount == 0)
    }
}
