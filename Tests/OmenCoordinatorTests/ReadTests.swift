import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct ReadTests {
    @Test func mergesTheShardsAnswersByDistanceThenIDQueryByQuery() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 3, count: 2)))
        let parts = fixture.sent
        fixture.worker(1, parts[1].id, hits([[(1, 0.5), (9, 2)], []]))
        #expect(fixture.replies.isEmpty)
        fixture.worker(0, parts[0].id, hits([[(4, 0.5), (2, 1)], [(6, 1)]]))
        let reply = fixture.searchReply
        #expect(reply?.hitCounts == [3, 1])
        #expect(reply?.hits.map(\.id) == [.number(1), .number(4), .number(2), .number(6)])
        #expect(reply?.coverage == Coverage(shardsTotal: 2))
        #expect(fixture.core.pendingCount == 0)
    }

    @Test func forwardsTheSameQueriesWithTheShardsShareOfTheWork() throws {
        var fixture = try Fixture.ready(shards: 8, collections: [info("c")])
        var wanted = query("c", k: 10)
        wanted.effort = .ef(80)
        fixture.ask(.search(wanted))
        wanted.timeoutMilliseconds = 2000
        let schema = info("c").schema
        let expected = try ShardOrder(ordered: wanted, schema, limit: 10, shardCount: 8)
        #expect(fixture.sent.map(\.message) == Array(repeating: .shardSearch(expected), count: 8))
    }

    @Test func answersInTheirFramesCountLikeDecodedOnes() throws {
        var decoded = try Fixture.ready(shards: 3, collections: [info("c")])
        var raw = decoded
        decoded.ask(.search(query("c", k: 3, count: 2)))
        raw.ask(.search(query("c", k: 3, count: 2)))
        let id = decoded.sent[0].id
        let answers = [
            hits([[(1, 0.5), (9, 2)], []]), hits([[(4, 0.5), (2, 1)], [(6, 1), (7, 1)]]),
            hits([[(3, 0.5), (5, 0.75), (8, 1)], [(10, .infinity)]]),
        ]
        for (shard, answer) in answers.enumerated() {
            decoded.worker(UInt32(shard), id, answer)
            raw.workerFrame(UInt32(shard), id, answer)
            #expect(raw.effects == decoded.effects)
        }
        // Distances of the first query: 0.5, 0.5, 0.5; of the second: 1, 1, infinity.
        #expect(
            raw.searchReply?.hits.map(\.id) == [1, 3, 4, 6, 7, 10].map { RecordID.number($0) }
        )
        // Nobody waits for it any more.
        raw.workerFrame(0, id, answers[0])
        #expect(raw.effects.isEmpty)
        #expect(raw.core.ignoredReplyCount == 1)
    }

    @Test func anAnswerOfAnotherShapeFailsItsShardAlsoInItsFrame() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 3, count: 2)))
        let id = fixture.sent[0].id
        var decoded = fixture
        decoded.worker(0, id, hits([[(1, 0.5)]]))
        decoded.worker(1, id, hits([[(2, 1)], []]))
        fixture.workerFrame(0, id, hits([[(1, 0.5)]]))
        fixture.workerFrame(1, id, hits([[(2, 1)], []]))
        #expect(fixture.effects == decoded.effects)
        #expect(fixture.searchReply?.coverage.failures.map(\.shard) == [0])
        #expect(fixture.searchReply?.hits.map(\.id) == [.number(2)])
    }

    @Test func hitsThatAnswerSomethingElseAreRefusedAlsoInTheirFrame() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.ask(.count(collection: "c"))
        let id = fixture.sent[0].id
        var decoded = fixture
        decoded.worker(0, id, hits([[(1, 0.5)]]))
        fixture.workerFrame(0, id, hits([[(1, 0.5)]]))
        #expect(fixture.effects == decoded.effects)
        #expect(fixture.error?.code == .protocolViolation)
    }

    @Test func numbersAndTextsOfDifferentShardsMerge() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 3)))
        let id = fixture.sent[0].id
        fixture.workerFrame(0, id, hits([[(1, 0.5), (9, 2)]]))
        let named = SearchReply(
            element: .f32,
            hitCounts: [2],
            hits: [Hit(id: .text("a"), distance: 0.5), Hit(id: .text("b"), distance: 1)],
            coverage: Coverage(shardsTotal: 1)
        )
        fixture.workerFrame(1, id, .hits(named))
        #expect(fixture.searchReply?.hits.map(\.id) == [.number(1), .text("a"), .text("b")])
    }

    @Test func aShorterTimeoutOfTheClientHoldsAndTravelsToTheShards() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        var hasty = query("c", k: 2)
        hasty.timeoutMilliseconds = 300
        fixture.ask(.search(hasty))
        let id = fixture.sent[0].id
        for sent in fixture.sent {
            guard case .shardSearch(let part) = sent.message else {
                Issue.record("\(sent.message.kind) was sent")
                continue
            }
            #expect(part.request.timeoutMilliseconds == 300)
        }
        fixture.workerFrame(0, id, hits([[(1, 1)]]))
        fixture.tick(after: 299 * millisecond)
        #expect(fixture.replies.isEmpty)
        fixture.tick(after: millisecond)
        #expect(fixture.searchReply?.coverage.failures.map(\.shard) == [1])
    }

    @Test func aMissingShardMakesTheAnswerPartialOrAnErrorAsTheClientChose() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(1)
        fixture.ask(.search(query("c", k: 2)))
        fixture.worker(0, fixture.sent[0].id, hits([[(1, 1)]]))
        #expect(fixture.searchReply?.coverage.failures.map(\.shard) == [1])
        #expect(fixture.searchReply?.coverage.isPartial == true)
        var strict = query("c", k: 2)
        strict.allowPartial = false
        fixture.ask(.search(strict), id: 2)
        #expect(fixture.error?.code == .unavailable)
        #expect(fixture.sent.isEmpty)
    }

    @Test func aShardThatDiesDuringAStrictSearchMakesItFail() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        var strict = query("c", k: 2)
        strict.allowPartial = false
        fixture.ask(.search(strict))
        fixture.worker(0, fixture.sent[0].id, hits([[(1, 1)]]))
        fixture.exit(1)
        #expect(fixture.error?.code == .unavailable)
    }

    @Test func withoutAnyShardASearchFailsAtOnce() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(0)
        fixture.exit(1)
        fixture.ask(.search(query("c", k: 2)))
        #expect(fixture.error?.code == .unavailable)
        fixture.ask(.listCollections)
        #expect(fixture.error?.code == .unavailable)
    }

    @Test func aShardThatIsSilentPastTheDeadlineIsNamed() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 2)))
        fixture.worker(0, fixture.sent[0].id, hits([[(1, 1)]]))
        fixture.tick(after: 1900 * millisecond)
        #expect(fixture.replies.isEmpty)
        fixture.tick(after: 100 * millisecond)
        #expect(fixture.searchReply?.hits.count == 1)
        #expect(fixture.searchReply?.coverage.failures.map(\.shard) == [1])
    }

    @Test func queriesOfWrongDimensionAndOfTooManyHitsAreRefused() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 1, dim: 3)))
        #expect(fixture.error?.code == .badRequest)
        fixture.ask(.search(query("c", k: 10_000, count: 10_000)))
        #expect(fixture.error?.code == .badRequest)
        #expect(fixture.core.pendingCount == 0)
    }

    @Test func anAnswerOfTheWrongShapeCountsAsMissing() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.search(query("c", k: 2, count: 2)))
        let parts = fixture.sent
        fixture.worker(0, parts[0].id, hits([[(1, 1)]]))
        fixture.worker(1, parts[1].id, hits([[(2, 1)], []]))
        #expect(fixture.searchReply?.hits.map(\.id) == [.number(2)])
        #expect(fixture.searchReply?.coverage.failures.map(\.shard) == [0])
    }

    @Test func recordsComeInTheOrderOfTheRequest() throws {
        var fixture = try Fixture.ready(shards: 4, collections: [info("c")])
        let wanted: [UInt64] = [9, 3, 12, 5, 1, 7, 3]
        let missing: UInt64 = 12
        fixture.ask(
            .get(
                GetRequest(
                    collection: "c",
                    ids: wanted.map { .number($0) },
                    withVector: false
                )
            )
        )
        for part in fixture.sent {
            guard case .get(let request) = part.message else { continue }
            #expect(
                request.ids
                    == wanted.filter { shard(of: $0, shards: 4) == part.shard }
                    .map { .number($0) }
            )
            let found = request.ids.filter { $0 != .number(missing) }
            let records = found.map { Record(id: $0, metadata: nil, vector: nil) }
            let reply = RecordsReply(element: .f32, records: records, coverage: .one)
            fixture.worker(part.shard, part.id, .records(reply))
        }
        guard case .records(let reply) = fixture.onlyReply else {
            Issue.record("no records")
            return
        }
        #expect(reply.records.map(\.id) == [9, 3, 5, 1, 7, 3].map { .number($0) })
        #expect(reply.coverage == Coverage(shardsTotal: 4))
    }

    @Test func countsAreSummed() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.count(collection: "c"))
        let parts = fixture.sent
        fixture.worker(0, parts[0].id, .counted(CountReply(count: 3, coverage: .one)))
        fixture.worker(1, parts[1].id, .counted(CountReply(count: .max, coverage: .one)))
        #expect(
            fixture.onlyReply
                == .counted(CountReply(count: .max, coverage: Coverage(shardsTotal: 2)))
        )
    }

    @Test func aListIsOneShardsToAnswer() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        let request = ListRequest(collection: "c", shard: 1, start: 7, order: 3)
        fixture.ask(.list(request))
        #expect(fixture.sent.map(\.shard) == [1])
        #expect(fixture.sent.map(\.message) == [.list(request)])
        let page = ListReply(order: 3, next: 9, ids: [.number(1), .text("x")])
        fixture.worker(1, fixture.sent[0].id, .listed(page))
        #expect(fixture.onlyReply == .listed(page))
    }

    @Test func aListInAnotherOrderOrOfNoShardIsAFailure() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.ask(.list(ListRequest(collection: "c", shard: 0, start: 7, order: 3)))
        let changed = OmenError(.unavailable, "another order")
        fixture.worker(0, fixture.sent[0].id, .failure(changed))
        #expect(fixture.onlyReply == .failure(changed))
        var other = try Fixture.ready(shards: 2, collections: [info("c")])
        other.ask(.list(ListRequest(collection: "c", shard: 2)))
        guard case .failure(let error) = other.onlyReply else {
            Issue.record("expected a failure")
            return
        }
        #expect(error.code == .badRequest)
    }
}
