import Glibc
import OmenCore
import OmenIndex
import Synchronization
import Testing

/// What a bulk build must survive and keep; see `RebuildTests` for what it must find.
@Suite struct RebuildEdgeTests {
    private func rebuilt(_ index: VectorIndex) throws -> RebuiltIndex {
        try #require(try index.rebuildJob().run(progress: { _ in }, shouldStop: { false }))
    }

    @Test func distancesThatOverflowStillGiveAGraph() throws {
        for metric in [Metric.l2, .ip] {
            let schema = CollectionSchema(dim: 8, metric: metric, codes: .f32, m: 4)
            let source = try Checked(schema)
            let data = TestData(.normal, count: 1200, dim: 8, seed: 6)
            for vector in data.vectors { try source.append(vector.map { $0 * 3e25 }) }
            let index = try rebuilt(source.index).index
            #expect(index.linkedCount == 1200)
            try index.checkInvariants()
        }
    }

    @Test func manyEqualRowsAreAllFound() throws {
        for schema in schemas(dim: 16) {
            let data = TestData(.normal, count: 2, dim: schema.dim, seed: 5)
            let source = try Checked(schema)
            for row in 0..<2300 { try source.append(data.vectors[row % 40 == 7 ? 1 : 0]) }
            let result = try rebuilt(source.index)
            try result.index.checkInvariants()
            let checked = Checked(schema, index: result.index)
            #expect(try checked.search(data.vectors[0], k: 20, ef: 20).count == 20)
        }
    }

    @Test func deletedRowsAreLeftBehindAlsoWhenNoneIsLeft() throws {
        let (source, data) = try LifecycleTests.filled(count: 1500)
        _ = source.index.link(atMost: 300)
        for row in UInt32(0)..<1500 where row % 5 == 2 || row < 90 { source.delete(row) }
        let live = (0..<UInt32(1500)).filter { !source.deleted.contains($0) }
        #expect(try rebuilt(source.index).sourceRows.sorted() == live)
        for row in live { source.delete(row) }
        let empty = Checked(source.schema, index: try rebuilt(source.index).index)
        #expect(empty.index.rowCount == 0)
        #expect(try empty.search(data.queries[0]).isEmpty)
    }

    @Test func vectorsAreCopiedToTheByte() throws {
        let (source, _) = try LifecycleTests.filled(count: 2200)
        let result = try rebuilt(source.index)
        var expected: [UInt8] = []
        var found: [UInt8] = []
        for (row, old) in result.sourceRows.enumerated() {
            source.index.copyVector(old, into: &expected)
            result.index.copyVector(UInt32(row), into: &found)
            #expect(expected == found)
        }
    }

    @Test func aRebuiltIndexIsStoredAndOpenedLikeAnyOther() throws {
        for schema in schemas(dim: 16) {
            let (source, _) = try LifecycleTests.filled(schema, count: 1100)
            let bytes = PersistenceTests.bytes(try rebuilt(source.index).index)
            let reopened = try PersistenceTests.reopen(schema, bytes)
            #expect(PersistenceTests.bytes(reopened) == bytes)
            try reopened.checkInvariants()
        }
    }

    @Test func linksOfTheOldGraphHaveNoInfluence() throws {
        let (source, _) = try LifecycleTests.filled(count: 2200)
        let first = try rebuilt(source.index)
        _ = source.index.link(atMost: 40)
        let second = try rebuilt(source.index)
        #expect(PersistenceTests.bytes(first.index) == PersistenceTests.bytes(second.index))
        #expect(first.calibration == second.calibration)
    }

    /// Whoever did which part of it, and whenever helpers had to wait.
    @Test func helpersBuildTheSameGraph() throws {
        let asked = Atomic<Int>(0)
        let helpers = [
            BuildHelpers.some(3),
            BuildHelpers(count: 2) {
                BuildHelpers.Helper(
                    mayGoOn: { asked.load(ordering: .relaxed) % 3 != 0 },
                    shouldStop: {
                        asked.add(1, ordering: .relaxed)
                        return false
                    }
                )
            },
        ]
        let counts = [9000, 2100, 9000, 900, 2100, 9000, 2100, 2100, 9000]
        let schemas = schemas(dim: 16)
        #expect(schemas.count == counts.count)
        for (schema, count) in zip(schemas, counts) {
            let (source, _) = try LifecycleTests.filled(schema, count: count)
            let alone = try rebuilt(source.index)
            for helpers in helpers {
                asked.store(1, ordering: .relaxed)
                let helped = try #require(
                    try source.index.rebuildJob().run(
                        helpers: helpers,
                        progress: { _ in },
                        shouldStop: {
                            asked.add(1, ordering: .relaxed)
                            return false
                        }
                    )
                )
                #expect(helped.sourceRows == alone.sourceRows)
                #expect(helped.calibration == alone.calibration)
                let isSame =
                    PersistenceTests.bytes(helped.index) == PersistenceTests.bytes(alone.index)
                #expect(isSame, "\(count) rows, \(schema)")
            }
        }
    }

    /// In all steps: they are told of by the thousandths done.
    @Test(arguments: [0, 1, 100, 500, 800, 850, 900, 950])
    func aBuildWithHelpersStops(atPermille limit: Int) throws {
        let (source, _) = try LifecycleTests.filled(count: 3000)
        var permille = 0
        let stopped = try source.index.rebuildJob().run(
            helpers: .some(2),
            progress: { permille = $0 },
            shouldStop: { permille >= limit }
        )
        #expect(stopped == nil)
    }

    @Test func aHelperStopsABuild() throws {
        let (source, _) = try LifecycleTests.filled(count: 3000)
        let hasStopped = Atomic<Bool>(false)
        let helpers = BuildHelpers(count: 1) {
            BuildHelpers.Helper(
                mayGoOn: { true },
                shouldStop: {
                    hasStopped.store(true, ordering: .relaxed)
                    return true
                }
            )
        }
        var waits = 0
        let stopped = try source.index.rebuildJob().run(
            helpers: helpers,
            progress: { _ in },
            shouldStop: {
                // The first steps have nothing for helpers; then they may come late.
                waits += 1
                if waits > 100, waits < 5000, !hasStopped.load(ordering: .relaxed) { usleep(1000) }
                return false
            }
        )
        #expect(stopped == nil && hasStopped.load(ordering: .relaxed))
    }

    @Test func aBuildStopsAtEveryQuestion() throws {
        let (source, _) = try LifecycleTests.filled(count: 2100)
        var asked = 0
        let job = source.index.rebuildJob()
        let whole = try job.run(
            progress: { _ in },
            shouldStop: {
                asked += 1
                return false
            }
        )
        #expect(whole != nil)
        for limit in [0, asked / 2, asked - 1] {
            var left = limit
            let stopped = try source.index.rebuildJob().run(
                progress: { _ in },
                shouldStop: {
                    left -= 1
                    return left < 0
                }
            )
            #expect(stopped == nil, "after \(limit) of \(asked) questions")
        }
    }
}
