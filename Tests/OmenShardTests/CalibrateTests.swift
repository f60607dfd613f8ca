import OmenCore
import OmenIndex
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)
private let create = WriteOperation.createCollection(name: "c", schema: schema)

private func sample(_ count: Int, seed: UInt64) -> QuerySample {
    let vectors = batch(max(1, count), seed: seed).vectors.prefix(count * 8)
    return QuerySample(collection: "c", element: .u8, dim: 8, vectors: Array(vectors))
}

@Suite struct CalibratePolicyTests {
    private func asked(_ rows: Int, linked: Int) -> RebuildPolicy.Shape {
        shape(rows, linked: linked, awaitsCalibration: true)
    }

    @Test func anotherSampleIsDueWhereThereAreEnoughRows() {
        let policy = RebuildPolicy()
        #expect(policy.isDue(asked(1024, linked: 1024)))
        #expect(!policy.isDue(asked(1023, linked: 1023)))
        var measured = asked(1024, linked: 1024)
        measured.awaitsCalibration = false
        #expect(!policy.isDue(measured))
    }

    @Test func rowsDoNotWaitForABuildThatIsDueForASampleAlone() {
        let policy = RebuildPolicy()
        // Over a quarter are hot, and under a third unbuilt.
        #expect(policy.isDue("a", asked(4000, linked: 2800)))
        #expect(!policy.isLinkingWasted("a", asked(4000, linked: 2800)))
        #expect(policy.isLinkingWasted("a", asked(4000, linked: 2600)))
    }
}

@Suite struct CalibrateTests {
    @Test func aSampleIsReplayedMeasuredAndStored() throws {
        try withTemporaryDirectory { directory in
            let given = sample(32, seed: 2)
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(1500, seed: 1)))
                try harness.settle()
                let collection = try harness.engine.store.collection("c")
                #expect(collection.calibrationTable?.isOfSample == false)
                #expect(try harness.write(.calibrate(given)) == WriteCounts())
                #expect(harness.engine.rebuildPermille(of: collection) == 0, "due at once")
            }
            let table: CalibrationTable?
            do {
                let harness = try EngineHarness(directory)
                let collection = try harness.engine.store.collection("c")
                #expect(collection.index.sample.vectors == given.vectors)
                #expect(collection.awaitsCalibration)
                try harness.settle()
                table = collection.calibrationTable
                #expect(table?.isOfSample == true && !collection.awaitsCalibration)
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 0)
            let collection = try harness.engine.store.collection("c")
            #expect(collection.calibrationTable == table)
            #expect(harness.engine.rebuildPermille(of: collection) == nil)
            #expect(collection.index.sample.vectors == given.vectors)
            try harness.write(.calibrate(sample(0, seed: 1)))
            try harness.settle()
            #expect(collection.calibrationTable?.isOfSample == false)
        }
    }

    @Test func theLargestSamplesAreStoredAndOpened() throws {
        let wide = CollectionSchema(dim: 2048, m: 4, efConstruction: 16)
        func floats(_ count: Int) -> [UInt8] {
            (0..<count * wide.dim).flatMap { i in
                withUnsafeBytes(of: Float(i % 251 + 1), Array.init)
            }
        }
        try withTemporaryDirectory { directory in
            let given = QuerySample(
                collection: "w",
                element: .f32,
                dim: wide.dim,
                vectors: floats(Limits.sampleCountKept)
            )
            do {
                let harness = try EngineHarness(directory)
                try harness.write(.createCollection(name: "w", schema: wide))
                let rows = UpsertBatch(
                    collection: "w",
                    element: .f32,
                    dim: wide.dim,
                    ids: (0..<3).map { .number($0) },
                    vectors: floats(3)
                )
                try harness.write(.upsert(rows))
                try harness.write(.calibrate(given))
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 0)
            let collection = try harness.engine.store.collection("w")
            #expect(collection.index.sample.vectors == given.vectors)
            // The same queries once more are no news.
            let lsn = collection.index.sample.lsn
            try harness.write(.calibrate(given))
            #expect(collection.index.sample.lsn == lsn)
        }
    }

    @Test func aSampleThatCameDuringABuildMakesAnotherOneDue() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(1500, seed: 1)))
            try harness.settle()
            let collection = try harness.engine.store.collection("c")
            // The build asked for a checkpoint, during which no other index is taken.
            try harness.checkpoint()
            let before = collection.orderCount
            let rebuild = try begun(harness, collection)
            try harness.write(.calibrate(sample(40, seed: 4)))
            rebuild.take(try #require(try rebuild.work.run()))
            #expect(try rebuild.catchUp(atMost: 10_000))
            rebuild.finish()
            #expect(collection.calibrationTable?.isOfSample == true)
            #expect(collection.index.sample.vectors == sample(40, seed: 4).vectors)
            #expect(collection.awaitsCalibration)
            try harness.settle()
            #expect(collection.orderCount == before + 2)
            #expect(!collection.awaitsCalibration)
            #expect(collection.index.sample.vectors == sample(40, seed: 4).vectors)
        }
    }

    /// A build that was begun with another sample.
    private func begun(
        _ harness: EngineHarness,
        _ collection: ShardCollection
    ) throws -> CollectionRebuild {
        try harness.write(.calibrate(sample(32, seed: 3)))
        return try CollectionRebuild(collection)
    }

    @Test(arguments: [
        WriteOperation.dropCollection(name: "c"), .clearCollection(name: "c"),
    ])
    func aSampleGoesWithTheRecords(operation: WriteOperation) throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.calibrate(sample(32, seed: 3)))
            #expect(try harness.engine.store.collection("c").index.sample.lsn == 2)
            try harness.write(operation)
            try harness.write(create)
            #expect(try harness.engine.store.collection("c").index.sample.lsn == 0)
        }
    }

    @Test func evenlySpacedQueriesAreKept() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            let given = sample(1024, seed: 5)
            try harness.write(.calibrate(given))
            let kept = try harness.engine.store.collection("c").index.sample.vectors
            let expected = (0..<256).flatMap { given.vectors[$0 * 32..<$0 * 32 + 8] }
            #expect(kept == expected)
        }
    }

    @Test func badSamplesAreRefusedByName() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            var floats = QuerySample(collection: "c", element: .f32, dim: 8, vectors: [])
            var values = [Float](repeating: 1, count: 128)
            func refusal(_ sample: QuerySample) -> String {
                let error = #expect(throws: OmenError.self) {
                    try harness.write(.calibrate(sample))
                }
                return error?.message ?? ""
            }
            values[8 * 3 + 2] = 0.5
            floats.vectors = values.withUnsafeBytes(Array.init)
            #expect(refusal(floats).contains("query 3 element 2 is 0.5"))
            values[8 * 5] = .nan
            floats.vectors = values.withUnsafeBytes(Array.init)
            #expect(refusal(floats).contains("query 5 element 0 is nan"))
            #expect(refusal(sample(15, seed: 1)).contains("15 queries"))
            #expect(refusal(sample(1025, seed: 1)).contains("1025 queries"))
            var other = sample(32, seed: 1)
            other.dim = 4
            #expect(refusal(other).contains("4 dimensions"))
            other.collection = "x"
            #expect(refusal(other).contains("x does not exist"))
            #expect(try harness.engine.store.collection("c").index.sample.lsn == 0)
        }
    }
}
