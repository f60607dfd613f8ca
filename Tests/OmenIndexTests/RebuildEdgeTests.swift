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

    /// Whoever did which part of it, and whenever helpers left.
    @Test func helpersBuildTheSameGraph() throws {
        for (schema, count) in zip(
            schemas(dim: 16),
            [900, 2100, 9000, 2100, 9000, 2100, 9000, 2100]
        ) {
            let (source, _) = try LifecycleTests.filled(schema, count: count)
            let alone = try rebuilt(source.index)
            let questions = Atomic<Int>(0)
            let all = BuildHelpers(count: 3)
            let some = BuildHelpers(count: 2) {
                questions.add(1, ordering: .relaxed).newValue % 5 != 0
            }
            for helpers in [all, some] {
                let helped = try #require(
                    try source.index.rebuildJob().run(
                        helpers: helpers,
                        progress: { _ in },
                        shouldStop: { false }
                    )
                )
                #expect(helped.sourceRows == alone.sourceRows)
                #expect(helped.calibration == alone.calibration)
                let same =
                    PersistenceTests.bytes(helped.index) == PersistenceTests.bytes(alone.index)
                #expect(same, "\(count) rows, \(schema)")
            }
            #expect(count < 1000 || questions.load(ordering: .relaxed) > 0)
        }
    }

    @Test func aBuildWithHelpersStopsAtEveryQuestion() throws {
        let (source, _) = try LifecycleTests.filled(count: 2100)
        for limit in [0, 1, 5, 50, 200] {
            var left = limit
            let stopped = try source.index.rebuildJob().run(
                helpers: BuildHelpers(count: 2),
                progress: { _ in },
                shouldStop: {
                    left -= 1
                    return left < 0
                }
            )
            #expect(stopped == nil, "after \(limit) questions")
        }
        let helper = BuildHelpers(count: 1, shouldStop: { true })
        let stopped = try source.index.rebuildJob().run(
            helpers: helper,
            progress: { _ in },
            shouldStop: { false }
        )
        #expect(stopped == nil, "when a helper is told to stop")
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
