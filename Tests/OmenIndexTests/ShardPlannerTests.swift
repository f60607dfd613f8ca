import OmenCore
import OmenIndex
import Testing

@testable import OmenIndex

/// What a search is decided to do, by what was asked and by the rows.
@Suite struct ShardPlannerTests {
    private static let schema = CollectionSchema(dim: 8, metric: .l2, m: 8, efConstruction: 32)

    private func index(rows: Int, linked: Bool = true) throws -> VectorIndex {
        let checked = try Checked(Self.schema)
        for vector in TestData(.normal, count: rows, dim: 8, seed: 3).vectors {
            try checked.append(vector)
        }
        if linked { checked.linkAll() }
        return checked.index
    }

    private func order(
        _ effort: SearchEffort,
        k: Int = 10,
        shards: Int = 1
    ) throws -> ShardOrder {
        var request = SearchRequest(
            collection: "c",
            element: .f32,
            dim: 8,
            vectors: [UInt8](repeating: 0, count: 32),
            count: 1,
            limit: k
        )
        request.effort = effort
        let search = try request.validated(against: Self.schema)
        return ShardOrder(search, shardCount: shards, largestShare: 1 / Double(shards))
    }

    @Test func dividesEfAsMeasured() throws {
        let planner = try index(rows: 10).planner
        func width(_ effort: SearchEffort, k: Int = 10, shards: Int) throws -> ShardEffort {
            try planner.effort(order(effort, k: k, shards: shards))
        }
        // Measured for equal recall: 80, 48, 32, 20.
        for (shards, ef) in [(1, 80), (2, 51), (4, 32), (8, 20)] {
            #expect(try width(.ef(80), shards: shards) == .walk(ef: ef))
        }
        #expect(try width(.standard, shards: 1) == .walk(ef: 128))
        #expect(try width(.standard, shards: 8) == .walk(ef: 32))
        #expect(try width(.standard, k: 100, shards: 1) == .walk(ef: 200))
        #expect(try width(.ef(10), shards: 8) == .walk(ef: 10))
        #expect(try width(.exact, shards: 8) == .scan(.asked))
    }

    @Test func recallIsAScanWhereNothingWasMeasuredOfFewRows() throws {
        let planner = try index(rows: 10).planner
        #expect(try planner.effort(order(.recall(0.95))) == .scan(.unmeasured))
    }

    @Test func recallAsksForMoreWidthTheHigherItIs() {
        let widths = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999, 0.99999]
            .map { UsualWidth.clusterEf(recall: Float($0), k: 10) }
        #expect(widths == widths.sorted())
        #expect(widths.first == 32)
        #expect(widths.last == Limits.efMax)
        #expect((80...90).contains(UsualWidth.clusterEf(recall: 0.95, k: 10)))
        #expect(UsualWidth.clusterEf(recall: 0.9, k: 500) == 1000)
    }

    @Test func noWidthLeavesTheLimits() throws {
        let planner = try index(rows: 10).planner
        var random = SplitMix64(seed: 7)
        for _ in 0..<20_000 {
            let found = try order(
                .ef(.random(in: 1...Limits.efMax, using: &random)),
                k: .random(in: 1...Limits.limitMax, using: &random),
                shards: .random(in: 1...Limits.shardCountMax, using: &random)
            )
            guard case .walk(let ef) = planner.effort(found) else {
                Issue.record("\(found) is a scan")
                return
            }
            #expect((found.limit...Limits.efMax).contains(ef))
        }
    }

    @Test func comparesAllRowsWhereAWalkWouldCostMore() throws {
        func plan(_ index: VectorIndex, ef: Int, k: Int = 10) -> ShardPlan {
            index.planner.plan(.walk(ef: ef), k: k, RowMask(index.rowStore))
        }
        let many = try index(rows: 5000)
        guard case .walk(let walk) = plan(many, ef: 40).method else {
            Issue.record("5,000 rows are scanned at ef 40")
            return
        }
        #expect(walk.width == 40 && walk.strangerWidth == 80 && walk.rerankCount == 15)
        #expect(walk.stopsEarly)
        #expect(plan(many, ef: 4000).method == .scan(.cheaper))
        #expect(plan(many, ef: 40).wanted == 10)
        #expect(plan(many, ef: 40, k: 1).wanted == 10)
        #expect(try plan(index(rows: 100), ef: 10).method == .scan(.cheaper))
        #expect(try plan(index(rows: 3, linked: false), ef: 10).method == .scan(.noGraph))
        #expect(try plan(index(rows: 0), ef: 10).wanted == 0)
        // Hidden rows fill the list, and say nothing about how far a walk has come.
        many.markDeleted(0)
        guard case .walk(let mixed) = plan(many, ef: 40).method else {
            Issue.record("one deleted row makes a scan")
            return
        }
        #expect(!mixed.stopsEarly)
    }

    @Test func aMaskHidesDeletedRowsAndThoseThatAreNotAccepted() throws {
        let index = try index(rows: 130)
        index.markDeleted(5)
        let deleted = RowMask(index.rowStore)
        #expect(deleted.hidesSome && deleted.shownCount == 129)
        #expect(deleted.hides(5) && !deleted.hides(6))
        let bits: [UInt64] = [1 << 5 | 1 << 6, 0, 1]
        bits.withUnsafeBufferPointer { accepted in
            guard let base = accepted.baseAddress else { return }
            let mask = RowMask(index.rowStore, accepting: base, shownCount: 2)
            #expect((0..<130).filter { !mask.hides(UInt32($0)) } == [6, 128])
            #expect(mask.hidesSome)
        }
    }
}
