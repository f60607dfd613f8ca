import OmenCore
import OmenIndex
import Testing

@testable import OmenShard

/// What does not fit into memory is refused before it is taken in.
@Suite struct MemoryTests {
    @Test func aShardThatNeedsMoreThanItMayHaveIsNotOpened() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                let schema = CollectionSchema(dim: 8, metric: .l2, element: .u8)
                try harness.write(.createCollection(name: "c", schema: schema))
                try harness.write(.upsert(batch(3000, seed: 1)))
                harness.linkEverything()
                try harness.checkpoint()
                harness.engine.close()
            }
            let error = #expect(throws: OmenError.self) {
                _ = try EngineHarness(directory, memoryByteCountMax: 100_000)
            }
            #expect(error?.code == .resourceExhausted)
            #expect(error?.message.contains("bytes of memory, 100000 are available") == true)
            let harness = try EngineHarness(directory, memoryByteCountMax: 3000 * 220)
            #expect(try harness.engine.store.collection("c").vectorCount == 3000)
        }
    }

    /// Rows that come after the large pages were cut off find room behind the others.
    @Test func rowsGoOnBehindACheckpointOfLargePages() throws {
        try withTemporaryDirectory { directory in
            let seed: UInt64 = 78
            var random = SplitMix64(seed: seed)
            let harness = try EngineHarness(directory)
            let schema = CollectionSchema(dim: 128, metric: .l2, element: .u8)
            try harness.write(.createCollection(name: "c", schema: schema))
            var stored: [[UInt8]] = []
            for count in [9001, 700, 8000] {
                let rows = (0..<count).map { _ in
                    (0..<128).map { _ in UInt8.random(in: 0...255, using: &random) }
                }
                let ids = rows.indices.map { RecordID.text("id-\(stored.count + $0)") }
                stored += rows
                try harness.write(
                    .upsert(
                        UpsertBatch(
                            collection: "c",
                            element: .u8,
                            dim: 128,
                            ids: ids,
                            vectors: Array(rows.joined())
                        )
                    )
                )
                try harness.checkpoint()
                let collection = try harness.engine.store.collection("c")
                for (row, vector) in stored.enumerated() {
                    let record = collection.record(.text("id-\(row)"), withVector: true)
                    #expect(record?.vector == vector, "row \(row), seed \(seed)")
                }
            }
        }
    }

    /// Full vectors leave memory for the file; what reads them sees no difference.
    @Test func vectorsReadTheSameAfterTheirMemoryBecameTheFile() throws {
        try withTemporaryDirectory { directory in
            let seed: UInt64 = 77
            var random = SplitMix64(seed: seed)
            let vectors = (0..<2000 * 32).map { _ in Float.random(in: -1...1, using: &random) }
            let bytes = vectors.withUnsafeBytes(Array.init)
            let harness = try EngineHarness(directory)
            let schema = CollectionSchema(dim: 32, metric: .l2, element: .f32)
            try harness.write(.createCollection(name: "f", schema: schema))
            func upsert(_ rows: Range<Int>) throws {
                let batch = UpsertBatch(
                    collection: "f",
                    element: .f32,
                    dim: 32,
                    ids: rows.map { .number(UInt64($0)) },
                    vectors: Array(bytes[rows.lowerBound * 128..<rows.upperBound * 128]),
                    metadata: []
                )
                try harness.write(.upsert(batch))
            }
            func check(_ rows: Range<Int>) throws {
                let collection = try harness.engine.store.collection("f")
                for row in rows {
                    let record = collection.record(.number(UInt64(row)), withVector: true)
                    #expect(record?.vector == Array(bytes[row * 128..<(row + 1) * 128]))
                }
            }
            try upsert(0..<1501)
            harness.linkEverything()
            try harness.checkpoint { try upsert(1501..<1600) }
            try check(0..<1600)
            try upsert(1600..<2000)
            harness.linkEverything()
            try harness.checkpoint()
            try check(0..<2000)
            try harness.engine.store.collection("f").index.checkInvariants()
        }
    }
}
