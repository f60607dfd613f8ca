import Testing

@testable import OmenCore

private func bytes(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
}

private func batch(_ rows: [[Float]], metadata: [String] = []) -> UpsertBatch {
    UpsertBatch(
        collection: "default",
        element: .f32,
        dim: rows[0].count,
        ids: rows.indices.map { .number(UInt64($0)) },
        vectors: bytes(rows.flatMap { $0 }),
        metadata: metadata.map { Array($0.utf8) }
    )
}

/// Texts that look the same and are other bytes: composed and decomposed, and signs that Unicode
/// calls equal.
private let lookAlikes = [
    ("caf\u{E9}", "cafe\u{301}"), ("\u{212B}", "\u{C5}"), ("\u{2126}", "\u{3A9}"),
    ("\u{1E9B}\u{323}", "\u{17F}\u{323}\u{307}"), ("\u{AC00}", "\u{1100}\u{1161}"),
    ("\u{212A}", "K"),
]

@Suite struct LookAlikeTests {
    @Test(arguments: lookAlikes)
    func idsThatLookAlikeAreTwo(one: String, other: String) {
        let ids = [RecordID.text(one), .text(other)]
        #expect(one == other)
        #expect(ids[0] != ids[1])
        #expect(Set(ids).count == 2)
        #expect(ids[0] < ids[1] || ids[1] < ids[0])
        #expect(Set(ids) == Set(ids.reversed()))
    }

    @Test func equalBytesAreOneIDHoweverTheyCame() {
        let bytes = Array("id of some length, beyond what is stored inline".utf8)
        let copies = [bytes, bytes].map { RecordID.text(String(decoding: $0, as: UTF8.self)) }
        #expect(copies[0] == copies[1])
        #expect(copies[0].hashValue == copies[1].hashValue)
        #expect(RecordID.text("12345678") != .number(0x3837_3635_3433_3231))
    }

    @Test func oneBatchKeepsBoth() throws {
        var batch = batch([[0, 1], [2, 3], [4, 5], [6, 7]])
        batch.ids = [.text("\u{E9}"), .text("e\u{301}"), .text("\u{E9}"), .text("e")]
        let kept = batch.keepingLastOfEqualIDs()
        #expect(kept.ids == [.text("e\u{301}"), .text("\u{E9}"), .text("e")])
    }
}

@Suite struct ValidationTests {
    let plain = CollectionSchema(dim: 2)
    let cosine = CollectionSchema(dim: 2, metric: .cosine)
    let small = CollectionSchema(dim: 2, element: .u8)

    @Test(arguments: [Float.nan, .infinity, -.infinity, 1e30, -1e16])
    func refusesWhatIsNotFinite(value: Float) {
        #expect(throws: OmenError.self) {
            try batch([[0, 1], [2, value]]).validated(against: plain)
        }
    }

    @Test func namesTheRowAndTheElement() {
        do {
            _ = try batch([[0, 1], [2, .nan]]).validated(against: plain)
            Issue.record("a NaN was accepted")
        } catch {
            #expect(error.code == .badRequest)
            #expect(error.message.contains("vector 1 element 1 is nan"))
        }
    }

    @Test func acceptsSubnormalsAndTheLargestMagnitude() throws {
        let accepted = try batch([[.leastNonzeroMagnitude, -1e15]]).validated(against: plain)
        #expect(accepted.batch.ids.count == 1)
    }

    @Test(arguments: Metric.allCases)
    func refusesVectorsOfWhichNoElementCountsUnderEveryMetric(metric: Metric) throws {
        let schema = CollectionSchema(dim: 2, metric: metric)
        let tiny: [[Float]] = [[1e-16, 0], [0, -9e-16], [.leastNonzeroMagnitude, 1e-30]]
        for row in tiny {
            let error = #expect(throws: OmenError.self) {
                try batch([[1, 1], row]).validated(against: schema)
            }
            #expect(error?.message.contains("vector 1 is nearly zero: its largest element") == true)
        }
        _ = try batch([[1e-15, 0], [1e-30, -1e-15]]).validated(against: schema)
    }

    @Test(arguments: 1...70)
    func findsOneBadElementAtEveryPlace(dim: Int) {
        for place in 0..<dim {
            for (value, name) in [(Float.nan, "nan"), (-.infinity, "-inf"), (-2e15, "-2e+15")] {
                var row = [Float](repeating: -1, count: dim)
                row[place] = value
                let error = #expect(throws: OmenError.self) {
                    try batch([row]).validated(against: CollectionSchema(dim: dim))
                }
                #expect(error?.message.contains("element \(place) is \(name)") == true)
            }
            var row = [Float](repeating: 1e-30, count: dim)
            row[place] = -1e-15
            #expect(throws: Never.self) {
                try batch([row]).validated(against: CollectionSchema(dim: dim, metric: .cosine))
            }
            var small = [UInt8](repeating: 0, count: dim)
            let schema = CollectionSchema(dim: dim, metric: .cosine, element: .u8)
            var whole = UpsertBatch(
                collection: "c",
                element: .u8,
                dim: dim,
                ids: [.number(1)],
                vectors: small
            )
            #expect(throws: OmenError.self) { try whole.validated(against: schema) }
            small[place] = 200
            whole.vectors = small
            #expect(throws: Never.self) { try whole.validated(against: schema) }
        }
    }

    @Test func refusesZeroVectorsUnderCosineOnly() throws {
        #expect(throws: OmenError.self) { try batch([[0, -0.0]]).validated(against: cosine) }
        #expect(throws: OmenError.self) { try batch([[1e-30, 0]]).validated(against: cosine) }
        #expect(try batch([[0, 0]]).validated(against: plain).batch.dim == 2)
    }

    @Test func convertsWholeNumbersForByteCollections() throws {
        let converted = try batch([[0, 255]]).validated(against: small)
        #expect(converted.batch.element == .u8)
        #expect(converted.batch.vectors == [0, 255])
        #expect(throws: OmenError.self) { try batch([[0, 0.5]]).validated(against: small) }
        #expect(throws: OmenError.self) { try batch([[0, 256]]).validated(against: small) }
        #expect(throws: OmenError.self) { try batch([[0, -1]]).validated(against: small) }
    }

    @Test func refusesWrongDimensionsAndByteCounts() {
        #expect(throws: OmenError.self) { try batch([[1, 2, 3]]).validated(against: plain) }
        var short = batch([[1, 2]])
        short.vectors.removeLast()
        #expect(throws: OmenError.self) { try short.validated(against: plain) }
    }

    @Test func lastOfEqualIDsWins() {
        var twice = batch([[1, 1], [2, 2], [3, 3]], metadata: ["{}", "", "{\"a\":1}"])
        twice.ids = [.number(7), .text("x"), .number(7)]
        let kept = twice.keepingLastOfEqualIDs()
        #expect(kept.ids == [.text("x"), .number(7)])
        #expect(kept.vectors == bytes([2, 2, 3, 3]))
        #expect(kept.metadata == [[], Array("{\"a\":1}".utf8)])
    }

    @Test(arguments: [
        "{}", " {\"a\" : [1, -2.5e+3, true, null, \"\\u00e9\\n\"] } ", "{\"é\":{\"b\":{}}}",
    ])
    func acceptsObjects(text: String) throws {
        let checked = try batch([[1, 2]], metadata: [text]).validated(against: plain)
        #expect(checked.batch.metadata.count == 1)
    }

    @Test(arguments: [
        "[]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{'a':1}", "{\"a\":01}", "{\"a\":1}x",
        "{\"a\":\"\u{1}\"}", "{\"a\":nul}", "{\"a\":+1}", "{\"a\":1.}", "{\"a\":\"\\x\"}", "1",
    ])
    func refusesWhatIsNotAnObject(text: String) {
        #expect(throws: OmenError.self) {
            try batch([[1, 2]], metadata: [text]).validated(against: plain)
        }
    }

    @Test func boundsTheDepthOfMetadata() throws {
        func nested(_ depth: Int) -> String {
            "{\"a\":" + String(repeating: "[", count: depth - 1)
                + String(repeating: "]", count: depth - 1) + "}"
        }
        #expect(
            try batch([[1, 2]], metadata: [nested(32)]).validated(against: plain).batch.dim == 2
        )
        #expect(throws: OmenError.self) {
            try batch([[1, 2]], metadata: [nested(33)]).validated(against: plain)
        }
        #expect(throws: OmenError.self) {
            try batch([[1, 2]], metadata: [nested(100_000)]).validated(against: plain)
        }
    }

    @Test func mutatedMetadataNeverTraps() {
        let seed: UInt64 = 20_261_121
        var random = SplitMix64(seed: seed)
        let text = Array("{\"a\":[1,2.5,{\"b\":\"\\u0041\"}],\"c\":null}".utf8)
        var refused = 0
        for _ in 0..<5000 {
            var mutated = text
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                mutated[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(
                    in: 0...255,
                    using: &random
                )
            }
            mutated.withUnsafeBytes { bytes in
                do { try JSONText.validateObject(bytes) } catch { refused += 1 }
            }
        }
        #expect(refused > 1000, "seed \(seed)")
    }
}

@Suite struct WriteOperationTests {
    @Test func everyOperationSurvivesItsBytes() throws {
        let operations: [WriteOperation] = [
            .createCollection(name: "a-b_1", schema: CollectionSchema(dim: 3, metric: .ip)),
            .dropCollection(name: "x"), .clearCollection(name: "x"),
            .upsert(batch([[1, 2], [3, 4]], metadata: ["{}", ""])),
            .delete(collection: "x", ids: [.number(.max), .text("é"), .number(0)]),
            .calibrate(QuerySample(collection: "x", element: .u8, dim: 0, vectors: [])),
            .calibrate(
                QuerySample(collection: "x", element: .u8, dim: 2, vectors: Array(0..<32))
            ),
        ]
        for operation in operations {
            var writer = ByteWriter()
            operation.encode(into: &writer)
            try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                #expect(try WriteOperation(from: &reader) == operation)
                try reader.expectEnd()
                for cut in 0..<bytes.count {
                    var short = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<cut]))
                    #expect(throws: OmenError.self) { try WriteOperation(from: &short) }
                }
            }
        }
    }
}

@Suite struct CalibrationTableTests {
    private func table(_ points: [(Int, Float)], isOfSample: Bool = true) -> CalibrationTable {
        let curve = points.map { CalibrationTable.Point(ef: $0.0, recall: $0.1) }
        return CalibrationTable(isOfSample: isOfSample, curves: [curve, curve, []])
    }

    @Test func shardsAreTakenTogetherAtTheWidthsThatAllHave() {
        let mean = CalibrationTable.mean(of: [
            table([(8, 0.5), (12, 0.75), (16, 1)]), table([(8, 1), (16, 0.5), (24, 1)]),
        ])
        #expect(mean == table([(8, 0.75), (16, 0.75)]))
    }

    @Test func aShardThatWasNotMeasuredSaysNothingOfTheWhole() {
        #expect(CalibrationTable.mean(of: [table([(8, 1)]), nil]) == nil)
        #expect(CalibrationTable.mean(of: []) == nil)
        let mixed = [table([(8, 1)]), table([(8, 1)], isOfSample: false)]
        #expect(CalibrationTable.mean(of: mixed)?.isOfSample == false)
    }
}

@Suite struct MergeTests {
    @Test func mergesByDistanceThenID() {
        let left = [Hit(id: .number(5), distance: 1), Hit(id: .number(1), distance: 3)]
        let right = [Hit(id: .number(2), distance: 1), Hit(id: .text("a"), distance: 2)]
        let merged = mergeNearest([left[...], right[...], []], k: 3)
        #expect(merged.map(\.id) == [.number(2), .number(5), .text("a")])
    }
}
