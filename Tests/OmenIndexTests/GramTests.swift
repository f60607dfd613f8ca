import COmenKernels
import OmenCore
import Testing

@Suite struct GramTests {
    static let seed: UInt64 = 0x6A
    static let lanes = Int(OMEN_GRAM_LANES)

    static var variants: [UnsafePointer<omen_kernels>] {
        (0..<omen_kernels_count()).compactMap { omen_kernels_at($0) }
    }

    /// Random rows, some of them columns, with what their distances are.
    struct Case {
        let isBytes: Bool
        let isCosine: Bool
        let dim: Int
        let columnCount: Int
        let columns: [UInt32]
        let factors: [Float]
        let storage: [UInt8]
        let values: [Double]

        var stride: Int { dim * (isBytes ? 1 : 4) }
        var groups: Int { (columnCount + lanes - 1) / lanes }
        var scale: Float { isCosine ? 1 : 0.5 }

        init(isBytes: Bool, isCosine: Bool, dim: Int, columnCount: Int) {
            var generator = SplitMix64(seed: seed &+ UInt64(dim))
            let count = columnCount + Int(OMEN_GRAM_ROWS)
            let bytes = (0..<count * dim).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            let floats = bytes.map { Float($0) / 16 - 8 }
            self.isBytes = isBytes
            self.isCosine = isCosine
            self.dim = dim
            self.columnCount = columnCount
            columns = (0..<columnCount).map { UInt32(count - 1 - $0) }
            factors = (0..<count).map { isCosine ? 0.001 : Float($0 % 5) }
            storage = isBytes ? bytes : floats.withUnsafeBytes(Array.init)
            values = isBytes ? bytes.map(Double.init) : floats.map(Double.init)
        }

        func distance(_ row: Int, _ column: Int) -> Double {
            let sum = (0..<dim).reduce(0.0) { sum, d in
                let (x, y) = (values[row * dim + d], values[column * dim + d])
                return sum + (isCosine ? x * y : (x - y) * (x - y))
            }
            let (a, b) = (Double(factors[row]), Double(factors[column]))
            return isCosine ? max(0, 1 - sum * a * b) : sum * Double(scale) + (a - b) * (a - b)
        }

        /// Distances of the first rows, `[rowCount][groups * lanes]`.
        func measured(_ pair: omen_gram_pair, rowCount: Int) -> [Float] {
            var terms = [Int32](repeating: 0, count: groups * lanes)
            var columnFactors = columns.map { factors[Int($0)] }
            columnFactors += [Float](repeating: 0, count: groups * lanes - columnCount)
            var packed = [UInt8](repeating: 0, count: groups * lanes * stride)
            var out = [Float](repeating: -1, count: rowCount * groups * lanes)
            pair.pack(storage, stride, dim, columns, columnCount, isCosine, &packed, &terms)
            let rows = (0..<rowCount).map { UInt32($0) }
            packed.withUnsafeBytes { packed in
                terms.withUnsafeBufferPointer { terms in
                    columnFactors.withUnsafeBufferPointer { columnFactors in
                        guard let packed = packed.baseAddress, let terms = terms.baseAddress,
                            let columnFactors = columnFactors.baseAddress
                        else { return }
                        var matrix = omen_gram_columns(
                            packed: packed,
                            terms: terms,
                            factors: columnFactors,
                            dim: dim,
                            groups: groups,
                            is_cosine: isCosine,
                            scale: scale
                        )
                        let width = groups * lanes
                        pair.gram(&matrix, storage, stride, rows, factors, rowCount, &out, width)
                    }
                }
            }
            return out
        }

        /// Whether a kernel agrees with `distance` up to rounding.
        func agrees(_ pair: omen_gram_pair) -> Bool {
            [1, 5, Int(OMEN_GRAM_ROWS)].allSatisfy { rowCount in
                let found = measured(pair, rowCount: rowCount)
                return (0..<rowCount).allSatisfy { row in
                    columns.enumerated().allSatisfy { index, column in
                        let expected = distance(row, Int(column))
                        let value = Double(found[row * groups * lanes + index])
                        return abs(value - expected) <= 1e-5 * max(1, abs(expected))
                    }
                }
            }
        }
    }

    @Test(arguments: [4, 16, 20, 128, 192])
    func everyVariantAgreesWithANaiveLoop(dim: Int) {
        for isBytes in [false, true] {
            for isCosine in [false, true] {
                for columnCount in [1, 16, 37, 70] {
                    let data = Case(
                        isBytes: isBytes,
                        isCosine: isCosine,
                        dim: dim,
                        columnCount: columnCount
                    )
                    for variant in Self.variants {
                        let table = variant.pointee
                        #expect(
                            data.agrees(isBytes ? table.gram_u8 : table.gram_f32),
                            "\(String(cString: table.name)), bytes \(isBytes), cosine \(isCosine)"
                        )
                    }
                }
            }
        }
    }

    @Test func theLongestByteVectorsDoNotOverflow() {
        let data = Case(isBytes: true, isCosine: false, dim: Limits.dimensionMax, columnCount: 3)
        for variant in Self.variants { #expect(data.agrees(variant.pointee.gram_u8)) }
    }

    @Test func selectChoosesTheSmallestInOrder() {
        var generator = SplitMix64(seed: Self.seed)
        for count in [1, 3, 16, 40, 100, 700, 1000] {
            for range in [UInt64(3), 50, 1 << 20] {
                let distances = (0..<count).map { _ in Float(generator.next() % range) }
                for k in [1, 6, 24, 128] {
                    for variant in Self.variants {
                        var chosen = [UInt32](repeating: 0, count: 128)
                        let found = variant.pointee.select(distances, count, k, 0, &chosen)
                        #expect(found == min(k, count))
                        let values = chosen.prefix(found).map { distances[Int($0)] }
                        #expect(values == Array(distances.sorted().prefix(found)))
                        #expect(Set(chosen.prefix(found)).count == found)
                    }
                }
            }
        }
    }

    @Test func selectLeavesOutWhatIsNotFinite() {
        var distances = [Float](repeating: .infinity, count: 300)
        for variant in Self.variants {
            var chosen = [UInt32](repeating: 0, count: 128)
            #expect(variant.pointee.select(distances, 300, 8, 0, &chosen) == 0)
        }
        distances[7] = 3
        distances[290] = 2
        for variant in Self.variants {
            var chosen = [UInt32](repeating: 0, count: 128)
            #expect(variant.pointee.select(distances, 300, 8, 0, &chosen) == 2)
            #expect(chosen.prefix(2) == [290, 7])
        }
    }

    @Test func equalDistancesAreChosenFromTheStartOn() {
        let distances = [Float](repeating: 1, count: 500)
        for variant in Self.variants {
            var chosen = [UInt32](repeating: 0, count: 128)
            #expect(variant.pointee.select(distances, 500, 4, 320, &chosen) == 4)
            #expect(chosen.prefix(4) == [320, 321, 322, 323])
        }
    }
}
