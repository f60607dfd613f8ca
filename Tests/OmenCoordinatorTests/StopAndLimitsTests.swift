import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct StopTests {
    @Test func finishesWhatIsInFlightThenStopsTheWorkersThenAnswers() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.upsert(batch("c", numbers(on: 0, shards: 2))), id: 1)
        let part = fixture.sent[0]
        fixture.ask(.stop, id: 2)
        #expect(fixture.effects.contains(.stopListening))
        #expect(fixture.sent.isEmpty)
        fixture.write(.upsert(batch("c", [5])), id: 3)
        #expect(fixture.error?.code == .unavailable)
        fixture.worker(0, part.id, written(upserted: 1))
        #expect(fixture.writeReply?.counts.upserted == 1)
        let stops = fixture.sent
        #expect(stops.map(\.message) == [.stop, .stop])
        #expect(fixture.core.workerState(0) == .draining)
        fixture.worker(0, stops[0].id, .done)
        fixture.step(
            .workerConnectionLost(replica: ReplicaID(shard: 0), incarnation: 1, reason: "ended")
        )
        // Closing its files may take a moment longer.
        fixture.tick(after: second)
        #expect(!fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        fixture.exit(0, status: 0, signal: 0)
        #expect(fixture.replies.isEmpty)
        fixture.exit(1, status: 0, signal: 0)
        #expect(fixture.replies.map(\.requestID) == [2])
        #expect(fixture.onlyReply == .done)
        #expect(fixture.effects.last == .finished(exitCode: 0))
        #expect(fixture.core.isFinished)
        #expect(fixture.core.pendingCount == 0)
    }

    @Test func asksWorkersToStopEvenWhenRequestsDoNotEnd() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.write(.upsert(batch("c", [1])))
        fixture.step(.stopRequested(signal: 15))
        #expect(fixture.sent.isEmpty)
        fixture.tick(after: 5 * second)
        #expect(fixture.sent.map(\.message).contains(.stop))
    }

    @Test func killsAWorkerThatDoesNotStopInTime() throws {
        var fixture = try Fixture.ready(shards: 1) {
            $0.timing.heartbeatTimeout = 1000 * second
            $0.timing.tickGapMax = 1000 * second
        }
        fixture.ask(.stop)
        fixture.tick(after: 119 * second)
        #expect(!fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        fixture.tick(after: second)
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        fixture.exit(0)
        #expect(fixture.onlyReply == .done)
        #expect(fixture.effects.last == .finished(exitCode: 1))
    }

    @Test func startsNothingWhileItStops() throws {
        var fixture = try Fixture.ready(shards: 3)
        fixture.exit(2)
        fixture.step(.stopRequested(signal: 15))
        fixture.exit(1, signal: 6)
        fixture.tick(after: second)
        #expect(fixture.core.workerState(1) == .dead)
        #expect(fixture.core.workerState(2) == .dead)
        fixture.exit(0, status: 0, signal: 0)
        #expect(fixture.effects.last == .finished(exitCode: 1))
    }

    @Test func aRecoveringWorkerIsKilledBecauseItsLogHasEverything() throws {
        var fixture = try Fixture(shards: 1)
        fixture.step(.started)
        fixture.announce(0, .recovering)
        fixture.step(.stopRequested(signal: 2))
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        fixture.exit(0)
        #expect(fixture.effects.last == .finished(exitCode: 0))
    }

    @Test func aSecondSignalDoesNotWaitForCheckpoints() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.step(.stopRequested(signal: 15))
        #expect(fixture.core.workerState(0) == .draining)
        fixture.step(.stopRequested(signal: 15))
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        fixture.exit(0)
        #expect(fixture.core.isFinished)
    }

    @Test func checkpointsAllShardsOrNamesThoseThatDidNot() throws {
        var fixture = try Fixture.ready(shards: 2)
        fixture.ask(.checkpoint)
        for part in fixture.sent { fixture.worker(part.shard, part.id, .done) }
        #expect(fixture.onlyReply == .done)
        fixture.exit(1)
        fixture.ask(.checkpoint, id: 2)
        #expect(fixture.sent.map(\.shard) == [0])
        fixture.worker(0, fixture.sent[0].id, .done)
        #expect(fixture.error?.code == .unavailable)
        #expect(fixture.error?.message.contains("[1]") == true)
    }
}

@Suite struct LimitsTests {
    @Test func refusesMoreRequestsThanMayBeInFlightAtOnce() throws {
        var fixture = try Fixture.ready(shards: 64, collections: [info("c")])
        // Spread over the shards, so that no worker's limit is met first.
        let ids = (0..<64).map { numbers(on: $0, shards: 64)[0] }
        for index in 0..<Limits.requestsInFlightMax {
            let get = GetRequest(
                collection: "c",
                ids: [.number(ids[index % 64])],
                withVector: false
            )
            fixture.ask(.get(get), id: UInt64(index), client: fixture.client(of: index))
            try #require(fixture.replies.isEmpty)
        }
        fixture.ask(.count(collection: "c"), id: 9999)
        #expect(fixture.error?.code == .resourceExhausted)
        // The cluster can still be looked at.
        fixture.ask(.status, id: 10_000)
        #expect(fixture.sent.count == 64)
        fixture.ask(.ping, id: 10_001)
        #expect(fixture.onlyReply == .done)
        fixture.tick(after: 2 * second)
        #expect(fixture.core.pendingCount == 0)
        #expect(fixture.core.pendingByteCount == 0)
    }

    @Test func oneClientMayNotFillAWorkerAlone() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        for index in 0..<Limits.clientRequestsInFlightMax {
            fixture.ask(.count(collection: "c"), id: UInt64(index))
            try #require(fixture.replies.isEmpty)
        }
        fixture.ask(.count(collection: "c"), id: 5000)
        #expect(fixture.error?.code == .resourceExhausted)
        fixture.ask(.count(collection: "c"), id: 5001, client: fixture.client(of: 512))
        #expect(fixture.replies.isEmpty)
    }

    @Test func aFullWorkerRefusesReadsAndWritesWholeAndSaysWhenToComeBack() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        let id = RecordID.number(numbers(on: 0, shards: 2)[0])
        let places = Limits.workerRequestsInFlightMax
        for index in 0..<places - places / 8 {
            let get = GetRequest(collection: "c", ids: [id], withVector: false)
            fixture.ask(.get(get), id: UInt64(index), client: fixture.client(of: index))
            try #require(fixture.replies.isEmpty)
        }
        let other: UInt64 = 900
        fixture.step(.clientConnected(client: other))
        // The other shard has room, and a partial answer would cost it as much as a whole one.
        for message in [
            Message.search(query("c", k: 1)), .count(collection: "c"),
            .get(GetRequest(collection: "c", ids: [id], withVector: false)),
        ] {
            fixture.ask(message, id: 5001, client: other)
            #expect(fixture.error?.code == .resourceExhausted)
            #expect(fixture.error?.retryAfterMilliseconds ?? 0 > 0)
            #expect(fixture.sent.isEmpty)
        }
        // The rest of the places is for writes.
        let one = batch("c", numbers(on: 0, shards: 2))
        for index in 0..<places / 8 {
            fixture.write(.upsert(one), id: UInt64(6000 + index), client: other)
            try #require(fixture.replies.isEmpty)
        }
        fixture.write(.upsert(batch("c", Array(1...10))), id: 7000, client: other)
        #expect(fixture.error?.code == .resourceExhausted)
        #expect(fixture.error?.retryAfterMilliseconds ?? 0 > 0)
        #expect(fixture.sent.isEmpty)
    }

    @Test func aTimedOutRequestStillFillsItsWorkerUntilItDies() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        let places = Limits.workerRequestsInFlightMax
        for index in 0..<places - places / 8 {
            fixture.ask(
                .count(collection: "c"),
                id: UInt64(index),
                client: fixture.client(of: index)
            )
        }
        fixture.tick(after: 2 * second)
        #expect(fixture.core.pendingCount == 0)
        fixture.ask(.count(collection: "c"), id: 5000)
        #expect(fixture.error?.code == .resourceExhausted)
        fixture.exit(0)
        #expect(fixture.core.workerRequestsInFlight(0) == 0)
    }

    @Test func bytesInFlightAreBounded() throws {
        let wide = CollectionInfo(name: "w", schema: CollectionSchema(dim: 8192))
        var fixture = try Fixture.ready(shards: 1, collections: [wide])
        let big = UpsertBatch(
            collection: "w",
            element: .f32,
            dim: 8192,
            ids: (0..<600).map { .number($0) },
            vectors: [UInt8](repeating: 0, count: 600 * 8192 * 4)
        )
        var taken = 0
        while taken < 100 {
            fixture.write(.upsert(big), id: UInt64(taken + 1))
            if fixture.error != nil { break }
            taken += 1
        }
        #expect(fixture.error?.code == .resourceExhausted)
        #expect(taken == Limits.workerBytesInFlightMax / big.vectors.count)
        #expect(fixture.core.workerBytesInFlight(0) <= Limits.workerBytesInFlightMax)
        fixture.exit(0)
        #expect(fixture.core.pendingByteCount == 0)
    }

    @Test func tooManyConnectionsAreRefused() throws {
        var fixture = try Fixture.ready(shards: 1)
        for client in 2...UInt64(Limits.connectionCountMax) {
            fixture.step(.clientConnected(client: client))
            #expect(fixture.effects.isEmpty)
        }
        fixture.step(.clientConnected(client: 5000))
        #expect(fixture.error?.code == .resourceExhausted)
        #expect(fixture.effects.last == .closeClient(client: 5000))
    }

    @Test func aClientThatSendsAReplyIsToldAndClosedAloneWithItsRequestsDropped() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.step(.clientConnected(client: 2))
        fixture.ask(.count(collection: "c"), id: 4)
        let part = fixture.sent[0]
        fixture.ask(.done, id: 5)
        #expect(fixture.error?.code == .protocolViolation)
        #expect(fixture.effects.last == .closeClient(client: 1))
        #expect(fixture.core.clientCount == 1)
        fixture.worker(0, part.id, .counted(CountReply(count: 1, coverage: .one)))
        #expect(fixture.effects.isEmpty)
        #expect(fixture.core.pendingCount == 0)
    }

    @Test func aRequestThatWasRefusedWhenDecodedIsAnsweredWithItsError() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.ask(failure(.badRequest, "k is 0"), id: 6)
        #expect(fixture.error == OmenError(.badRequest, "k is 0"))
        #expect(fixture.core.clientCount == 1)
    }
}
