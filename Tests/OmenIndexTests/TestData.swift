import Foundation
import OmenCore
import OmenIndex
import Testing

/// Seeded vectors of different shapes, as floats.
struct TestData {
    enum Shape: CaseIterable {
        /// Independent normal values.
        case normal
        /// Tight groups around few centres.
        case clustered
        /// Each dimension has its own range, up to 1,000 times another's.
        case skewed
        /// Every vector occurs about eight times.
        case duplicates
    }

    var vectors: [[Float]]
    var queries: [[Float]]

    init(_ shape: Shape, count: Int, queryCount: Int = 20, dim: Int, seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let centres = (0..<12).map { _ in Self.normal(dim, &generator) }
        func make(_ generator: inout SplitMix64) -> [Float] {
            var vector = Self.normal(dim, &generator)
            switch shape {
            case .normal, .duplicates: break
            case .clustered:
                let centre = centres[Int(generator.next() % 12)]
                for d in 0..<dim { vector[d] = centre[d] * 10 + vector[d] }
            case .skewed:
                for d in 0..<dim { vector[d] *= d % 16 == 0 ? 1000 : 1 + Float(d % 7) }
            }
            return vector
        }
        let distinct = shape == .duplicates ? max(1, count / 8) : count
        let drawn = (0..<distinct).map { _ in make(&generator) }
        vectors = (0..<count).map { drawn[$0 % distinct] }
        queries = (0..<queryCount).map { _ in make(&generator) }
    }

    /// The vectors brought into 1...255 as whole numbers.
    static func bytes(_ vector: [Float]) -> [UInt8] {
        let most = vector.reduce(1) { max($0, abs($1)) }
        let factor = 100 / max(4, most / 20)
        return vector.map { UInt8(min(255, max(1, ($0 * factor / 4 + 128).rounded()))) }
    }

    private static func normal(_ dim: Int, _ generator: inout SplitMix64) -> [Float] {
        (0..<dim).map { _ in
            // The sum of twelve uniform values is close enough to normal.
            var sum: Float = -6
            for _ in 0..<12 { sum += Float(generator.next() >> 40) / Float(1 << 24) }
            return sum
        }
    }
}

/// An index with its own copy of all vectors, searched by brute force in double precision.
final class Checked {
    let index: VectorIndex
    let schema: CollectionSchema
    var stored: [[Double]] = []
    var deleted: Set<UInt32> = []

    convenience init(_ schema: CollectionSchema, seed: UInt64 = 7) throws {
        self.init(schema, index: try VectorIndex(schema: schema, seed: seed))
    }

    /// An index that was built or opened elsewhere.
    init(_ schema: CollectionSchema, index: VectorIndex) {
        self.schema = schema
        self.index = index
    }

    @discardableResult
    func append(_ vector: [Float]) throws -> UInt32 {
        switch schema.element {
        case .f32:
            stored.append(vector.map(Double.init))
            return try vector.withUnsafeBytes { try index.append(#require($0.baseAddress)) }
        case .u8:
            let bytes = TestData.bytes(vector)
            stored.append(bytes.map(Double.init))
            return try bytes.withUnsafeBytes { try index.append(#require($0.baseAddress)) }
        }
    }

    func delete(_ row: UInt32) {
        index.markDeleted(row)
        deleted.insert(row)
    }

    func linkAll() { while index.link(atMost: 16) > 0 {} }

    /// The query as the element type of the rows would hold it.
    func values(_ query: [Float]) -> [Double] {
        schema.element == .f32 ? query.map(Double.init) : TestData.bytes(query).map(Double.init)
    }

    func distance(_ query: [Double], _ row: Int) -> Double {
        distance(query, to: stored[row])
    }

    func distance(_ a: [Double], to b: [Double]) -> Double {
        func dot(_ a: [Double], _ b: [Double]) -> Double {
            zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        }
        switch schema.metric {
        case .l2: return zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        case .cosine: return 1 - dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
        case .ip: return -dot(a, b)
        }
    }

    /// Searches with a width below a sixteenth of the rows in most tests: wider ones just scan.
    func search(
        _ query: [Float],
        k: Int = 10,
        ef: Int = 20,
        exact: Bool = false,
        maxDistance: Float = .infinity
    ) throws -> [Neighbor] {
        var hits: [Neighbor] = []
        let bytes =
            schema.element == .f32
            ? query.withUnsafeBytes(Array.init) : TestData.bytes(query)
        try bytes.withUnsafeBytes {
            try index.search(
                #require($0.baseAddress),
                element: schema.element,
                k: k,
                effort: exact ? .scan(.asked) : .walk(ef: ef),
                maxDistance: maxDistance,
                into: &hits
            )
        }
        return hits
    }

    /// Distances of the `k` nearest live rows.
    func truth(_ query: [Float], k: Int) -> [Double] {
        let values = values(query)
        let all = stored.indices.filter { !deleted.contains(UInt32($0)) }.map {
            distance(values, $0)
        }
        return Array(all.sorted().prefix(k))
    }

    /// How far off a distance may be for rounding.
    func tolerance(_ distance: Double) -> Double {
        switch schema.metric {
        case .cosine: 2e-6
        case .l2, .ip: abs(distance) * 1e-5 + 1e-3
        }
    }

    /// The share of the `k` nearest that searches find, judged by distance because of duplicates;
    /// also checks that answers are full, ascending, alive and exact.
    func recall(_ queries: [[Float]], k: Int = 10, ef: Int = 20) throws -> Double {
        var found = 0
        var wanted = 0
        for query in queries {
            let truth = truth(query, k: k)
            let hits = try search(query, k: k, ef: ef)
            try check(hits, query, count: truth.count)
            let farthest = truth.last ?? 0
            let limit = farthest + tolerance(farthest)
            found += hits.count { Double($0.distance) <= limit }
            wanted += truth.count
        }
        return wanted == 0 ? 1 : Double(found) / Double(wanted)
    }

    func check(_ hits: [Neighbor], _ query: [Float], count: Int) throws {
        #expect(hits.count == count)
        #expect(Set(hits.map(\.row)).count == hits.count)
        #expect(zip(hits, hits.dropFirst()).allSatisfy { $0 < $1 })
        let values = values(query)
        for hit in hits {
            #expect(!deleted.contains(hit.row))
            let expected = distance(values, Int(hit.row))
            #expect(abs(Double(hit.distance) - expected) <= tolerance(expected))
        }
    }
}

/// Every valid combination of metric, element and codes.
func schemas(dim: Int, m: Int = 8, efConstruction: Int = 48) -> [CollectionSchema] {
    Metric.allCases.flatMap { metric in
        [(ElementType.f32, CodeKind.f32), (.f32, .u8), (.u8, .u8)].map { element, codes in
            CollectionSchema(
                dim: dim,
                metric: metric,
                element: element,
                codes: codes,
                m: m,
                efConstruction: efConstruction
            )
        }
    }
}

/// The real vectors in `bench/sample`.
enum Sample {
    /// Rows of a `.npy` file of bytes, version 1.0, as this repository holds them.
    static func vectors(_ name: String) throws -> [[UInt8]] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let bytes = [UInt8](try Data(contentsOf: root.appending(path: "bench/sample/\(name).npy")))
        let start = 10 + Int(bytes[8]) + Int(bytes[9]) << 8
        return stride(from: start, to: bytes.count, by: 128).map { Array(bytes[$0..<$0 + 128]) }
    }

    /// Rows of the ten nearest.
    static func search(
        _ index: VectorIndex,
        _ query: [UInt8],
        ef: Int,
        exact: Bool
    ) throws -> [UInt32] {
        var hits: [Neighbor] = []
        try query.withUnsafeBytes {
            try index.search(
                #require($0.baseAddress),
                element: .u8,
                k: 10,
                effort: exact ? .scan(.asked) : .walk(ef: ef),
                maxDistance: .infinity,
                into: &hits
            )
        }
        return hits.map(\.row)
    }
}
