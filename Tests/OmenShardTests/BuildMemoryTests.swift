import Glibc
import OmenCore
import OmenStorage
import Synchronization
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)
private let create = WriteOperation.createCollection(name: "c", schema: schema)

/// Memory that a test gives and takes.
private final class Room: Sendable {
    let byteCount: Atomic<Int>
    /// How often it was asked for.
    let lookCount = Atomic<Int>(0)

    init(_ byteCount: Int) { self.byteCount = Atomic(byteCount) }

    func gate(leasePath: String? = nil, shardCount: Int = 1) -> BuildGate {
        BuildGate(leasePath: leasePath, shardCount: shardCount) {
            self.lookCount.add(1, ordering: .relaxed)
            return self.byteCount.load(ordering: .relaxed)
        }
    }
}

/// When builds begin, and when rows are linked one by one: as rows come, and as there is memory.
@Suite struct BuildMemoryTests {
    private func linked(_ harness: EngineHarness) throws -> Int {
        try harness.engine.store.collection("c").linkedCount
    }

    @Test func rowsOfOneCallWaitForItsEndAndAreBuiltAtOnce() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            let collection = try harness.engine.store.collection("c")
            harness.engine.beginBatch(of: 1000, in: "c")
            for start in stride(from: UInt64(0), to: 1000, by: 50) {
                try harness.write(.upsert(batch(50, start: start, seed: start)))
                // As much time as a slow machine may take between two parts.
                for _ in 0..<RebuildPolicy.patienceTickCount { harness.engine.maintain() }
                #expect(!harness.engine.work(atMost: 1000))
                #expect(harness.engine.rebuildPermille(of: collection) == nil)
                #expect(collection.linkedCount == 0)
            }
            harness.engine.endBatch(of: 1000, in: "c")
            #expect(!harness.engine.work(atMost: 1000), "nothing is linked before the build")
            try harness.settle()
            #expect(collection.linkedCount == 1000)
        }
    }

    @Test func rowsOfACallThatAreTooFewForABuildAreLinkedTogether() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            harness.engine.beginBatch(of: 399, in: "c")
            for start in [UInt64(0), 100] {
                try harness.write(.upsert(batch(100, start: start, seed: start)))
                for _ in 0..<RebuildPolicy.patienceTickCount { harness.engine.maintain() }
                #expect(!harness.engine.work(atMost: 1000), "more rows are to come")
            }
            harness.engine.endBatch(of: 399, in: "c")
            while harness.engine.work(atMost: 1000) {}
            #expect(try linked(harness) == 200)
        }
    }

    @Test func rowsOfALongCallAreLinkedBesideAShortOne() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory, rebuildRowCountMin: .max)
            try harness.write(create)
            harness.engine.beginBatch(of: 1_000_000, in: "c")
            harness.engine.beginBatch(of: 10, in: "c")
            try harness.write(.upsert(batch(100, seed: 1)))
            while harness.engine.work(atMost: 1000) {}
            #expect(try linked(harness) == 100)
            harness.engine.endBatch(of: 1_000_000, in: "c")
            try harness.write(.upsert(batch(100, start: 100, seed: 2)))
            #expect(!harness.engine.work(atMost: 1000), "ten rows are still to come")
            harness.engine.endBatch(of: 10, in: "c")
            while harness.engine.work(atMost: 1000) {}
            #expect(try linked(harness) == 200)
        }
    }

    @Test func rowsThatAreDueForABuildAreNotLinkedBeforeTheNextTick() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(400, seed: 1)))
            #expect(!harness.engine.work(atMost: 1000))
            #expect(try linked(harness) == 0)
        }
    }

    @Test func aBuildWithoutMemoryWaitsAndRowsAreLinkedOneByOne() throws {
        try withTemporaryDirectory { directory in
            let room = Room(0)
            let harness = try EngineHarness(directory, buildGate: room.gate())
            try harness.write(create)
            try harness.write(.upsert(batch(1000, seed: 2)))
            let collection = try harness.engine.store.collection("c")
            #expect(!harness.engine.buildWaits(of: collection))
            harness.engine.maintain()
            harness.engine.maintain()
            #expect(harness.engine.buildWaits(of: collection))
            #expect(harness.engine.rebuildPermille(of: collection) == nil)
            #expect(room.lookCount.load(ordering: .relaxed) == 1)
            #expect(harness.engine.work(atMost: 30))
            #expect(try linked(harness) > 0)

            let needed = collection.buildByteCount + Limits.memoryReserveByteCount
            room.byteCount.store(needed - 1, ordering: .relaxed)
            for _ in 0..<100 { harness.engine.maintain() }
            #expect(harness.engine.buildWaits(of: collection))
            #expect(room.lookCount.load(ordering: .relaxed) < 10, "it looks once a second")
            room.byteCount.store(needed, ordering: .relaxed)
            for _ in 0..<21 { harness.engine.maintain() }
            #expect(!harness.engine.buildWaits(of: collection))
            #expect(harness.engine.rebuildPermille(of: collection) != nil)
            try harness.settle()
            #expect(try linked(harness) == 1000)
        }
    }

    @Test func nothingIsAskedWhileNoBuildIsDue() throws {
        try withTemporaryDirectory { directory in
            let room = Room(.max)
            let harness = try EngineHarness(directory, buildGate: room.gate())
            try harness.write(create)
            try harness.write(.upsert(batch(10, seed: 2)))
            for _ in 0..<1000 { harness.engine.maintain() }
            #expect(room.lookCount.load(ordering: .relaxed) == 0)
        }
    }

    @Test func shardsBuildBesideEachOtherWithinTheirShareAndAloneBeyondIt() throws {
        try withTemporaryDirectory { directory in
            let reserve = Limits.memoryReserveByteCount
            let room = Room(reserve + 800)
            let gate = room.gate(leasePath: directory + "/lease", shardCount: 8)
            var small = [gate.admit(100), gate.admit(100)]
            #expect(small.allSatisfy { $0 != nil })
            #expect(gate.admit(101) == nil, "others build")
            #expect(gate.admit(801) == nil)
            small = []
            var large = gate.admit(800)
            #expect(large != nil)
            #expect(gate.admit(1) == nil, "a large build goes on alone")
            large = nil
            #expect(gate.admit(1) != nil)
            _ = large
        }
    }
}
