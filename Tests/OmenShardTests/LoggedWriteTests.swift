import Foundation
import OmenCore
import Testing

@testable import OmenShard
@testable import OmenStorage

/// Records whose checksums hold and whose contents no shard would have logged.
@Suite struct LoggedWriteTests {
    private let identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 0)
    private let cosine = CollectionSchema(dim: 3, metric: .cosine)
    private let bytes = CollectionSchema(dim: 2, element: .u8)

    /// Runs `body` with a shard whose log holds these records and nothing else.
    private func withShard<Value>(
        of records: [[UInt8]],
        versions: [Int: WriteVersions] = [:],
        _ body: (String) throws -> Value
    ) throws -> Value {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("omen-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        var payload = ByteWriter()
        for (place, record) in records.enumerated() {
            let versions = versions[place] ?? WriteVersions(UInt64(place + 1))
            payload.write(UInt32(16 + versions.encodedByteCount + record.count))
            payload.write(UInt64(7))
            payload.write(UInt64(1))
            versions.encode(into: &payload)
            payload.write(raw: record)
        }
        var encoder = LogSegmentEncoder(identity: identity, nonce: 5, firstLSN: 1)
        let frame = encoder.encode(
            .batch,
            firstLSN: 1,
            durableLSN: 0,
            wallMicroseconds: 0,
            recordCount: UInt32(records.count),
            payload: payload.bytes
        )
        let path = directory + "/" + LogSegment.name(firstLSN: 1)
        try Data(encoder.header + frame).write(to: URL(fileURLWithPath: path))
        try ShardManifest(identity: identity, history: 3).store(Directory(directory))
        return try body(directory)
    }

    /// Opens a shard whose log holds these records and nothing else.
    private func open(_ records: [[UInt8]]) throws -> [String: Int] {
        try withShard(of: records) { directory in
            let harness = try EngineHarness(directory)
            defer { harness.engine.close() }
            return harness.engine.store.collections.mapValues(\.vectorCount)
        }
    }

    @Test func whatCannotBeAppliedIsLeftOutWhenALossIsAccepted() throws {
        let impossible = [encoded(upsert("c", [1, .nan, 3])), encoded(upsert("x"))]
        let records =
            creates + [encoded(upsert())] + impossible + [encoded(upsert("c", [3, 2, 1]))]
        try withShard(of: records) { directory in
            let known = ShardProgress(history: 3, generation: 0, durableLSN: 6)
            #expect(throws: OmenError.self) {
                try ShardReading.check(
                    Directory(directory),
                    identity: identity,
                    expected: known
                )
            }
            let salvaged = try SalvagedShard(Directory(directory), identity: identity)
            #expect(salvaged.lastLSN == 6)
            #expect(salvaged.problems.count == 2, "\(salvaged.problems)")
            #expect(salvaged.problems.first?.contains("log record 4") == true)
            let kept = try salvaged.store.collection("c")
            #expect(kept.vectorCount == 1)
        }
    }

    private func encoded(_ operation: WriteOperation) -> [UInt8] {
        var writer = ByteWriter()
        operation.encode(into: &writer)
        return writer.bytes
    }

    private var creates: [[UInt8]] {
        [("c", cosine), ("u", bytes)].map {
            encoded(.createCollection(name: $0, schema: $1))
        }
    }

    private func upsert(
        _ collection: String = "c",
        _ values: [Float] = [1, 2, 3],
        metadata: String = ""
    ) -> WriteOperation {
        var writer = ByteWriter()
        for value in values { writer.write(value) }
        return .upsert(
            UpsertBatch(
                collection: collection,
                element: .f32,
                dim: values.count,
                ids: [.number(1)],
                vectors: writer.bytes,
                metadata: metadata.isEmpty ? [] : [Array(metadata.utf8)]
            )
        )
    }

    /// Sixteen times the same query.
    private func calibrate(_ collection: String, _ values: [Float]) -> WriteOperation {
        var writer = ByteWriter()
        for _ in 0..<16 { for value in values { writer.write(value) } }
        let (dim, vectors) = (values.count, writer.bytes)
        return .calibrate(
            QuerySample(collection: collection, element: .f32, dim: dim, vectors: vectors)
        )
    }

    @Test func whatWasLoggedRightIsApplied() throws {
        let good = upsert("c", [1, 2, 3], metadata: "{\"a\":1}")
        #expect(try open(creates + [encoded(good)]) == ["c": 1, "u": 0])
    }

    /// As restoring and moving records between shards will log them.
    @Test func recordsThatBringTheirVersionsKeepThem() throws {
        let moved = WriteVersions(4, records: [WriteVersions.limit / 4])
        try withShard(of: creates + [encoded(upsert())], versions: [2: moved]) { directory in
            let harness = try EngineHarness(directory)
            defer { harness.engine.close() }
            func version(_ collection: String) throws -> UInt64? {
                try harness.engine.store.records([.number(1)], in: collection, withVector: false)
                    .first?.version
            }
            #expect(try version("c") == moved[0])
            // No later write falls below it.
            try harness.write(upsert("u", [1, 2]))
            #expect(try version("u") == moved[0] + 1)
        }
    }

    /// Doors may become stricter; what was accepted before is still there.
    @Test func whatDoorsNoLongerTakeIsAppliedFromTheLog() throws {
        let records = [
            encoded(upsert("c", [1e-20, 0, 0])),
            encoded(upsert("c", metadata: #"{"a":1e999,"a":"\ud800"}"#)),
        ]
        #expect(try open(creates + records) == ["c": 1, "u": 0])
    }

    @Test func whatCannotBeAppliedIsDamageThatNamesFileOffsetAndRecord() throws {
        let impossible: [(String, WriteOperation)] = [
            ("element 1 is nan", upsert("c", [1, .nan, 3])),
            ("element 0 is -inf", upsert("c", [-.infinity, 2, 3])),
            ("element 2 is 1e+30", upsert("c", [1, 2, 1e30])),
            ("vector 0 is", upsert("c", [0, 0, 0])),
            ("have 2 dimensions", upsert("c", [1, 2])),
            ("collection x does not exist", upsert("x")),
            ("vectors of f32", upsert("u", [1, 2])),
            ("vectors of f32", calibrate("u", [1, 2])),
            ("query 0 is zero", calibrate("c", [0, 0, 0])),
            ("query 0 element 1 is nan", calibrate("c", [1, .nan, 3])),
            ("collection x does not exist", calibrate("x", [1, 2, 3])),
            ("not JSON", upsert("c", metadata: "{")),
            ("not JSON", upsert("c", metadata: "[]")),
            ("collection x does not exist", .dropCollection(name: "x")),
            ("collection x does not exist", .clearCollection(name: "x")),
            ("collection x does not exist", .delete(collection: "x", ids: [.number(1)])),
            ("exists with another schema", .createCollection(name: "c", schema: bytes)),
            ("only a-z 0-9", .createCollection(name: "../c", schema: bytes)),
        ]
        for (reason, operation) in impossible {
            let error = #expect(throws: OmenError.self) {
                try open(creates + [encoded(operation)])
            }
            #expect(error?.code == .corrupt, "\(operation)")
            let message = error?.message ?? ""
            #expect(message.contains(reason), "\(message)")
            #expect(message.contains("log-0000000000000001.wal offset "), "\(message)")
            #expect(message.contains("record 3: "), "\(message)")
        }
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func changedBytesUnderARightChecksumAreAppliedOrNamed(seed: UInt64) throws {
        print("seed \(seed)")
        var random = SplitMix64(seed: seed)
        let sources: [WriteOperation] = [
            upsert("c", [1, 2, 3], metadata: "{\"key\":[1,\"\\u00e9\"]}"),
            .upsert(
                UpsertBatch(
                    collection: "u",
                    element: .u8,
                    dim: 2,
                    ids: [.text("caf\u{E9}"), .number(9)],
                    vectors: [1, 2, 3, 4]
                )
            ),
            .delete(collection: "c", ids: [.number(1), .text("x")]),
            .createCollection(name: "n", schema: CollectionSchema(dim: 700, m: 8)),
            .dropCollection(name: "u"),
        ]
        var refused = 0
        for _ in 0..<150 {
            var records = creates + [encoded(upsert())]
            var record = encoded(sources[Int.random(in: 0..<sources.count, using: &random)])
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<record.count, using: &random)
                record[place] =
                    Bool.random(using: &random)
                    ? [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
                    : .random(in: .min ... .max, using: &random)
            }
            if Int.random(in: 0..<8, using: &random) == 0 {
                record.removeLast(Int.random(in: 1...record.count, using: &random))
            }
            records.append(record)
            records.append(encoded(upsert()))
            do {
                let counts = try open(records)
                #expect(counts["c"] != nil)
            } catch let error as OmenError {
                #expect(error.code == .corrupt, "\(error)")
                refused += 1
            }
        }
        #expect(refused > 10)
    }
}
