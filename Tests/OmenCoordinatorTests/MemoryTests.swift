import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

private let mebibyte = 1 << 20

@Suite struct FrameLedgerTests {
    private let ordinary = Limits.firstFrameGrantByteCount
    private let large = Limits.frameBodyByteCountMax

    private func grant(
        _ ledger: inout FrameLedger,
        _ client: UInt64,
        _ byteCount: Int,
        of frameByteCount: Int,
        isProven: Bool = false
    ) -> Bool {
        ledger.grant(client, byteCount, of: frameByteCount, isProven: isProven)
    }

    @Test func ordinaryFramesHaveRoomBesideAnyNumberOfLargeOnes() {
        var ledger = FrameLedger(memoryLimit: 1024 * mebibyte)
        var taken = 0
        for client in 1...100 as ClosedRange<UInt64> {
            if grant(&ledger, client, large, of: large) { taken += 1 }
        }
        // Three share the quarter, less the memory of the exempt one.
        #expect(taken == 4)
        #expect(ledger.exempt == 4)
        #expect(ledger.isContended)
        #expect(grant(&ledger, 200, ordinary, of: ordinary))
        #expect(ledger.ordinaryByteCount == ordinary)
    }

    @Test func whatIsGrantedStaysWithinTheLimitWhoeverAsks() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var generator = SplitMix64(seed: seed)
            var ledger = FrameLedger(memoryLimit: 512 * mebibyte)
            var held: [UInt64: Int] = [:]
            for _ in 0..<5000 {
                let client = UInt64.random(in: 1...40, using: &generator)
                if Int.random(in: 0..<3, using: &generator) == 0 {
                    ledger.release(client)
                    held[client] = nil
                    continue
                }
                let frame = Int.random(in: 1...large, using: &generator)
                let byteCount = Int.random(in: 1...frame, using: &generator)
                let isProven = Bool.random(using: &generator)
                if grant(&ledger, client, byteCount, of: frame, isProven: isProven) {
                    held[client] = byteCount > Limits.connectionByteCount ? byteCount : nil
                }
                let sum = held.values.reduce(0, +)
                #expect(sum <= 512 * mebibyte / 8 * 3, "seed \(seed)")
            }
        }
    }

    @Test func aFrameThatHasBegunCanAlwaysBecomeWholeInItsTurn() {
        // The smallest limit has memory for one large frame only.
        var ledger = FrameLedger(memoryLimit: Limits.memoryLimitMin)
        let clients = Array(1...10 as ClosedRange<UInt64>)
        for client in clients { _ = grant(&ledger, client, 2 * mebibyte, of: large) }
        #expect(ledger.exempt == 1)
        for client in clients {
            var granted = 2 * mebibyte
            while granted < large {
                granted = FrameLedger.step(granted: granted, of: large)
                #expect(grant(&ledger, client, granted, of: large), "client \(client)")
            }
            ledger.release(client)
            if let next = ledger.waiting.first {
                #expect(next == client + 1)
                #expect(grant(&ledger, next, 2 * mebibyte, of: large))
            }
        }
        #expect(!ledger.isContended)
        #expect(ledger.largeByteCount == 0 && ledger.ordinaryByteCount == 0)
    }

    @Test func clientsThatHaveSentWholeFramesComeFirst() {
        var ledger = FrameLedger(memoryLimit: Limits.memoryLimitMin)
        #expect(grant(&ledger, 1, large, of: large))
        #expect(!grant(&ledger, 2, large, of: large))
        #expect(!grant(&ledger, 3, large, of: large, isProven: true))
        #expect(!grant(&ledger, 4, large, of: large, isProven: true))
        #expect(!grant(&ledger, 3, large, of: large, isProven: true))
        #expect(ledger.waiting == [3, 4, 2])
        ledger.release(3)
        #expect(!grant(&ledger, 5, large, of: large, isProven: true))
        #expect(ledger.waiting == [4, 5, 2])
        ledger.release(1)
        #expect(!grant(&ledger, 2, large, of: large))
        #expect(grant(&ledger, 4, large, of: large, isProven: true))
    }
}

@Suite struct MemoryBudgetTests {
    @Test func aClientOverItsShareWaitsAndOneThatUsesNothingIsAnswered() {
        var budget = MemoryBudget(memoryLimit: 256 * mebibyte)
        #expect(budget.mayHandle(byteCount: mebibyte, used: mebibyte))
        #expect(!budget.mayHandle(byteCount: mebibyte, used: 32 * mebibyte))
        budget.charge(47 * mebibyte)
        #expect(!budget.isContended)
        #expect(!budget.mayHandle(byteCount: 2 * mebibyte, used: mebibyte))
        #expect(budget.mayHandle(byteCount: 2 * mebibyte, used: 0))
        budget.changeReplies(by: 2 * mebibyte)
        #expect(budget.isContended)
        #expect(budget.hasRoom(for: 40 * mebibyte) == false)
        #expect(budget.hasRoom(for: 30 * mebibyte))
    }

    @Test func smallRequestsFitWhereLargeOnesDoNot() {
        var budget = MemoryBudget(memoryLimit: 256 * mebibyte)
        budget.charge(84 * mebibyte)
        #expect(!budget.hasRoom(for: 2 * mebibyte))
        #expect(budget.hasRoom(for: mebibyte))
        budget.settle(84 * mebibyte)
        // Larger than everything: alone rather than never.
        #expect(budget.hasRoom(for: 1000 * mebibyte))
        budget.charge(1)
        #expect(!budget.hasRoom(for: 1000 * mebibyte))
    }
}

@Suite struct AnswerMemoryTests {
    @Test func aRequestWhoseAnswersDoNotFitEndsWithAFailureAndGivesItsMemoryBack() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")]) {
            $0.memoryLimit = Limits.memoryLimitMin
        }
        let ids = numbers(on: 0, shards: 2, count: 1) + numbers(on: 1, shards: 2, count: 1)
        let get = GetRequest(collection: "c", ids: ids.map { .number($0) }, withVector: false)
        fixture.ask(.get(get))
        let parts = fixture.sent
        let record = Record(
            id: .number(ids[0]),
            metadata: [UInt8](repeating: 32, count: 100 * mebibyte),
            vector: nil
        )
        let reply = RecordsReply(
            element: .f32,
            records: [record],
            coverage: Coverage(shardsTotal: 1)
        )
        fixture.worker(0, parts[0].id, .records(reply))
        #expect(fixture.error?.code == .resourceExhausted)
        #expect(fixture.error?.retryAfterMilliseconds ?? 0 > 0)
        #expect(fixture.core.pendingCount == 0)
        #expect(fixture.core.pendingByteCount == 0)
        let empty = RecordsReply(element: .f32, records: [], coverage: Coverage(shardsTotal: 1))
        fixture.worker(1, parts[1].id, .records(empty))
        #expect(fixture.effects.isEmpty)
    }

    @Test func everyRequestIsChargedToItsClientAndSettled() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.ask(.count(collection: "c"))
        let part = fixture.sent[0]
        #expect(fixture.core.pendingByteCount > 0)
        #expect(!fixture.core.mayHandle(client: 1, byteCount: 1 << 30))
        #expect(fixture.core.mayHandle(client: 1, byteCount: 1000))
        fixture.worker(0, part.id, .counted(CountReply(count: 1, coverage: .one)))
        #expect(fixture.core.pendingByteCount == 0)
        // It uses nothing: the request is handled, whatever becomes of it.
        #expect(fixture.core.mayHandle(client: 1, byteCount: 1 << 30))
        fixture.core.noteReplies(client: 1, byteCount: 1000)
        #expect(!fixture.core.mayHandle(client: 1, byteCount: 1 << 30))
        fixture.step(.clientClosed(client: 1))
        #expect(fixture.core.memory.replyByteCount == 0)
    }

    @Test func bytesThatGrowBeyondAFrameAsFloatsAreRefusedBeforeTheyAreConverted() throws {
        let wide = CollectionInfo(name: "w", schema: CollectionSchema(dim: 8192))
        var fixture = try Fixture.ready(shards: 8, collections: [wide])
        let batch = UpsertBatch(
            collection: "w",
            element: .u8,
            dim: 8192,
            ids: (0..<2100).map { .number($0) },
            vectors: [UInt8](repeating: 1, count: 2100 * 8192)
        )
        fixture.write(.upsert(batch))
        #expect(fixture.error?.code == .badRequest)
        #expect(fixture.error?.message.contains("send fewer") == true)
    }
}

@Suite struct MetadataEstimateTests {
    private let get = Message.get(
        GetRequest(collection: "c", ids: (0..<100).map { .number($0) }, withVector: false)
    )

    private func records(_ byteCount: Int, count: Int) -> Message {
        let records = (0..<count).map { index in
            Record(
                id: .number(UInt64(index)),
                metadata: byteCount == 0 ? nil : [UInt8](repeating: 32, count: byteCount),
                vector: nil
            )
        }
        let coverage = Coverage(shardsTotal: 1)
        return .records(RecordsReply(element: .f32, records: records, coverage: coverage))
    }

    @Test func unknownMetadataIsChargedAsTheLargestAndThenAsWhatItIs() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.ask(get)
        #expect(fixture.core.pendingByteCount > 100 * Limits.metadataByteCountMax)
        fixture.worker(0, fixture.sent[0].id, records(1000, count: 100))
        fixture.ask(get, id: 2)
        #expect((100_000...200_000).contains(fixture.core.pendingByteCount))
        fixture.worker(0, fixture.sent[0].id, records(0, count: 100))
        // Large ones are believed at once, small ones slowly.
        fixture.ask(get, id: 3)
        #expect((100_000...200_000).contains(fixture.core.pendingByteCount))
        fixture.worker(0, fixture.sent[0].id, records(50_000, count: 1))
        fixture.ask(get, id: 4)
        #expect(fixture.core.pendingByteCount > 5_000_000)
    }

    @Test func searchesOfACollectionWithoutMetadataLearnThatItHasNone() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        var query = query("c", k: 10)
        query.withMetadata = true
        fixture.ask(.search(query))
        #expect(fixture.core.pendingByteCount > 10 * Limits.metadataByteCountMax)
        fixture.workerFrame(0, fixture.sent[0].id, hits([[(1, 1)]]))
        fixture.ask(.search(query), id: 2)
        #expect(fixture.core.pendingByteCount < 10_000)
    }

    @Test func upsertsTellWhatMetadataTakes() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        var upsert = batch("c", [1, 2])
        upsert.metadata = [Array(#"{"a":1}"#.utf8), []]
        fixture.write(.upsert(upsert))
        fixture.worker(0, fixture.sent[0].id, written(upserted: 2))
        fixture.ask(get, id: 2)
        #expect(fixture.core.pendingByteCount < 100_000)
    }
}
