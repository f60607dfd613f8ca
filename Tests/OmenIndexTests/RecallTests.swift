import OmenCore
import OmenIndex
import Testing

@Suite struct RecallTests {
    static let cases: [(CollectionSchema, TestData.Shape)] = schemas(dim: 16).flatMap { schema in
        TestData.Shape.allCases.map { (schema, $0) }
    }

    @Test(arguments: cases)
    func graphFindsNearlyAllNeighbours(_ schema: CollectionSchema, _ shape: TestData.Shape) throws {
        let seed: UInt64 = 11
        let data = TestData(shape, count: 640, queryCount: 12, dim: schema.dim, seed: seed)
        let checked = try Checked(schema)
        for vector in data.vectors { try checked.append(vector) }
        checked.linkAll()
        #expect(checked.index.linkedCount == 640)
        try checked.index.checkInvariants()
        let recall = try checked.recall(data.queries, ef: 36)
        #expect(recall >= 0.9, "recall \(recall), \(schema), \(shape), seed \(seed)")
    }

    @Test(arguments: schemas(dim: 24))
    func exactSearchIsExact(_ schema: CollectionSchema) throws {
        let data = TestData(.normal, count: 300, dim: schema.dim, seed: 3)
        let checked = try Checked(schema)
        for vector in data.vectors { try checked.append(vector) }
        _ = checked.index.link(atMost: 200)
        for row in stride(from: UInt32(0), to: 300, by: 7) { checked.delete(row) }
        for query in data.queries {
            let truth = checked.truth(query, k: 12)
            let hits = try checked.search(query, k: 12, exact: true)
            try checked.check(hits, query, count: 12)
            for (hit, distance) in zip(hits, truth) {
                #expect(abs(Double(hit.distance) - distance) <= checked.tolerance(distance))
            }
        }
    }

    @Test(arguments: [1, 3, 127, 128, 384, 1536])
    func everyDimensionWorks(dim: Int) throws {
        // Debug kernels are slow: few rows, queries and schemas where vectors are long.
        let isLong = dim > 128
        for schema in schemas(dim: dim, m: 6, efConstruction: 16) {
            if isLong, schema.metric == .cosine, schema.codes == .f32 { continue }
            if isLong, schema.metric == .ip, schema.element == .f32 { continue }
            let data = TestData(
                .clustered,
                count: isLong ? 140 : 200,
                queryCount: isLong ? 3 : 10,
                dim: dim,
                seed: 5
            )
            let checked = try Checked(schema)
            for vector in data.vectors { try checked.append(vector) }
            checked.linkAll()
            try checked.index.checkInvariants()
            let recall = try checked.recall(data.queries, k: 2, ef: 8)
            // A handful of hits says little; of long vectors only their distances are checked.
            if !isLong { #expect(recall >= 0.7, "recall \(recall), \(schema)") }
            let query = data.queries[0]
            let exact = try checked.search(query, k: 3, exact: true)
            for (hit, distance) in zip(exact, checked.truth(query, k: 3)) {
                #expect(abs(Double(hit.distance) - distance) <= checked.tolerance(distance))
            }
            var bytes: [UInt8] = []
            checked.index.copyVector(1, into: &bytes)
            let expected =
                schema.element == .u8
                ? TestData.bytes(data.vectors[1]) : data.vectors[1].withUnsafeBytes(Array.init)
            #expect(bytes == expected)
        }
    }

    @Test func codesOfUnevenDimensionsAreGivenUp() throws {
        // One wide dimension would leave the others no code levels of their own.
        let schema = CollectionSchema(dim: 24, metric: .l2, element: .f32, codes: .u8, m: 8)
        for (shape, isEmpty) in [(TestData.Shape.skewed, true), (.normal, false)] {
            let data = TestData(shape, count: 600, dim: schema.dim, seed: 1)
            let checked = try Checked(schema)
            for vector in data.vectors { try checked.append(vector) }
            checked.linkAll()
            let snapshot = checked.index.freeze()
            #expect(snapshot.sections.contains { $0.0 == .codes } == !isEmpty, "\(shape)")
        }
    }

    @Test func floatQueriesOnByteRowsAreNotRounded() throws {
        for metric in Metric.allCases {
            let schema = CollectionSchema(dim: 16, metric: metric, element: .u8, m: 8)
            let data = TestData(.normal, count: 400, dim: 16, seed: 9)
            let checked = try Checked(schema)
            for vector in data.vectors { try checked.append(vector) }
            checked.linkAll()
            for query in data.queries {
                let shifted = TestData.bytes(query).map { Float($0) + 0.25 }
                var hits: [Neighbor] = []
                try shifted.withUnsafeBytes {
                    try checked.index.search(
                        #require($0.baseAddress),
                        element: .f32,
                        k: 5,
                        effort: .walk(ef: 64),
                        into: &hits
                    )
                }
                #expect(hits.count == 5)
                for hit in hits {
                    let expected = checked.distance(shifted.map(Double.init), Int(hit.row))
                    #expect(
                        abs(Double(hit.distance) - expected) <= checked.tolerance(expected)
                    )
                }
            }
        }
    }

    @Test func queriesFarOutsideTheCodesStillRank() throws {
        let schema = CollectionSchema(dim: 16, metric: .l2, element: .f32, codes: .u8, m: 8)
        let data = TestData(.normal, count: 500, dim: 16, seed: 21)
        let checked = try Checked(schema)
        for vector in data.vectors { try checked.append(vector) }
        checked.linkAll()
        let far = data.queries.map { $0.map { $0 * 6 } }
        let recall = try checked.recall(far)
        #expect(recall >= 0.9, "recall \(recall)")
    }

    @Test func driftingDataRetrainsTheCodes() throws {
        let schema = CollectionSchema(dim: 16, metric: .l2, element: .f32, codes: .u8, m: 8)
        let data = TestData(.normal, count: 1500, dim: 16, seed: 22)
        let checked = try Checked(schema)
        for (index, vector) in data.vectors.enumerated() {
            // The centre wanders off to thirty times the spread.
            try checked.append(vector.map { $0 + Float(index) / 50 })
            _ = checked.index.link(atMost: 1)
        }
        try checked.index.checkInvariants()
        let queries = data.queries.map { $0.map { $0 + 28 } }
        let recall = try checked.recall(queries)
        #expect(recall >= 0.9, "recall \(recall)")
    }
}
