import COmenKernels
import OmenCore
import Testing

/// The kernels of the bulk builder, each variant against plain loops.
@Suite struct GramTests {
    private static var variants: [UnsafePointer<omen_kernels>] {
        (0..<omen_kernels_count()).compactMap { omen_kernels_at($0) }
    }

    private struct Product {
        var distances: [Float]
        var stride: Int
    }

    /// Distances of the first rows to all of them, by one variant.
    private func product(
        _ pair: omen_gram_pair,
        _ base: UnsafeRawPointer,
        stride: Int,
        dim: Int,
        columns: Int,
        rows: Int,
        factors: [Float],
        isCosine: Bool,
        elementByteCount: Int
    ) -> Product {
        let lanes = Int(OMEN_GRAM_LANES)
        let groups = (columns + lanes - 1) / lanes
        let width = groups * lanes
        let listed = (0..<columns).map { UInt32($0) }
        var terms = [Int32](repeating: 0, count: width)
        let padded = factors + [Float](repeating: 0, count: width - columns)
        var out = [Float](repeating: -1, count: rows * width)
        let packed = UnsafeMutableRawPointer.allocate(
            byteCount: width * dim * elementByteCount,
            alignment: 64
        )
        defer { packed.deallocate() }
        pair.pack(base, stride, dim, listed, columns, isCosine, packed, &terms)
        terms.withUnsafeBufferPointer { terms in
            padded.withUnsafeBufferPointer { padded in
                guard let terms = terms.baseAddress, let padded = padded.baseAddress else { return }
                var description = omen_gram_columns(
                    packed: packed,
                    terms: terms,
                    factors: padded,
                    dim: dim,
                    groups: groups,
                    is_cosine: isCosine,
                    scale: isCosine ? 1 : 0.5
                )
                pair.gram(&description, base, stride, listed, factors, rows, &out, width)
            }
        }
        return Product(distances: out, stride: width)
    }

    private func expected(
        _ a: [Double],
        _ b: [Double],
        _ x: Float,
        _ y: Float,
        isCosine: Bool
    )
        -> Double
    {
        if isCosine {
            let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
            return max(0, 1 - dot * Double(x) * Double(y))
        }
        let squared = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return squared * 0.5 + Double(x - y) * Double(x - y)
    }

    @Test(arguments: [4, 16, 32, 100, 128, 384], [false, true])
    func everyVariantAgreesWithALoop(dim: Int, isCosine: Bool) throws {
        var random = SplitMix64(seed: UInt64(dim))
        let columns = 37
        let bytes = (0..<columns * dim).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let floats = (0..<columns * dim).map { _ in Float(random.next() % 2000) / 1000 - 1 }
        let factors = (0..<columns).map { _ in Float(random.next() % 100) / 5000 }
        for variant in Self.variants {
            for rows in [1, 3, Int(OMEN_GRAM_ROWS)] {
                for isBytes in [true, false] {
                    let values = isBytes ? bytes.map(Double.init) : floats.map(Double.init)
                    func measure(_ buffer: UnsafeRawBufferPointer) -> Product? {
                        guard let base = buffer.baseAddress else { return nil }
                        let size = isBytes ? 1 : 4
                        return product(
                            isBytes ? variant.pointee.gram_u8 : variant.pointee.gram_f32,
                            base,
                            stride: dim * size,
                            dim: dim,
                            columns: columns,
                            rows: rows,
                            factors: factors,
                            isCosine: isCosine,
                            elementByteCount: size
                        )
                    }
                    let found = try #require(
                        isBytes
                            ? bytes.withUnsafeBytes(measure) : floats.withUnsafeBytes(measure)
                    )
                    for row in 0..<rows {
                        for column in 0..<columns {
                            let want = expected(
                                Array(values[row * dim..<(row + 1) * dim]),
                                Array(values[column * dim..<(column + 1) * dim]),
                                factors[row],
                                factors[column],
                                isCosine: isCosine
                            )
                            let got = Double(found.distances[row * found.stride + column])
                            #expect(
                                abs(got - want) <= 1e-4 * max(1, abs(want)),
                                "\(String(cString: variant.pointee.name)) \(row) \(column)"
                            )
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: [1, 5, 10, 33, 128])
    func selectionFindsTheSmallestAscending(k: Int) {
        var random = SplitMix64(seed: UInt64(k))
        for count in [1, 7, 16, 31, 100, 1000] {
            for distinct in [UInt64(3), 1_000_000] {
                let values = (0..<count).map { _ in Float(random.next() % distinct) }
                for variant in Self.variants {
                    var out = [UInt32](repeating: .max, count: Int(OMEN_SELECT_MAX))
                    let found = variant.pointee.select(values, count, k, count / 2, &out)
                    #expect(found == min(k, count))
                    let chosen = out.prefix(found)
                    #expect(Set(chosen).count == found)
                    #expect(chosen.map { values[Int($0)] } == Array(values.sorted().prefix(found)))
                }
            }
        }
    }

    @Test func anInfiniteDistanceIsNeverSelected() {
        let values: [Float] = [3, .infinity, 1, .infinity]
        for variant in Self.variants {
            var out = [UInt32](repeating: .max, count: Int(OMEN_SELECT_MAX))
            #expect(variant.pointee.select(values, 4, 4, 0, &out) == 2)
            #expect(out.prefix(2) == [2, 0])
        }
    }
}
