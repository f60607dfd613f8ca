import OmenCore
import Testing

@testable import OmenEmbedded

/// Searches for one vector, into memory of the caller where it can hold the hits.
@Suite struct SingleSearchTests {
    private static let dim = 8
    private static let limit = 5

    private let database: Database
    /// The caller's memory.
    private let memory = Memory()

    private final class Memory {
        var distances = [Float](repeating: -1, count: SingleSearchTests.limit)
        var numbers = [UInt64](repeating: 0, count: SingleSearchTests.limit)
    }

    init() throws {
        database = try Database()
        let schema = CollectionSchema(dim: Self.dim)
        _ = try database.write(.createCollection(name: "c", schema: schema))
        _ = try database.write(.upsert(batch((0..<100).map { .number($0) }, seeds: 0..<100)))
    }

    private func batch(_ ids: [RecordID], seeds: Range<UInt64>) -> UpsertBatch {
        var vectors: [Float] = []
        for seed in seeds {
            var generator = SplitMix64(seed: seed)
            for _ in 0..<Self.dim { vectors.append(Float(generator.next() >> 40) / 65536) }
        }
        return UpsertBatch(
            collection: "c",
            element: .f32,
            dim: Self.dim,
            ids: ids,
            vectors: vectors.withUnsafeBytes { Array($0) }
        )
    }

    private func query() -> SearchRequest {
        SearchRequest(
            collection: "c",
            element: .f32,
            dim: Self.dim,
            vectors: batch([.number(7)], seeds: 7..<8).vectors,
            count: 1,
            limit: Self.limit
        )
    }

    /// Searches for the vector of `query` by the door for one vector.
    private func search(_ query: SearchRequest) throws -> SingleSearchAnswer {
        try memory.distances.withUnsafeMutableBufferPointer { distances in
            try memory.numbers.withUnsafeMutableBufferPointer { numbers in
                try query.vectors.withUnsafeBytes { vector in
                    var bare = query
                    bare.vectors = []
                    bare.count = 0
                    return try database.search(
                        bare,
                        try #require(vector.baseAddress),
                        into: HitColumns(
                            distances: try #require(distances.baseAddress),
                            numbers: try #require(numbers.baseAddress)
                        )
                    )
                }
            }
        }
    }

    @Test func numbersAndDistancesComeInTheCallersMemory() throws {
        // Equal distances are ordered by id, whichever came first.
        _ = try database.write(.upsert(batch([.number(3000)], seeds: 7..<8)))
        _ = try database.write(.upsert(batch([.number(7)], seeds: 7..<8)))
        let expected = try database.search(query()).list.array
        guard case .filled(Self.limit) = try search(query()) else {
            Issue.record("the hits are not in the columns")
            return
        }
        #expect(memory.numbers.map { .number($0) } == expected.map(\.id))
        #expect(memory.distances == expected.map(\.distance))
        #expect(memory.numbers[..<2] == [7, 3000])
        try database.close()
    }

    @Test func whatColumnsCannotHoldComesAsAnyOtherSearchFindsIt() throws {
        func check(_ query: SearchRequest) throws {
            guard case .found(let answer) = try search(query) else {
                Issue.record("the columns cannot hold these hits")
                return
            }
            let other = try database.search(query)
            #expect(answer.list.array == other.list.array && answer.list.count == Self.limit)
            #expect(answer.counts == other.counts && answer.element == other.element)
            #expect(answer.explanations.count == other.explanations.count)
            #expect(memory.distances.allSatisfy { $0 == -1 })
        }
        var more = query()
        more.withVector = true
        try check(more)
        more = query()
        more.explain = true
        try check(more)
        var text = batch([.text("one")], seeds: 1..<2)
        text.metadata = [Array("{}".utf8)]
        _ = try database.write(.upsert(text))
        try check(query())
        more = query()
        more.withMetadata = true
        try check(more)
        try database.close()
    }

    @Test(arguments: [false, true]) func wrongQueriesAreRefused(withVector: Bool) throws {
        var right = query()
        right.withVector = withVector
        var wrong = right
        wrong.vectors.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F])
        #expect(throws: OmenError.self) { try search(wrong) }
        wrong = right
        wrong.dim = 9
        wrong.vectors += [0, 0, 0, 0]
        #expect(throws: OmenError.self) { try search(wrong) }
        wrong = right
        wrong.limit = 0
        #expect(throws: OmenError.self) { try search(wrong) }
        wrong = right
        wrong.collection = "d"
        #expect(throws: OmenError.self) { try search(wrong) }
        #expect(memory.distances.allSatisfy { $0 == -1 })
        try database.close()
    }
}
