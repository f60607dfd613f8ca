import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct DirectoryTests {
    private static let reached = ShardProgress(history: 1, generation: 0, durableLSN: 0)

    /// Two shards; every slot belongs to the second.
    private static func lopsided() throws -> ClusterDirectory {
        let even = try ClusterDirectory(shardCount: 2)
        let slots = try even.slots.moving(0..<Limits.slotCount, to: 1)
        return try ClusterDirectory(slots: slots, replicas: even.replicas)
    }

    private func stored(_ fixture: Fixture) -> [ClusterDirectory] {
        fixture.effects.compactMap {
            guard case .storeDirectory(let directory) = $0 else { return nil }
            return directory
        }
    }

    @Test func everyChangeIsStoredWithTheSlotTableAsItWas() throws {
        let directory = try Self.lopsided()
        var fixture = try Fixture(shards: 2) { $0.directory = directory }
        fixture.storesDirectory = false
        fixture.step(.started)
        fixture.announce(1, .ready)
        var expected = directory
        expected[progress: ReplicaID(shard: 1)] = Self.reached
        #expect(stored(fixture) == [expected])
        #expect(stored(fixture).first?.slots.version == 2)
        // One at a time: what changed meanwhile is stored with the next.
        fixture.announce(0, .ready)
        #expect(stored(fixture).isEmpty)
        #expect(fixture.core.readyShards.isEmpty)
        fixture.step(.directoryStored)
        #expect(Array(fixture.core.readyShards) == [1])
        expected[progress: ReplicaID(shard: 0)] = Self.reached
        #expect(stored(fixture) == [expected])
    }

    @Test func aDirectoryThatCannotBeStoredCountsForNothing() throws {
        var fixture = try Fixture(shards: 1)
        fixture.storesDirectory = false
        fixture.step(.started)
        fixture.announce(0, .ready)
        fixture.step(.directoryNotStored(reason: "disk full"))
        #expect(fixture.core.readyShards.isEmpty)
        #expect(
            fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1))
        )
        #expect(fixture.core.workerState(0) == .dead)
    }

    @Test func recordsGoWhereTheSlotTableSays() throws {
        let directory = try Self.lopsided()
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")]) {
            $0.directory = directory
        }
        fixture.write(.upsert(batch("c", Array(1...100))))
        #expect(fixture.sent.map(\.shard) == [1])
    }

    @Test func nothingOfAReplicaThatThereIsNotHasAnEffect() throws {
        var fixture = try Fixture.ready(shards: 2)
        for stray in [
            ReplicaID(shard: 2), ReplicaID(shard: -1), ReplicaID(shard: 0, number: 1),
            ReplicaID(shard: 0, number: -1),
        ] {
            let envelope = Envelope(requestID: 0, message: .done)
            fixture.step(.workerSpawned(replica: stray, incarnation: 1, pid: 1))
            fixture.step(.workerMessage(replica: stray, incarnation: 1, envelope))
            fixture.step(.workerConnectionLost(replica: stray, incarnation: 1, reason: ""))
            fixture.step(.workerExited(replica: stray, incarnation: 1, status: 0, signal: 9))
            #expect(fixture.effects.isEmpty, "\(stray)")
        }
        #expect(fixture.core.readyShards.count == 2)
        #expect(fixture.core.ignoredReplyCount == 4)
    }
}

@Suite struct ShardPartsTests {
    @Test func aPartIsSettledOnce() {
        var parts = ShardParts(awaitingAllOf: 3)
        parts.settle(0, nil)
        parts.settle(0, OmenError(.unavailable, "late"))
        parts.settle(1, OmenError(.unavailable, "dead"))
        parts.settle(1, nil)
        #expect(Array(parts.awaited) == [2])
        #expect(Array(parts.answered) == [0])
        #expect(parts.failures.map(\.shard) == [1])
        #expect(parts.commonFailure == nil)
        #expect(parts.coverage.shardsTotal == 3)
    }

    @Test func aFailureSpeaksForAllOnlyWhenAllPartsAreMissing() {
        var parts = ShardParts(of: 4)
        parts.miss(2, OmenError(.unavailable, "starts"))
        parts.expect(0)
        #expect(parts.commonFailure == nil)
        parts.settle(0, OmenError(.unavailable, "died"))
        #expect(parts.commonFailure?.message == "died")
        #expect(parts.coverage.failures.map(\.shard) == [0, 2])
        parts.expect(3)
        parts.settle(3, OmenError(.unknownOutcome, "silent"))
        #expect(parts.commonFailure?.code == .unknownOutcome)
    }

    @Test func aShardThatAnsweredAndIsAskedAgainDoesNotFail() {
        var parts = ShardParts(awaitingAllOf: 1)
        parts.noteAnswer(0, nil)
        #expect(Array(parts.awaited) == [0])
        parts.settle(0, OmenError(.unknownOutcome, "died"))
        #expect(parts.awaited.isEmpty)
        #expect(parts.failures.isEmpty)
    }
}
