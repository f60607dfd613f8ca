import OmenCore
import OmenStorage
import StorageTestSupport
import Testing

@testable import OmenShard

/// The rhythm that every owner of an engine has from its driver.
@Suite struct ShardDriverTests {
    private static func harness(
        _ durability: Durability = .always
    ) throws -> EngineHarness {
        try fill(
            EngineHarness(
                DataDirectory.shard(0, in: Directory(MemoryDisk.homePath)).path,
                on: MemoryDisk().files,
                durability: durability
            )
        )
    }

    private static func fill(_ harness: EngineHarness) throws -> EngineHarness {
        let schema = CollectionSchema(dim: 8, element: .u8)
        try harness.write(.createCollection(name: "c", schema: schema))
        return harness
    }

    @Test func syncsComeAtTheIntervalOfTheDurabilityAndNotBefore() throws {
        let harness = try Self.harness(.interval(milliseconds: 5000))
        let driver = harness.driver
        driver.tick()
        #expect(harness.engine.core.durableLSN == 0)
        harness.time.skip(.seconds(4))
        driver.tick()
        #expect(!harness.engine.core.syncInFlight)
        harness.time.skip(.seconds(1))
        driver.tick()
        try harness.wait { harness.engine.core.durableLSN == 1 }
        // The next one is a whole interval later, however often it ticks.
        try harness.write(.upsert(batch(1, seed: 1)))
        for _ in 0..<100 { driver.tick() }
        #expect(!harness.engine.core.syncInFlight)
        #expect(harness.engine.core.durableLSN == 1)
    }

    @Test func theOwnerHearsNowAndThenWhatBecameDurable() throws {
        let harness = try Self.harness()
        harness.driver.tick()
        #expect(harness.advances.isEmpty)
        harness.time.skip(Limits.progressInterval)
        harness.driver.tick()
        #expect(harness.advances.map(\.durableLSN) == [1])
        // Nothing new, nothing told.
        harness.time.skip(Limits.progressInterval)
        harness.driver.tick()
        #expect(harness.advances.count == 1)
    }

    @Test func aSliceOfWorkEndsWhenTheEngineIsWanted() throws {
        let harness = try Self.harness()
        try harness.write(.upsert(batch(300, seed: 1)))
        var looks = 0
        let isMoreToDo = harness.driver.work {
            looks += 1
            return true
        }
        #expect(isMoreToDo)
        #expect(looks == 1)
        #expect(harness.engine.store.collections["c"]?.hotRowCount ?? 0 > 200)
        while harness.driver.work() {}
        #expect(harness.engine.store.collections["c"]?.hotRowCount == 0)
        #expect(!harness.driver.hasWork)
    }

    @Test func buildsBeginByTheClockAlone() throws {
        try withTemporaryDirectory { directory in
            let harness = try Self.fill(EngineHarness(directory, rebuildRowCountMin: 100))
            try harness.write(.upsert(batch(300, seed: 1)))
            for _ in 0..<1000 { harness.driver.tick() }
            #expect(harness.engine.store.collections["c"]?.builtCount == 0)
            try harness.settle()
            #expect(harness.engine.store.collections["c"]?.builtCount == 300)
        }
    }
}
