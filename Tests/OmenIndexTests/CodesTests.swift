import OmenCore
import OmenIndex
import Testing

/// Codes of 8, 4 and 1 bit over vectors of many dimensions.
@Suite struct CodesTests {
    static let dim = 256
    static let seed: UInt64 = 31

    static func schema(
        _ codes: CodeKind,
        metric: Metric = .cosine,
        dim: Int = dim
    ) -> CollectionSchema {
        CollectionSchema(dim: dim, metric: metric, codes: codes, m: 8, efConstruction: 48)
    }

    /// Vectors near a surface of few dimensions, as embeddings are, and off-centre.
    static func data(count: Int, dim: Int = dim) -> TestData {
        var data = TestData(.normal, count: count, dim: 12, seed: seed)
        let axes = TestData(.normal, count: 12, dim: dim, seed: seed + 1).vectors
        let noise = TestData(.normal, count: 16, dim: dim, seed: seed + 2).vectors
        func lift(_ index: Int, _ vector: [Float]) -> [Float] {
            (0..<dim).map { d in
                let sum = zip(vector, axes).reduce(Float(2)) { $0 + $1.0 * $1.1[d] }
                return sum + noise[index % 16][(d + index) % dim] / 2
            }
        }
        data.vectors = data.vectors.enumerated().map { lift($0.offset, $0.element) }
        data.queries = data.queries.enumerated().map { lift($0.offset + 7, $0.element) }
        return data
    }

    static func filled(_ schema: CollectionSchema, _ data: TestData) throws -> Checked {
        let checked = try Checked(schema)
        for vector in data.vectors { try checked.append(vector) }
        checked.linkAll()
        return checked
    }

    @Test(arguments: Metric.allCases)
    func narrowCodesLoseLittleRecall(metric: Metric) throws {
        let data = Self.data(count: 1500)
        func recall(_ codes: CodeKind) throws -> Double {
            let checked = try Self.filled(Self.schema(codes, metric: metric), data)
            try checked.index.checkInvariants()
            // Short of the width at which scanning would be cheaper.
            return try checked.recall(data.queries, ef: 48)
        }
        let reference = try recall(.f32)
        #expect(reference >= 0.92, "\(metric), seed \(Self.seed)")
        for (codes, loss) in [(CodeKind.u8, 0.02), (.u4, 0.02), (.u1, 0.2)] {
            let found = try recall(codes)
            #expect(found >= reference - loss, "\(codes), \(metric), seed \(Self.seed)")
        }
    }

    @Test func aDimensionWithoutWholeBlocksKeepsRecall() throws {
        // 200 elements are padded to 256, and their 4-bit codes end within a block.
        let data = Self.data(count: 1200, dim: 200)
        let checked = try Self.filled(Self.schema(.u4, metric: .l2, dim: 200), data)
        let recall = try checked.recall(data.queries, ef: 40)
        #expect(recall >= 0.95, "recall \(recall), seed \(Self.seed)")
    }

    @Test func answersAreTheSameAfterReopening() throws {
        let data = Self.data(count: 900)
        for codes in [CodeKind.u8, .u4, .u1] {
            let schema = Self.schema(codes)
            let checked = try Self.filled(schema, data)
            let before = try data.queries.map { try checked.search($0) }
            let copies = PersistenceTests.bytes(checked.index)
            let packed = [CodeKind.u4: 900 * 128, .u1: 900 * 32][codes]
            #expect(copies[.packed]?.count == packed, "\(codes)")
            #expect(copies[.terms]?.count == 900 * (codes == .u8 ? 4 : 8))
            let reopened = try PersistenceTests.reopen(schema, copies)
            #expect(PersistenceTests.bytes(reopened) == copies)
            let again = Checked(schema, index: reopened)
            #expect(try data.queries.map { try again.search($0) } == before, "\(codes)")
        }
    }

    @Test func packedCodesCutShortAreRefused() throws {
        let schema = Self.schema(.u4)
        let checked = try Self.filled(schema, Self.data(count: 300))
        let whole = PersistenceTests.bytes(checked.index)
        for section in [VectorIndex.Section.packed, .terms] {
            var copies = whole
            copies[section]?.removeLast(4)
            let error = #expect(throws: OmenError.self) {
                try PersistenceTests.reopen(schema, copies)
            }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains("\(section)") == true, "\(String(describing: error))")
        }
    }

    @Test func rowsLinkedAfterASearchAreFoundToo() throws {
        let data = Self.data(count: 900)
        for codes in [CodeKind.u8, .u4, .u1] {
            let checked = try Checked(Self.schema(codes))
            for (index, vector) in data.vectors.enumerated() {
                try checked.append(vector)
                _ = checked.index.link(atMost: 1)
                if index % 100 == 0 { _ = try checked.search(vector) }
            }
            for row in stride(from: 0, to: 900, by: 45) {
                let hits = try checked.search(data.vectors[row], k: 1, ef: 30)
                #expect(hits.first?.row == UInt32(row), "\(codes)")
            }
        }
    }

    @Test func nibblesThatBlurNeighboursAreNotTraversed() throws {
        // Groups a hundredth of their distances wide: within one, high nibbles are all the same.
        let schema = CollectionSchema(dim: 64, metric: .l2, codes: .u4, m: 8, efConstruction: 48)
        var data = TestData(.normal, count: 1200, dim: 64, seed: Self.seed)
        let centres = TestData(.normal, count: 8, dim: 64, seed: Self.seed + 1).vectors
        func near(_ index: Int, _ vector: [Float]) -> [Float] {
            zip(centres[index % 8], vector).map { $0 * 8 + $1 }
        }
        data.vectors = data.vectors.enumerated().map { near($0.offset, $0.element) }
        data.queries = data.queries.enumerated().map { near($0.offset, $0.element) }
        let checked = try Self.filled(schema, data)
        #expect(PersistenceTests.bytes(checked.index)[.packed] == nil)
        let recall = try checked.recall(data.queries, ef: 40)
        let plain = try Self.filled(Self.schema(.f32, metric: .l2, dim: 64), data)
        let reference = try plain.recall(data.queries, ef: 40)
        #expect(recall >= reference - 0.05, "recall \(recall), without codes \(reference)")
    }

    @Test func vectorsThatAreZeroAlmostEverywhereHaveCodes() throws {
        // What is not zero lies sixteen standard deviations from the mean.
        let schema = CollectionSchema(dim: 256, metric: .l2, codes: .u4, m: 8, efConstruction: 48)
        let checked = try Checked(schema)
        for i in 0..<1200 {
            var vector = [Float](repeating: 0, count: 256)
            vector[i * 7 % 256] = 1
            try checked.append(vector)
        }
        checked.linkAll()
        #expect(PersistenceTests.bytes(checked.index)[.packed] != nil)
        // One value far from all others does not widen the range that all of them share.
        var data = Self.data(count: 1200)
        data.vectors[500][3] = 5000
        let plain = try Self.filled(Self.schema(.u4, metric: .l2), Self.data(count: 1200))
        let outlier = try Self.filled(Self.schema(.u4, metric: .l2), data)
        let expected = try plain.recall(data.queries, ef: 40)
        let recall = try outlier.recall(data.queries, ef: 40)
        #expect(recall >= expected - 0.02, "recall \(recall), without the outlier \(expected)")
    }

    @Test func codesThatBlurDenseRegionsAreNotUsed() throws {
        // A fifth of the rows lies a thousand times as dense as the others, all around them.
        var data = TestData(.normal, count: 1200, dim: 64, seed: Self.seed)
        for i in stride(from: 0, to: 1200, by: 5) {
            data.vectors[i] = data.vectors[i].map { $0 / 1000 }
        }
        data.queries = data.queries.map { $0.map { $0 / 1000 } }
        let checked = try Self.filled(Self.schema(.u8, metric: .l2, dim: 64), data)
        #expect(PersistenceTests.bytes(checked.index)[.codes] == nil)
        let recall = try checked.recall(data.queries, ef: 40)
        #expect(recall >= 0.95, "recall \(recall)")
    }

    @Test func schemasNameWhatDoesNotFit() throws {
        let cases: [(CollectionSchema, String)] = [
            (CollectionSchema(dim: 512, element: .u8, codes: .u4), "codes u4 with element u8"),
            (CollectionSchema(dim: 512, element: .u8, codes: .u1), "codes u1 with element u8"),
            (CollectionSchema(dim: 63, codes: .u4), "codes u4 with dim 63: expected dim 64"),
            (CollectionSchema(dim: 255, codes: .u1), "codes u1 with dim 255: expected dim 256"),
        ]
        for (schema, message) in cases {
            let error = #expect(throws: OmenError.self) { try schema.validate() }
            #expect(error?.code == .badRequest)
            #expect(error?.message.contains(message) == true, "\(String(describing: error))")
        }
    }

    @Test func theStandardFollowsElementAndDimension() {
        #expect(CollectionSchema(dim: 255).codes == .u8)
        #expect(CollectionSchema(dim: 256).codes == .u4)
        #expect(CollectionSchema(dim: 256, element: .u8).codes == .u8)
        #expect(CollectionSchema(dim: 768, codes: .f32).codes == .f32)
    }
}
