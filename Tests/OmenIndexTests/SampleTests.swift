import OmenCore
import Testing

@testable import OmenIndex

/// Calibrating with queries that are no rows.
@Suite struct SampleTests {
    private static let dim = 32
    private static let sampleCount = 128

    /// Rows that lie along few directions, and queries that do not.
    private static func data(_ count: Int) -> (rows: [[Float]], queries: [[Float]]) {
        let drawn = TestData(.normal, count: count, queryCount: 228, dim: dim, seed: 11)
        let rows = drawn.vectors.map { row in
            row.enumerated().map { $1 / Float(1 + $0) }
        }
        return (rows, drawn.queries)
    }

    private static func bytes(_ schema: CollectionSchema, _ queries: [[Float]]) -> [UInt8] {
        queries.flatMap { query in
            schema.element == .f32
                ? query.withUnsafeBytes(Array.init) : TestData.bytes(query)
        }
    }

    private static func sample(
        _ schema: CollectionSchema,
        lsn: UInt64,
        _ queries: [[Float]]
    ) -> CalibrationSample {
        CalibrationSample(lsn: lsn, vectors: bytes(schema, queries))
    }

    private static func filled(_ schema: CollectionSchema, _ rows: [[Float]]) throws -> Checked {
        let checked = try Checked(schema)
        for row in rows { try checked.append(row) }
        return checked
    }

    private func rebuilt(_ index: VectorIndex) throws -> RebuiltIndex {
        try #require(try index.rebuildJob().run(progress: { _ in }, shouldStop: { false }))
    }

    /// What the table says of the nearest ten at a width that is tried always.
    private func told(_ index: VectorIndex, ef: Int) throws -> Double {
        let curve = try #require(index.calibrationTable).curves[1]
        return Double(try #require(curve.first { $0.ef == ef }).recall)
    }

    @Test(arguments: schemas(dim: dim))
    func theTableIsWhatSearchesOfSuchQueriesFind(_ schema: CollectionSchema) throws {
        let (rows, queries) = Self.data(3000)
        let source = try Self.filled(schema, rows)
        let own = try rebuilt(source.index)
        source.index.sample = Self.sample(schema, lsn: 9, Array(queries.prefix(Self.sampleCount)))
        #expect(source.index.awaitsCalibration)
        let result = try rebuilt(source.index)
        #expect(!result.index.awaitsCalibration)
        #expect(own.index.calibrationTable?.isOfSample == false)
        #expect(result.index.calibrationTable?.isOfSample == true)
        try result.index.checkInvariants()
        let other = Checked(schema, index: result.index)
        other.stored = result.sourceRows.map { source.stored[Int($0)] }
        let found = try other.recall(Array(queries.dropFirst(Self.sampleCount)), ef: 12)
        let told = try told(result.index, ef: 12)
        // A hundred others; the table has a standard error less.
        #expect(told >= found - 0.11 && told <= found + 0.05, "\(told), found \(found), \(schema)")
        // Under ip rows are no queries of their own either, and bytes have one spectrum.
        guard schema.metric != .ip, schema.element == .f32 else { return }
        let wrong = try self.told(own.index, ef: 12)
        #expect(wrong > found + 0.1, "\(wrong) of own rows, found \(found), \(schema)")
    }

    @Test(arguments: [Metric.l2, .cosine, .ip])
    func queriesLeaveNothingBehind(_ metric: Metric) throws {
        let schema = CollectionSchema(dim: Self.dim, metric: metric, codes: .u8)
        let (rows, queries) = Self.data(1500)
        let source = try Self.filled(schema, rows)
        #expect(source.index.rebuildJob().heldOutCount == 23)
        var results: [VectorIndex] = []
        for (lsn, factor) in [(UInt64(3), Float(1)), (4, 1000)] {
            let scaled = queries.map { $0.map { $0 * factor } }
            source.index.sample = Self.sample(schema, lsn: lsn, Array(scaled.prefix(64)))
            #expect(source.index.rebuildJob().heldOutCount == 0)
            let index = try rebuilt(source.index).index
            #expect(index.rowCount == 1500 && index.linkedCount == 1500 && index.builtCount == 1500)
            #expect(index.calibratedLSN == lsn && index.sample == source.index.sample)
            results.append(index)
        }
        var few = PersistenceTests.bytes(results[0])
        var many = PersistenceTests.bytes(results[1])
        #expect(few[.state] != many[.state])
        few[.state] = nil
        many[.state] = nil
        #expect(few == many)
        #expect(results[0].rowStore.squaredNormMax == results[1].rowStore.squaredNormMax)
        #expect(results[0].rowStore.squaredNormMin == results[1].rowStore.squaredNormMin)
        #expect(
            results[0].codeStore.quantizer.encodedCount
                == results[1].codeStore.quantizer.encodedCount
        )
    }

    @Test func fewRowsAreNotMeasuredAndNotWaitedFor() throws {
        let schema = CollectionSchema(dim: Self.dim)
        let (rows, queries) = Self.data(1023)
        let source = try Self.filled(schema, rows)
        source.index.sample = Self.sample(schema, lsn: 3, Array(queries.prefix(16)))
        let index = try rebuilt(source.index).index
        #expect(index.calibration == nil && !index.awaitsCalibration)
        // Without queries it does not matter which operation took them away.
        index.sample = CalibrationSample(lsn: 77, vectors: [])
        #expect(index.sample == CalibrationSample() && index.awaitsCalibration)
    }

    private static func withSample(_ metric: Metric = .l2) throws -> (CollectionSchema, VectorIndex)
    {
        let schema = CollectionSchema(dim: dim, metric: metric)
        let (rows, queries) = data(1100)
        let source = try filled(schema, rows)
        source.index.sample = sample(schema, lsn: 3, Array(queries.prefix(20)))
        let result = try #require(
            try source.index.rebuildJob().run(progress: { _ in }, shouldStop: { false })
        )
        // Another one has come since.
        result.index.sample = sample(schema, lsn: 5, Array(queries.suffix(17)))
        return (schema, result.index)
    }

    @Test(arguments: [Metric.l2, .cosine, .ip])
    func theSampleSurvivesReopeningByteByByte(_ metric: Metric) throws {
        let (schema, index) = try Self.withSample(metric)
        let copies = PersistenceTests.bytes(index)
        let reopened = try PersistenceTests.reopen(schema, copies)
        #expect(PersistenceTests.bytes(reopened) == copies)
        #expect(reopened.sample == index.sample && reopened.sample.lsn == 5)
        #expect(reopened.calibratedLSN == 3 && reopened.awaitsCalibration)
        #expect(reopened.calibrationTable == index.calibrationTable)
    }

    /// Bytes from the end of the state section, and what is there instead.
    @Test(
        arguments: [
            (17 * dim * 4 + 4, 257), (17 * dim * 4 + 4, 16), (17 * dim * 4 + 4, 18),
            (17 * dim * 4 + 4, 0), (17 * dim * 4 + 20, 0), (4, 0x7FC0_0000), (dim * 4, 0x7F80_0000),
        ] as [(Int, UInt32)]
    )
    func damagedSamplesAreRefused(fromEnd: Int, word: UInt32) throws {
        let (schema, index) = try Self.withSample()
        var copies = PersistenceTests.bytes(index)
        var state = try #require(copies[.state])
        let at = state.count - fromEnd
        withUnsafeBytes(of: word.littleEndian) { state.replaceSubrange(at..<at + 4, with: $0) }
        copies[.state] = state
        let error = #expect(throws: OmenError.self) {
            try PersistenceTests.reopen(schema, copies)
        }
        #expect(error?.code == .corrupt, "\(String(describing: error))")
    }

    @Test func aQueryWithoutADirectionIsRefusedUnderCosine() throws {
        for metric in [Metric.l2, .cosine] {
            let (schema, index) = try Self.withSample(metric)
            var copies = PersistenceTests.bytes(index)
            var state = try #require(copies[.state])
            let zeros = [UInt8](repeating: 0, count: Self.dim * 4)
            state.replaceSubrange(state.count - zeros.count..<state.count, with: zeros)
            copies[.state] = state
            guard metric == .cosine else {
                _ = try PersistenceTests.reopen(schema, copies)
                continue
            }
            let error = #expect(throws: OmenError.self) {
                try PersistenceTests.reopen(schema, copies)
            }
            #expect(error?.message.contains("query 16 is zero") == true)
        }
    }
}
