import OmenCore
import Testing

/// What a coordinator asks of each of several shards.
@Suite struct ShardOrderTests {
    private let schema = CollectionSchema(dim: 1)

    private func order(
        k: Int,
        effort: SearchEffort = .standard,
        shards: Int
    ) throws -> ShardOrder {
        var request = SearchRequest(
            collection: "c",
            element: .f32,
            dim: 1,
            vectors: [0, 0, 0, 0],
            count: 1,
            limit: k
        )
        request.effort = effort
        let search = try request.validated(against: schema)
        return ShardOrder(search, shardCount: shards, largestShare: 1 / Double(shards))
    }

    @Test func asksEachShardForAllOfAFewHitsAndForLessOfMany() throws {
        #expect(try order(k: 10, shards: 8).limit == 10)
        #expect(try order(k: 25, shards: 8).limit < 26)
        #expect(try order(k: 100, shards: 8).limit == 44)
        #expect(try order(k: 1000, shards: 8).limit == 204)
        #expect(try order(k: 1000, effort: .exact, shards: 8).limit == 1000)
        #expect(try order(k: 1000, shards: 1).limit == 1000)
    }

    /// The bound must hold for the true distribution, not only by its formula.
    @Test(arguments: [2, 3, 8, 64]) func rarelyCutsAnythingOff(shards: Int) throws {
        var random = SplitMix64(seed: 42)
        for k in [30, 100, 400] {
            let limit = try order(k: k, shards: shards).limit
            for _ in 0..<2000 {
                var held = [Int](repeating: 0, count: shards)
                for _ in 0..<k { held[Int.random(in: 0..<shards, using: &random)] += 1 }
                #expect((held.max() ?? 0) <= limit)
            }
        }
    }

    @Test func noOrderLeavesTheLimits() throws {
        var random = SplitMix64(seed: 7)
        for _ in 0..<20_000 {
            let shards = Int.random(in: 1...Limits.shardCountMax, using: &random)
            let k = Int.random(in: 1...Limits.limitMax, using: &random)
            let found = try order(k: k, shards: shards)
            let taken = try ShardOrder(
                ordered: found.request,
                schema,
                limit: found.limit,
                shardCount: shards
            )
            #expect(taken == found)
        }
        let request = try order(k: 10, shards: 2).request
        for (limit, shards) in [(11, 2), (0, 2), (10, 0), (10, Limits.shardCountMax + 1)] {
            let error = #expect(throws: OmenError.self) {
                try ShardOrder(ordered: request, schema, limit: limit, shardCount: shards)
            }
            #expect(error?.code == .badRequest)
        }
    }

    /// The queries would be read beyond their end.
    @Test func anOrderThatWasCheckedForAnotherDimensionIsRefused() throws {
        let request = try order(k: 10, shards: 1).request
        let error = #expect(throws: OmenError.self) {
            try ShardOrder(
                ordered: request,
                CollectionSchema(dim: 2),
                limit: 10,
                shardCount: 1
            )
        }
        #expect(error?.code == .protocolViolation)
    }

    @Test func effortsNameWhatIsWrongWithTheOptions() throws {
        #expect(try SearchEffort(ef: 0, recall: 0, exact: false) == .standard)
        #expect(try SearchEffort(ef: 7, recall: 0, exact: false) == .ef(7))
        #expect(try SearchEffort(ef: 0, recall: 0.5, exact: false) == .recall(0.5))
        // Where every row is compared, a width changes nothing.
        #expect(try SearchEffort(ef: 7, recall: 0, exact: true) == .exact)
        for (ef, recall, word) in [
            (7, Float(0.5), "both"), (-1, 0, "ef is -1"), (Limits.efMax + 1, 0, "ef is"),
            (0, 1, "recall is 1"), (0, -0.5, "recall is -0.5"), (0, .nan, "recall is nan"),
        ] {
            let error = try #require(throws: OmenError.self) {
                _ = try SearchEffort(ef: ef, recall: recall, exact: false)
            }
            #expect(error.code == .badRequest && error.message.contains(word), "\(error)")
        }
    }
}
