import OmenCore
import OmenIndex
import OmenStorage
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)
private let create = WriteOperation.createCollection(name: "c", schema: schema)
private let types = PartTypes(derived: [MarkPart.self])
private let identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 0)

/// A part that is named in a list takes part in everything, see `MarkPart`.
@Suite struct CollectionPartTests {
    private func marks(_ harness: EngineHarness) throws -> MarkPart {
        try OmenShardTests.marks(try harness.engine.store.collection("c"))
    }

    private func expectMarks(
        _ harness: EngineHarness,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let collection = try harness.engine.store.collection("c")
        try OmenShardTests.expectMarks(collection, sourceLocation: sourceLocation)
    }

    private func deletedRows(_ harness: EngineHarness) throws -> Set<UInt32> {
        let index = try harness.engine.store.collection("c").index
        return Set((0..<UInt32(index.rowCount)).filter(index.isDeleted))
    }

    /// Makes a shard with one checkpoint; returns the path of its file.
    @discardableResult
    private func make(
        _ directory: String,
        rowCount: Int = 300,
        lie: MarkPart.Lie? = nil
    ) throws -> String {
        let harness = try EngineHarness(directory, partTypes: types)
        try harness.write(create)
        try harness.write(.upsert(batch(rowCount, seed: 1)))
        harness.linkEverything()
        try marks(harness).lie = lie
        try harness.checkpoint()
        let name = try #require(harness.engine.store.ordered.first?.file?.name)
        harness.engine.close()
        return "\(directory)/\(name)"
    }

    // MARK: Files

    @Test func rowsSurviveCheckpointsAndTheirTailTheLog() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory, partTypes: types)
                try harness.write(create)
                try harness.write(.upsert(batch(200, seed: 1)))
                try harness.checkpoint { try harness.write(.upsert(batch(60, seed: 2))) }
                #expect(try marks(harness).rows.baseCount == 200)
                #expect(try marks(harness).rows.tail.count == 60)
                try expectMarks(harness)
                #expect(try marks(harness).hidden == Set(0..<60))
                try harness.checkpoint()
                try harness.write(.upsert(batch(30, start: 500, seed: 3, texts: true)))
                try harness.write(.delete(collection: "c", ids: [.number(70), .text("id-501")]))
                #expect(try marks(harness).hidden == deletedRows(harness))
                harness.engine.close()
            }
            let harness = try EngineHarness(directory, partTypes: types)
            #expect(harness.engine.replayedCount == 2)
            #expect(try marks(harness).rows.baseCount == 260)
            #expect(try marks(harness).rows.tail.count == 30)
            try expectMarks(harness)
            try harness.write(.clearCollection(name: "c"))
            #expect(try marks(harness).rowCount == 0)
            try harness.write(.upsert(batch(5, seed: 4)))
            try expectMarks(harness)
        }
    }

    @Test func aCheckpointThatFailsChangesNothing() throws {
        try withTemporaryDirectory { directory in
            let path = try make(directory)
            try DeferredCheckTests.flip(path, kind: VectorIndex.Section.vectors.rawValue)
            let harness = try EngineHarness(directory, partTypes: types)
            try harness.write(.upsert(batch(20, start: 1000, seed: 2)))
            #expect(throws: OmenError.self) { try harness.checkpoint() }
            #expect(try marks(harness).rows.baseCount == 300)
            #expect(try marks(harness).rows.tail.count == 20)
        }
    }

    @Test func salvageKeepsEveryPart() throws {
        try withTemporaryDirectory { parent in
            let directory = "\(parent)/\(DataDirectory.shardName(0))"
            try make(directory)
            try ShardSalvage.run(
                Directory(directory),
                identity: identity,
                expected: .notBegun,
                partTypes: types
            )
            let harness = try EngineHarness(directory, checksWhole: true, partTypes: types)
            #expect(try marks(harness).rows.baseCount == 300)
            try expectMarks(harness)
        }
    }

    @Test func aSectionOfNoPartIsRefusedByName() throws {
        try withTemporaryDirectory { directory in
            let path = try make(directory)
            let error = #expect(throws: OmenError.self) { _ = try EngineHarness(directory) }
            #expect(error?.code == .unsupportedVersion)
            #expect(error?.message == "\(path): this build does not know sections of kind 200")
            let reading = #expect(throws: OmenError.self) {
                try ShardReading.check(Directory(directory), identity: identity, expected: nil)
            }
            #expect(reading == error)
            // It is whole: nothing of it is given up.
            let salvaging = #expect(throws: OmenError.self) {
                _ = try SalvagedShard(Directory(directory), identity: identity)
            }
            #expect(salvaging == error)
        }
    }

    @Test func aFileFromBeforeAPartIsRefusedByName() throws {
        try withTemporaryDirectory { directory in
            let path = try DeferredCheckTests.make(directory)
            let error = #expect(throws: OmenError.self) {
                _ = try EngineHarness(directory, partTypes: types)
            }
            #expect(error?.code == .unsupportedVersion)
            #expect(
                error?.message == "\(path) has no sections of MarkPart: an older build wrote it"
            )
        }
    }

    @Test func partsOfDifferentRowsAreRefused() throws {
        try withTemporaryDirectory { directory in
            try make(directory, lie: .rowCount)
            let error = #expect(throws: OmenError.self) {
                _ = try EngineHarness(directory, partTypes: types)
            }
            #expect(error?.code == .corrupt)
            #expect(error?.message == "collection c: index has 300 rows, MarkPart 299")
        }
    }

    @Test func numbersOfSectionsBelongToOnePart() async {
        await #expect(processExitsWith: .failure) {
            _ = PartTypes(derived: [MarkPart.self, MarkPart.self])
        }
    }

    // MARK: Deferred check

    /// What stops a shard soon after opening, and what keeps it from being opened where everything
    /// is checked first.
    private func failures(_ directory: String) throws -> [OmenError] {
        let deferred: OmenError?
        do {
            let harness = try EngineHarness(directory, partTypes: types)
            try harness.wait { harness.failure != nil }
            deferred = harness.failure
        }
        let whole = #expect(throws: OmenError.self) {
            _ = try EngineHarness(directory, checksWhole: true, partTypes: types)
        }
        return [try #require(deferred), try #require(whole)]
    }

    @Test func aFlippedByteStopsTheShardSoonAfterOpening() throws {
        try withTemporaryDirectory { directory in
            let path = try make(directory)
            try DeferredCheckTests.flip(path, kind: MarkPart.Section.marks.rawValue)
            for error in try failures(directory) {
                #expect(error.code == .corrupt)
                #expect(error.message.contains(path))
                #expect(error.message.contains("section 201"))
            }
        }
    }

    @Test func aPartChecksWhatChecksumsCannotTell() throws {
        try withTemporaryDirectory { directory in
            try make(directory, lie: .sum)
            for error in try failures(directory) {
                #expect(error.code == .corrupt)
                #expect(error.message.contains("the marks add up to"))
            }
        }
    }

    // MARK: Builds

    @Test(arguments: [UInt64(1), 2, 3])
    func rowsFollowTheNumbersOfABuild(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            var random = SplitMix64(seed: seed)
            do {
                let harness = try EngineHarness(directory, partTypes: types)
                try harness.write(create)
                try harness.write(.upsert(batch(900, seed: seed)))
                try harness.checkpoint()
                let before = try marks(harness)
                var writesLeft = 30
                try harness.settle {
                    guard writesLeft > 0 else { return }
                    writesLeft -= 1
                    try harness.writeSomewhere(using: &random)
                }
                #expect(try marks(harness) !== before)
                try expectMarks(harness)
                #expect(try marks(harness).hidden == deletedRows(harness), "seed \(seed)")
                try harness.checkpoint()
                try expectMarks(harness)
                harness.engine.close()
            }
            let harness = try EngineHarness(directory, partTypes: types)
            #expect(harness.engine.replayedCount == 0)
            try expectMarks(harness)
        }
    }

    // MARK: Limits and memory

    @Test func aFullPartMakesTheCollectionFull() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory, partTypes: types)
            try harness.write(create)
            try harness.write(.upsert(batch(10, seed: 1)))
            #expect(harness.engine.store.load.fullCollections.isEmpty)
            try marks(harness).rowCountMax = 10
            #expect(harness.engine.store.load.fullCollections == ["c"])
            harness.engine.turnEnded()
            let error = #expect(throws: OmenError.self) {
                try harness.write(.upsert(batch(1, seed: 2)))
            }
            #expect(error?.code == .resourceExhausted)
        }
    }

    @Test func roomIsMadeInAllPartsOrInNone() throws {
        let collection = try ShardCollection(name: "c", schema: schema, types, lsn: 1)
        let part = try OmenShardTests.marks(collection)
        var promise = Promise()
        promise.add(batch(2000, seed: 1), to: collection)
        let slots = collection.records.slotCapacity
        for step in try collection.parts.makeRoom(for: promise) { step() }
        #expect(part.capacity == 0)
        #expect(collection.records.slotCapacity > slots)
        part.rowCountMax = 1999
        #expect(throws: OmenError.self) { try collection.parts.makeRoom(for: promise) }
        #expect(part.capacity == 0)
        part.rowCountMax = 2000
        try collection.parts.makeRoom(for: promise)
        #expect(part.capacity == 2000)
        #expect(try collection.parts.makeRoom(for: promise).isEmpty)
    }

    @Test func memoryOfEveryPartIsCounted() throws {
        try withTemporaryDirectory { directory in
            let path = try make(directory, rowCount: 3000)
            #expect(
                types.residentByteCountPerRow(schema) == schema.residentByteCountPerRow + 1
            )
            let file = try openShardFile(path, identity)
            let standard = PartTypes.standard.residentByteCount(of: file)
            #expect(types.residentByteCount(of: file) == standard + 3000 + 8)
            let error = #expect(throws: OmenError.self) {
                _ = try EngineHarness(directory, memoryByteCountMax: standard, partTypes: types)
            }
            #expect(error?.code == .resourceExhausted)
            let harness = try EngineHarness(
                directory,
                memoryByteCountMax: standard + 3008,
                partTypes: types
            )
            let collection = try harness.engine.store.collection("c")
            let others = CollectionParts(
                index: collection.index,
                records: collection.records,
                derived: []
            )
            #expect(collection.buildByteCount == others.buildNeed.total + 3000)
        }
    }

    @Test func memoryOfANewRowIsThatOfAllParts() throws {
        var core = ShardCore(
            durability: .none,
            schemas: ["c": schema],
            appliedLSN: 0,
            checkpointLSN: 0,
            keys: RequestKeyTable()
        )
        core.partTypes = types
        let batch = batch(100, seed: 1)
        let rowByteCount = schema.residentByteCountPerRow + 1 + 8
        let metadataByteCount = batch.metadata.reduce(0) { $0 + $1.count }
        let needed =
            100 * rowByteCount + metadataByteCount + Limits.memoryReserveByteCount
        for (available, isRefused) in [(needed - 1, true), (needed, false)] {
            var effects: [ShardCore.Effect] = []
            core.handle(.load(ShardLoad(availableByteCount: available)), into: &effects)
            let write = ShardWrite(
                key: RequestKey(client: 1, sequence: UInt64(available)),
                operation: .upsert(try batch.validated(against: schema))
            )
            core.handle(.write(ticket: 1, write, wallMicroseconds: 0), into: &effects)
            let refusals = effects.filter { effect in
                if case .refuse = effect { true } else { false }
            }
            #expect(refusals.isEmpty != isRefused)
        }
    }
}
