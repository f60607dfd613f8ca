import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct SchemaTests {
    private func operation(_ sent: Sent) -> WriteOperation? {
        guard case .shardWrite(let write) = sent.message else { return nil }
        return write.operation.operation
    }

    private func key(_ sent: Sent) -> RequestKey? {
        guard case .shardWrite(let write) = sent.message else { return nil }
        return write.key
    }

    @Test func theFirstUpsertCreatesTheCollectionEverywhereBeforeItsParts() throws {
        var fixture = try Fixture.ready(shards: 2)
        let ids = numbers(on: 0, shards: 2, count: 3)
        fixture.write(.upsert(batch("new", ids)))
        let sent = fixture.sent
        let create = WriteOperation.createCollection(
            name: "new",
            schema: CollectionSchema(dim: 2)
        )
        #expect(sent.map(\.shard) == [0, 1, 0])
        #expect(sent.compactMap(operation) == [create, create, .upsert(batch("new", ids))])
        // Keys of their own: the client's belongs to its upsert.
        #expect(key(sent[0])?.client == 0xC00D)
        #expect(key(sent[0]) != key(sent[1]))
        #expect(key(sent[2])?.client == 1001)
        fixture.worker(0, sent[0].id, written())
        fixture.worker(0, sent[2].id, written(upserted: 3))
        // Acknowledged only once the collection is everywhere.
        #expect(fixture.replies.isEmpty)
        fixture.worker(1, sent[1].id, written())
        #expect(fixture.writeReply?.counts.upserted == 3)
        #expect(fixture.core.collections == [info("new")])
    }

    @Test func pipelinedUpsertsBehindTheFirstCreateNothingAgain() throws {
        var fixture = try Fixture.ready(shards: 2)
        fixture.write(.upsert(batch("new", Array(1...8))))
        fixture.write(.upsert(batch("new", Array(9...16))), id: 2)
        #expect(fixture.sent.count == 2)
        fixture.write(.upsert(batch("new", [1], dim: 3)), id: 3)
        #expect(fixture.error?.code == .badRequest)
    }

    @Test func aFailedCreationIsTheReasonOfThePartsThatFailBehindIt() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.write(.upsert(batch("new", [1])))
        let sent = fixture.sent
        fixture.worker(0, sent[0].id, failure(.ioFailure, "disk full"))
        fixture.worker(0, sent[1].id, failure(.notFound))
        #expect(fixture.error?.code == .ioFailure)
        #expect(fixture.core.collections.isEmpty)
    }

    /// A full disk kept one shard from its part of a creation.
    ///
    /// Another client's upsert was refused for good: "notFound: collection c does not exist".
    @Test func writesToAShardThatMissedTheCreationAreToBeRepeated() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.write(.upsert(batch("new", [1])))
        let first = fixture.sent
        fixture.write(.upsert(batch("new", [2])), id: 2)
        let second = fixture.sent
        fixture.write(.delete(collection: "new", ids: [.number(1)]), id: 3)
        let third = fixture.sent
        fixture.worker(0, first[0].id, failure(.resourceExhausted, "disk full"))
        fixture.worker(0, first[1].id, failure(.notFound))
        #expect(fixture.error?.code == .resourceExhausted)
        fixture.worker(0, second[0].id, failure(.notFound))
        #expect(fixture.error?.code == .unavailable)
        fixture.worker(0, third[0].id, failure(.notFound))
        #expect(fixture.error?.code == .unavailable)
    }

    @Test func schemaChangesNeedAllShardsAndElseApplyNothing() throws {
        var fixture = try Fixture.ready(shards: 3, collections: [info("c")])
        fixture.exit(2)
        let schema = CollectionSchema(dim: 2)
        let operations: [WriteOperation] = [
            .createCollection(name: "d", schema: schema), .dropCollection(name: "c"),
            .clearCollection(name: "c"), .upsert(batch("d", [1])),
            .calibrate(QuerySample(collection: "c", element: .f32, dim: 0, vectors: [])),
        ]
        for operation in operations {
            fixture.write(operation)
            #expect(fixture.error?.code == .unavailable)
            #expect(fixture.sent.isEmpty)
        }
        #expect(fixture.core.collections == [info("c")])
    }

    @Test func aSampleGoesToEveryShardAsItIsStored() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        var sample = QuerySample(collection: "c", element: .u8, dim: 2, vectors: Array(0..<40))
        fixture.write(.calibrate(sample))
        let valid = try sample.validated(against: info("c").schema)
        #expect(valid.sample.element == .f32 && valid.sample.count == 20)
        #expect(fixture.sent.map(\.shard) == [0, 1])
        for sent in fixture.sent {
            guard case .shardWrite(let write) = sent.message else {
                Issue.record("\(sent.message)")
                continue
            }
            #expect(write.operation == .calibrate(valid))
            fixture.worker(sent.shard, sent.id, written())
        }
        #expect(fixture.writeReply?.coverage == Coverage(shardsTotal: 2))
        sample.dim = 4
        fixture.write(.calibrate(sample), id: 2)
        #expect(fixture.error?.code == .badRequest && fixture.sent.isEmpty)
        sample.collection = "x"
        fixture.write(.calibrate(sample), id: 3)
        #expect(fixture.error?.code == .notFound && fixture.sent.isEmpty)
    }

    @Test func createsExplicitlyOnceAndRefusesAnotherSchema() throws {
        var fixture = try Fixture.ready(shards: 2)
        let create = WriteOperation.createCollection(name: "c", schema: CollectionSchema(dim: 2))
        fixture.write(create)
        for sent in fixture.sent { fixture.worker(sent.shard, sent.id, written()) }
        #expect(fixture.writeReply?.coverage == Coverage(shardsTotal: 2))
        fixture.write(create, id: 2)
        #expect(fixture.sent.isEmpty)
        #expect(fixture.writeReply?.coverage == Coverage(shardsTotal: 2))
        fixture.write(.createCollection(name: "c", schema: CollectionSchema(dim: 3)), id: 3)
        #expect(fixture.error?.code == .alreadyExists)
        fixture.write(.createCollection(name: "../c", schema: CollectionSchema(dim: 3)), id: 4)
        #expect(fixture.error?.code == .badRequest)
    }

    @Test func aDropIsReadBackFromEachShardBeforeItIsAnswered() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c"), info("d")])
        fixture.write(.dropCollection(name: "c"))
        let drops = fixture.sent
        fixture.ask(.count(collection: "c"), id: 2)
        #expect(fixture.error?.code == .unavailable)
        var lists: [Sent] = []
        for drop in drops {
            fixture.worker(drop.shard, drop.id, written(deleted: 4))
            lists += fixture.sent
        }
        #expect(lists.map(\.message) == [.listCollections, .listCollections])
        for list in lists { fixture.worker(list.shard, list.id, .collections([info("d")])) }
        #expect(fixture.writeReply?.counts.deleted == 8)
        #expect(fixture.core.collections == [info("d")])
        fixture.ask(.count(collection: "c"), id: 3)
        #expect(fixture.error?.code == .notFound)
    }

    @Test func aRepeatedDropDoesNotHideTheCollectionCreatedSince() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.dropCollection(name: "c"))
        // The shards recognise the key and do nothing.
        for drop in fixture.sent {
            fixture.worker(drop.shard, drop.id, written(deleted: 4))
            let list = fixture.sent[0]
            fixture.worker(list.shard, list.id, .collections([info("c")]))
        }
        #expect(fixture.writeReply?.counts.deleted == 8)
        #expect(fixture.core.collections == [info("c")])
        fixture.ask(.count(collection: "c"), id: 2)
        #expect(fixture.sent.count == 2)
    }

    @Test func aDropThatOneShardMissedIsFinishedWhenItComesBack() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.dropCollection(name: "c"))
        let drops = fixture.sent
        fixture.worker(0, drops[0].id, written(deleted: 4))
        let list = fixture.sent[0]
        fixture.worker(0, list.id, .collections([]))
        fixture.exit(1)
        #expect(fixture.writeReply?.coverage.failures.first?.error.code == .unknownOutcome)
        #expect(fixture.core.collections.isEmpty)
        fixture.tick(after: 100 * millisecond)
        fixture.becomeReady(1, [info("c")])
        // Dropped there, not created here.
        #expect(fixture.sent.compactMap(operation) == [.dropCollection(name: "c")])
        #expect(fixture.sent.map(\.shard) == [1])
        let drop = fixture.sent[0]
        // Under the client's key, so that the client's own repetition is known there.
        #expect(key(drop) == RequestKey(client: 1001, sequence: 1))
        fixture.ask(.count(collection: "c"), id: 2)
        #expect(fixture.error?.code == .unavailable)
        fixture.worker(1, drop.id, written(deleted: 5))
        #expect(fixture.sent.map(\.message) == [.listCollections])
        fixture.worker(1, fixture.sent[0].id, .collections([]))
        fixture.ask(.count(collection: "c"), id: 3)
        #expect(fixture.error?.code == .notFound)
    }

    @Test func finishingADropKeepsWhatAShardThatHasDoneItHasSince() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.write(.dropCollection(name: "c"))
        let drops = fixture.sent
        fixture.worker(0, drops[0].id, written(deleted: 4))
        fixture.worker(0, fixture.sent[0].id, .collections([]))
        fixture.exit(1)
        fixture.tick(after: 100 * millisecond)
        fixture.becomeReady(1, [info("c")])
        fixture.worker(1, fixture.sent[0].id, written(deleted: 5))
        fixture.worker(1, fixture.sent[0].id, .collections([info("c")]))
        // It is a later collection: the other shard gets it, too.
        let create = WriteOperation.createCollection(name: "c", schema: CollectionSchema(dim: 2))
        #expect(fixture.sent.map(\.shard) == [0])
        #expect(fixture.sent.compactMap(operation) == [create])
        #expect(fixture.core.collections == [info("c")])
    }

    @Test func aDropIsNotedBeforeAnyShardIsTold() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.storesDirectory = false
        fixture.write(.dropCollection(name: "c"))
        let note = [UnfinishedDrop(name: "c", key: RequestKey(client: 1001, sequence: 1))]
        #expect(fixture.effects == [.storeDrops(note)])
        // Another drop of it has to wait, whosever it is.
        fixture.write(.dropCollection(name: "c"), id: 2)
        #expect(fixture.error?.code == .unavailable)
        fixture.step(.dropsStored)
        #expect(fixture.sent.compactMap(operation).count == 2)
        var lists: [Sent] = []
        for drop in fixture.sent {
            fixture.worker(drop.shard, drop.id, written(deleted: 4))
            lists += fixture.sent
        }
        for list in lists { fixture.worker(list.shard, list.id, .collections([])) }
        #expect(fixture.writeReply?.counts.deleted == 8)
        #expect(fixture.effects.contains(.storeDrops([])))
        // Every shard knows its key: the name may be used at once.
        fixture.write(.upsert(batch("c", [1])), id: 3)
        #expect(fixture.sent.count == 3)
    }

    @Test func aDropThatCannotBeNotedFailsAndNothingIsDropped() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.storesDirectory = false
        fixture.write(.dropCollection(name: "c"))
        fixture.step(.dropsNotStored(reason: "disk full"))
        #expect(fixture.error?.code == .ioFailure)
        #expect(fixture.sent.isEmpty)
        #expect(fixture.core.collections == [info("c")])
    }

    @Test func aDropThatAnEarlierCoordinatorBeganIsFinishedUnderItsKey() throws {
        let key = RequestKey(client: 77, sequence: 5)
        var fixture = try Fixture(shards: 2) {
            $0.unfinishedDrops = [UnfinishedDrop(name: "c", key: key)]
        }
        fixture.step(.started)
        fixture.becomeReady(0)
        fixture.becomeReady(1, [info("c")])
        // Not created on the first shard: dropped on the second.
        #expect(fixture.sent.map(\.shard) == [1])
        #expect(fixture.sent.compactMap(operation) == [.dropCollection(name: "c")])
        #expect(self.key(fixture.sent[0]) == key)
        fixture.step(.clientConnected(client: 1))
        fixture.storedDrops = [UnfinishedDrop(name: "c", key: key)]
        fixture.write(.upsert(batch("c", [1])))
        #expect(fixture.error?.code == .unavailable)
    }

    @Test func aDropThatAnEarlierCoordinatorBeganAndFinishedIsForgotten() throws {
        let key = RequestKey(client: 77, sequence: 5)
        var fixture = try Fixture(shards: 2) {
            $0.unfinishedDrops = [UnfinishedDrop(name: "c", key: key)]
        }
        fixture.storedDrops = [UnfinishedDrop(name: "c", key: key)]
        fixture.step(.started)
        fixture.becomeReady(0)
        #expect(!fixture.storedDrops.isEmpty)
        fixture.becomeReady(1)
        #expect(fixture.storedDrops.isEmpty)
    }

    @Test func aDropThatWasNotAnsweredInTimeIsLookedForBehindIt() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")]) {
            $0.timing.heartbeatTimeout = 1000 * second
        }
        fixture.write(.dropCollection(name: "c"))
        let drop = fixture.sent[0]
        fixture.tick(after: 30 * second)
        #expect(fixture.error?.code == .unknownOutcome)
        let sent = fixture.sent.filter { $0.message != .ping }
        #expect(sent.map(\.message).contains(.listCollections))
        fixture.worker(0, drop.id, written(deleted: 4))
        for request in sent {
            let isList = request.message == .listCollections
            fixture.worker(0, request.id, isList ? .collections([]) : written(deleted: 4))
            for verify in fixture.sent { fixture.worker(0, verify.id, .collections([])) }
        }
        fixture.ask(.count(collection: "c"), id: 2)
        #expect(fixture.error?.code == .notFound)
    }

    @Test func aWorkerThatLacksACollectionGetsItBeforeAnythingElse() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(1)
        fixture.tick(after: 100 * millisecond)
        fixture.becomeReady(1, [])
        let create = WriteOperation.createCollection(name: "c", schema: CollectionSchema(dim: 2))
        #expect(fixture.sent.compactMap(operation) == [create])
        let sent = fixture.sent[0]
        // What is asked meanwhile follows on the same stream, and "not there yet" means empty.
        fixture.ask(.count(collection: "c"))
        let counts = fixture.sent
        fixture.worker(0, counts[0].id, .counted(CountReply(count: 3, coverage: .one)))
        fixture.worker(1, counts[1].id, failure(.notFound))
        #expect(
            fixture.onlyReply
                == .counted(CountReply(count: 3, coverage: Coverage(shardsTotal: 2)))
        )
        fixture.worker(1, sent.id, written())
        fixture.tick(after: 2 * second)
        #expect(fixture.sent.compactMap(operation).isEmpty)
    }

    @Test func aCollectionThatALaterWorkerBringsIsCreatedOnTheEarlierOnes() throws {
        var fixture = try Fixture(shards: 2)
        fixture.step(.started)
        fixture.becomeReady(0)
        fixture.becomeReady(1, [info("c")])
        #expect(fixture.sent.map(\.shard) == [0])
    }

    @Test func aFailedReconciliationIsTriedAgainWithTime() throws {
        var fixture = try Fixture(shards: 2)
        fixture.step(.started)
        fixture.becomeReady(0)
        fixture.becomeReady(1, [info("c")])
        fixture.worker(0, fixture.sent[0].id, failure(.ioFailure))
        #expect(fixture.sent.isEmpty)
        fixture.tick(after: 1100 * millisecond)
        #expect(fixture.sent.compactMap(operation).count == 1)
    }

    @Test func aShardWithAnotherSchemaMakesTheCollectionRefusedAndIsNamedInStatus() throws {
        var fixture = try Fixture(shards: 2)
        fixture.step(.started)
        fixture.becomeReady(0, [info("c"), info("d")])
        fixture.becomeReady(1, [info("c", dim: 3), info("d")])
        fixture.step(.clientConnected(client: 1))
        fixture.write(.upsert(batch("c", [1])))
        #expect(fixture.error?.code == .corrupt)
        fixture.ask(.search(query("c", k: 1)), id: 2)
        #expect(fixture.error?.code == .corrupt)
        fixture.write(.upsert(batch("d", [1])), id: 3)
        #expect(fixture.sent.count == 1)
        #expect(fixture.status()?.workers[1].lastError.contains("schema") == true)
    }

    @Test func anUnknownCollectionIsNotFoundOnlyWhenAllShardsCanBeAsked() throws {
        var fixture = try Fixture.ready(shards: 2)
        fixture.ask(.search(query("c", k: 1)))
        #expect(fixture.error?.code == .notFound)
        fixture.exit(1)
        fixture.ask(.search(query("c", k: 1)))
        #expect(fixture.error?.code == .unavailable)
    }

    @Test func listsCollectionsInOrder() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("b"), info("a")])
        fixture.ask(.listCollections)
        #expect(fixture.onlyReply == .collections([info("a"), info("b")]))
    }
}

extension Coverage {
    static let one = Coverage(shardsTotal: 1)
}
