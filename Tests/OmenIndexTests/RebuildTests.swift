import OmenSystem
import Foundation
import OmenCore
import Synchronization
import Testing

@testable import OmenIndex

@Suite struct RebuildTests {
    private func rebuilt(_ index: VectorIndex) throws -> RebuiltIndex {
        try #require(try index.rebuildJob().run(progress: { _ in }, shouldStop: { false }))
    }

    /// Puts a rebuilt index in the place of its source, for searches to be checked against.
    private func checked(_ source: Checked, _ rebuilt: RebuiltIndex) -> Checked {
        let other = Checked(source.schema, index: rebuilt.index)
        other.stored = rebuilt.sourceRows.map { source.stored[Int($0)] }
        return other
    }

    @Test(arguments: RecallTests.cases)
    func everyKindOfIndexIsBuiltAnew(_ schema: CollectionSchema, _ shape: TestData.Shape) throws {
        let data = TestData(shape, count: 2400, queryCount: 12, dim: schema.dim, seed: 21)
        let source = try Checked(schema)
        for vector in data.vectors { try source.append(vector) }
        for row in stride(from: UInt32(0), to: 2400, by: 4) { source.delete(row) }
        let result = try rebuilt(source.index)
        let index = result.index
        #expect(index.rowCount == 1800 && index.linkedCount == 1800 && index.deletedCount == 0)
        try index.checkInvariants()
        let live = (0..<UInt32(2400)).filter { $0 % 4 != 0 }
        #expect(result.sourceRows.sorted() == live)
        let recall = try checked(source, result).recall(data.queries, ef: 48)
        // Copies of the near rows take the places of others in the candidate list.
        let floor = shape == .duplicates ? 0.8 : 0.9
        #expect(recall >= floor, "recall \(recall), \(schema), \(shape)")
        #expect(result.calibration != nil)
    }

    @Test(arguments: [0, 1, 2, 3, 17, 999, 1000, 1001, 2047, 2048])
    func anyNumberOfRowsIsBuilt(count: Int) throws {
        for schema in schemas(dim: 16) {
            let source = try Checked(schema)
            for vector in TestData(.normal, count: count, dim: 16, seed: 5).vectors {
                try source.append(vector)
            }
            let result = try rebuilt(source.index)
            #expect(result.index.linkedCount == count)
            #expect(result.sourceRows.count == count)
            try result.index.checkInvariants()
        }
    }

    @Test func rowsThatAreAllEqualStayReachable() throws {
        let schema = CollectionSchema(dim: 16, element: .u8, m: 8, efConstruction: 32)
        let source = try Checked(schema)
        for _ in 0..<5000 { try source.append([Float](repeating: 1, count: 16)) }
        let result = try rebuilt(source.index)
        try result.index.checkInvariants()
        #expect(result.index.linkedCount == 5000)
    }

    @Test func theBuiltIndexGoesOn() throws {
        let schema = CollectionSchema(dim: 16, m: 8, efConstruction: 48)
        let data = TestData(.clustered, count: 4000, dim: 16, seed: 6)
        let source = try Checked(schema)
        for vector in data.vectors.prefix(3000) { try source.append(vector) }
        let other = checked(source, try rebuilt(source.index))
        for vector in data.vectors.dropFirst(3000) { try other.append(vector) }
        for row in stride(from: UInt32(0), to: 4000, by: 3) { other.delete(row) }
        other.linkAll()
        try other.index.checkInvariants()
        #expect(try other.recall(data.queries, ef: 48) >= 0.95)
    }

    @Test func rowsAreCalibrated() throws {
        for schema in schemas(dim: 16) {
            let (source, _) = try LifecycleTests.filled(schema, count: 2100)
            let calibration = try #require(try rebuilt(source.index).calibration)
            for curve in [calibration.near, calibration.far] {
                let last = curve.efs.count - 1
                for index in 0...last {
                    let recalls = (1...curve.rankCount).map { curve.recall(at: index, k: $0) }
                    #expect(recalls.allSatisfy { (0...1.001).contains($0) })
                }
                #expect(curve.recall(at: last, k: 1) > 0.96, "nearest row, widest search")
            }
            // At most 8 of 10 were asked for.
            #expect(calibration.near.recall(at: 0, k: 10) <= 0.8001)
        }
    }

    @Test func theSameRowsGiveTheSameGraph() throws {
        let (source, data) = try LifecycleTests.filled(count: 3000)
        let first = try rebuilt(source.index)
        let second = try rebuilt(source.index)
        #expect(first.sourceRows == second.sourceRows)
        #expect(first.calibration == second.calibration)
        for query in data.queries {
            let a = try checked(source, first).search(query)
            #expect(try checked(source, second).search(query) == a)
        }
    }

    @Test func theSourceGoesOnMeanwhile() throws {
        let schema = CollectionSchema(dim: 16, element: .u8, m: 8, efConstruction: 32)
        let (source, data) = try LifecycleTests.filled(schema, count: 6000)
        let job = source.index.rebuildJob()
        let box = Mutex<RebuiltIndex?>(nil)
        let isRunning = Atomic<Bool>(true)
        let thread = try BackgroundThread {
            do throws(OmenError) {
                let result = try job.run(progress: { _ in }, shouldStop: { false })
                box.withLock { $0 = result }
            } catch { Issue.record("\(error)") }
            isRunning.store(false, ordering: .releasing)
        }
        var step = 0
        while isRunning.load(ordering: .acquiring) {
            try source.append(data.vectors[step % 6000])
            source.delete(UInt32(step * 7 % 6000))
            _ = source.index.link(atMost: 2)
            _ = try source.search(data.queries[step % data.queries.count])
            step += 1
        }
        thread.join()
        let result = try #require(box.withLock { $0 })
        #expect(result.sourceRows.sorted() == (0..<6000).map { UInt32($0) })
        try result.index.checkInvariants()
        try source.index.checkInvariants()
        #expect(try checked(source, result).recall(data.queries, ef: 40) >= 0.9)
    }

    @Test func aStoppedBuildGivesNothing() throws {
        let (source, _) = try LifecycleTests.filled(count: 3000)
        for stopAfter in [0, 3, 10] {
            var asked = 0
            let result = try source.index.rebuildJob().run(progress: { _ in }) {
                asked += 1
                return asked > stopAfter
            }
            #expect(result == nil)
        }
    }

    @Test func progressRisesToTheEnd() throws {
        let (source, _) = try LifecycleTests.filled(count: 5000)
        var seen: [Int] = []
        _ = try source.index.rebuildJob().run(progress: { seen.append($0) }, shouldStop: { false })
        #expect(seen == seen.sorted() && seen.count > 5)
        #expect(seen.allSatisfy { (0...1000).contains($0) })
        #expect(try #require(seen.last) > 700)
    }

    /// Real data: what the calibration promises is what searches find.
    @Test func aBuiltGraphOfDescriptorsIsAsGoodAsAStreamedOne() throws {
        let base = try Sample.vectors("sift10k_base").prefix(3000)
        let queries = try Sample.vectors("sift10k_query").prefix(100)
        let schema = CollectionSchema(dim: 128, element: .u8)
        let streamed = try VectorIndex(schema: schema, seed: 1)
        for row in base {
            _ = try row.withUnsafeBytes { try streamed.append(#require($0.baseAddress)) }
        }
        let result = try rebuilt(streamed)
        while streamed.link(atMost: 64) > 0 {}
        let truth = try queries.map { try Sample.search(streamed, $0, ef: 0, exact: true) }
        func recall(_ index: VectorIndex, _ sources: [UInt32]?, ef: Int) throws -> Double {
            var found = 0
            for (query, truth) in zip(queries, truth) {
                let rows = try Sample.search(index, query, ef: ef, exact: false)
                    .map { row in sources.map { $0[Int(row)] } ?? row }
                found += Set(rows).intersection(truth).count
            }
            return Double(found) / Double(queries.count * 10)
        }
        for ef in [16, 32, 64] {
            let bulk = try recall(result.index, result.sourceRows, ef: ef)
            let stream = try recall(streamed, nil, ef: ef)
            // With so few rows the last ones are linked without any hurry.
            #expect(bulk >= stream - 0.03, "ef \(ef): bulk \(bulk), streamed \(stream)")
            let calibration = try #require(result.calibration)
            // Few rows are held out: the table may end before, and tells less than what is found.
            let near = calibration.near
            let e = near.efs.firstIndex { $0 >= ef } ?? near.efs.count - 1
            let promised = Double(near.recall(at: e, k: 10))
            #expect(
                (bulk - 0.09...bulk + 0.02).contains(promised),
                "ef \(ef): \(promised), \(bulk)"
            )
        }
    }
}
