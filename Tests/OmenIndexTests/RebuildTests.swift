import OmenCore
import OmenIndex
import Synchronization
import Testing

@Suite struct RebuildTests {
    static let schema = LifecycleTests.schema
    static let cases: [(CollectionSchema, TestData.Shape)] = schemas(dim: 16).flatMap { schema in
        TestData.Shape.allCases.map { (schema, $0) }
    }

    /// Rebuilds, and checks what must hold of every rebuilt index.
    static func rebuilt(_ old: Checked) throws -> Checked {
        let rebuilt = try #require(try old.rebuild())
        try check(rebuilt, live: liveRows(old))
        return Checked(rebuilt, of: old)
    }

    static func liveRows(_ checked: Checked) -> [UInt32] {
        (0..<UInt32(checked.index.rowCount)).filter { !checked.index.isDeleted($0) }
    }

    /// Under ip the graph is searched in another space than it is built in; of duplicates a row
    /// links to one, which leads to the others only later.
    static func recallMin(_ schema: CollectionSchema, _ shape: TestData.Shape = .normal) -> Double {
        schema.metric == .ip || shape == .duplicates ? 0.85 : 0.9
    }

    static func check(_ rebuilt: RebuiltIndex, live: [UInt32]) throws {
        #expect(rebuilt.sourceRows.sorted() == live)
        #expect(rebuilt.index.rowCount == live.count)
        #expect(rebuilt.index.linkedCount == live.count)
        #expect(rebuilt.index.deletedCount == 0)
        try rebuilt.index.checkInvariants()
    }

    @Test(arguments: cases)
    func aRebuiltGraphFindsNearlyAllNeighbours(
        _ schema: CollectionSchema,
        _ shape: TestData.Shape
    ) throws {
        let seed: UInt64 = 12
        // More than one group, so that there is something to divide.
        let data = TestData(shape, count: 1300, queryCount: 12, dim: schema.dim, seed: seed)
        let old = try Checked(schema)
        for vector in data.vectors { try old.append(vector) }
        let checked = try Self.rebuilt(old)
        let recall = try checked.recall(data.queries, ef: 36)
        #expect(
            recall >= Self.recallMin(schema, shape),
            "recall \(recall), \(schema), \(shape), seed \(seed)"
        )
    }

    @Test(arguments: [0, 1, 2, 3, 17, 200])
    func fewRowsAreRebuilt(count: Int) throws {
        for schema in schemas(dim: 16) {
            let data = TestData(.normal, count: max(1, count), dim: schema.dim, seed: 3)
            let old = try Checked(schema)
            for vector in data.vectors.prefix(count) { try old.append(vector) }
            let checked = try Self.rebuilt(old)
            for query in data.queries {
                try checked.check(try checked.search(query), query, count: min(10, count))
            }
        }
    }

    @Test func identicalVectorsStayReachable() throws {
        for schema in schemas(dim: 16) {
            let data = TestData(.normal, count: 2, dim: schema.dim, seed: 5)
            let old = try Checked(schema)
            for index in 0..<2300 { try old.append(data.vectors[index % 40 == 7 ? 1 : 0]) }
            let checked = try Self.rebuilt(old)
            let hits = try checked.search(data.vectors[0], k: 20, ef: 20)
            #expect(hits.count == 20)
        }
    }

    @Test func distancesThatOverflowStillGiveAGraph() throws {
        for metric in [Metric.l2, .ip] {
            let schema = CollectionSchema(dim: 8, metric: metric, codes: .f32, m: 4)
            let old = try Checked(schema)
            let data = TestData(.normal, count: 1200, dim: 8, seed: 6)
            for vector in data.vectors { try old.append(vector.map { $0 * 3e25 }) }
            _ = try Self.rebuilt(old)
        }
    }

    @Test func deletedRowsAreLeftBehind() throws {
        for schema in schemas(dim: 16) {
            let (old, data) = try LifecycleTests.filled(schema, count: 1500)
            _ = old.index.link(atMost: 300)
            for row in UInt32(0)..<1500 where row % 5 == 2 || row < 90 { old.delete(row) }
            let checked = try Self.rebuilt(old)
            let recall = try checked.recall(data.queries, ef: 30)
            #expect(recall >= Self.recallMin(schema), "recall \(recall), \(schema)")
        }
        let (old, data) = try LifecycleTests.filled(count: 30)
        for row in UInt32(0)..<30 { old.delete(row) }
        let empty = try Self.rebuilt(old)
        #expect(try empty.search(data.queries[0]).isEmpty)
    }

    @Test func vectorsAreCopiedToTheByte() throws {
        let (old, _) = try LifecycleTests.filled(count: 1200)
        let rebuilt = try #require(try old.rebuild())
        var expected: [UInt8] = []
        var found: [UInt8] = []
        for (row, source) in rebuilt.sourceRows.enumerated() {
            old.index.copyVector(source, into: &expected)
            rebuilt.index.copyVector(UInt32(row), into: &found)
            #expect(expected == found)
        }
    }

    @Test func aRebuiltIndexGoesOnLikeAnyOther() throws {
        for schema in schemas(dim: 16) {
            let (old, data) = try LifecycleTests.filled(schema, count: 1100)
            let checked = try Self.rebuilt(old)
            for vector in data.queries { try checked.append(vector.map { $0 * 1.5 }) }
            for row in UInt32(0)..<200 { checked.delete(row) }
            checked.linkAll()
            try checked.index.checkInvariants()
            let recall = try checked.recall(data.queries, ef: 30)
            #expect(recall >= Self.recallMin(schema), "recall \(recall), \(schema)")
            let bytes = PersistenceTests.bytes(checked.index)
            let reopened = try PersistenceTests.reopen(schema, bytes)
            #expect(PersistenceTests.bytes(reopened) == bytes)
        }
    }

    @Test func theSameRowsGiveTheSameGraph() throws {
        let (old, _) = try LifecycleTests.filled(count: 2200)
        let first = try #require(try old.rebuild())
        // Links of the old graph have no influence.
        _ = old.index.link(atMost: 40)
        let second = try #require(try old.rebuild())
        #expect(PersistenceTests.bytes(first.index) == PersistenceTests.bytes(second.index))
        #expect(first.sourceRows == second.sourceRows)
        #expect(first.calibration == second.calibration)
    }

    @Test func theOldIndexGoesOnMeanwhile() throws {
        let (old, data) = try LifecycleTests.filled(count: 2500)
        for row in UInt32(0)..<2500 where row % 9 == 0 { old.delete(row) }
        let live = Self.liveRows(old)
        let job = try old.index.rebuildJob()
        let result = Mutex<RebuiltIndex?>(nil)
        let isRunning = Atomic<Bool>(false)
        let thread = try BackgroundThread {
            do throws(OmenError) {
                let rebuilt = try job.run(
                    progress: { _ in isRunning.store(true, ordering: .relaxed) },
                    shouldStop: { false }
                )
                result.withLock { $0 = rebuilt }
            } catch {
                Issue.record(error)
            }
        }
        while !isRunning.load(ordering: .relaxed) { _ = old.index.link(atMost: 1) }
        for (index, vector) in data.vectors.prefix(400).enumerated() {
            try old.append(vector)
            old.delete(UInt32(index * 5))
            _ = old.index.link(atMost: 2)
            if index % 20 == 0 {
                let query = data.queries[index / 20]
                try old.check(try old.search(query), query, count: 10)
            }
        }
        thread.join()
        let rebuilt = try #require(result.withLock { $0.take() })
        try Self.check(rebuilt, live: live)
        let recall = try Checked(rebuilt, of: old).recall(data.queries, ef: 30)
        #expect(recall >= 0.9, "recall \(recall)")
        old.linkAll()
        try old.index.checkInvariants()
    }

    @Test func stopsWhenToldAndTellsHowFarItIs() throws {
        let (old, _) = try LifecycleTests.filled(count: 2100)
        var asked = 0
        var told: [Int] = []
        let rebuilt = try old.index.rebuildJob().run(
            progress: { told.append($0) },
            shouldStop: {
                asked += 1
                return false
            }
        )
        #expect(rebuilt != nil)
        #expect(told.last == 1000)
        #expect(told == told.sorted())
        #expect(told.allSatisfy { $0 >= 0 && $0 <= 1000 })
        for limit in [0, asked / 3, asked - 1] {
            var left = limit
            let stopped = try old.index.rebuildJob().run(
                progress: { _ in },
                shouldStop: {
                    left -= 1
                    return left < 0
                }
            )
            #expect(stopped == nil, "after \(limit) of \(asked) questions")
        }
        try Self.check(try #require(try old.rebuild()), live: Self.liveRows(old))
    }
}

/// Against streaming, on real vectors.
@Suite struct RebuildSampleTests {
    static let rowCount = 4000

    /// The first descriptors of the sample.
    static func filled() throws -> (VectorIndex, queries: [[UInt8]]) {
        let base = try Sample.rows("sift10k_base.npy").prefix(rowCount)
        let schema = CollectionSchema(dim: 128, element: .u8)
        let index = try VectorIndex(schema: schema, seed: 1)
        for row in base {
            try row.withUnsafeBytes { _ = try index.append(#require($0.baseAddress)) }
        }
        return (index, Array(try Sample.rows("sift10k_query.npy").prefix(100)))
    }

    static func search(
        _ index: VectorIndex,
        _ query: [UInt8],
        ef: Int,
        exact: Bool = false
    )
        throws -> [Neighbor]
    {
        var hits: [Neighbor] = []
        try query.withUnsafeBytes {
            try index.search(
                #require($0.baseAddress),
                element: .u8,
                k: 10,
                ef: ef,
                exact: exact,
                maxDistance: .infinity,
                into: &hits
            )
        }
        return hits
    }

    static func recall(_ index: VectorIndex, _ queries: [[UInt8]], ef: Int) throws -> Double {
        var found = 0
        for query in queries {
            let truth = try search(index, query, ef: ef, exact: true)
            let farthest = try #require(truth.last).distance
            found += try search(index, query, ef: ef).count { $0.distance <= farthest }
        }
        return Double(found) / Double(queries.count * 10)
    }

    @Test func findsAsMuchAsTheStreamingGraph() throws {
        let (old, queries) = try Self.filled()
        let job = try old.rebuildJob()
        let rebuilt = try #require(try job.run(progress: { _ in }, shouldStop: { false }))
        try RebuildTests.check(rebuilt, live: Array(0..<UInt32(Self.rowCount)))
        while old.link(atMost: 64) > 0 {}
        for ef in [16, 32, 64] {
            let bulk = try Self.recall(rebuilt.index, queries, ef: ef)
            let streaming = try Self.recall(old, queries, ef: ef)
            // A narrow search of so few rows says little: 0.01 is ten of the thousand hits.
            let tolerance = ef < 32 ? 0.02 : 0.005
            #expect(bulk >= streaming - tolerance, "ef \(ef): \(bulk), streaming \(streaming)")
        }
        let calibration = try #require(rebuilt.calibration)
        for (index, ef) in calibration.efs.enumerated() {
            let recalls = (1...10).map { calibration.recall(at: index, k: $0) }
            #expect(recalls.allSatisfy { $0 >= 0 && $0 <= 1.0001 })
            #expect(calibration.recallsAt10[index] == recalls[9])
            // Queries and held-out rows are drawn from the same descriptors, but few.
            let measured = Float(try Self.recall(rebuilt.index, queries, ef: ef))
            if ef >= 12 { #expect(abs(recalls[9] - measured) <= 0.05, "ef \(ef): \(measured)") }
        }
        #expect(calibration.recallsAt10[0] <= 0.8)
        #expect(calibration.recallsAt10[6] >= 0.95)
    }

    @Test func smallIndexesAreNotCalibrated() throws {
        for (count, isCalibrated) in [(2047, false), (2048, true)] {
            let (old, _) = try LifecycleTests.filled(count: count)
            let rebuilt = try #require(try old.rebuild())
            #expect((rebuilt.calibration != nil) == isCalibrated)
        }
    }
}
