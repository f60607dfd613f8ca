import COmenKernels
import OmenCore
import OmenIndex
import Testing

@Suite struct KernelTests {
    static let lengths = [1, 2, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 200, 384]

    /// Rows with a stride of their own, so that a kernel that ignores it fails.
    struct Case {
        let dim: Int
        let count = 11
        let stride: Int
        var bytes: [UInt8]
        var floats: [Float]
        var rows: [UInt32]

        init(dim: Int, seed: UInt64) {
            var generator = SplitMix64(seed: seed)
            self.dim = dim
            stride = dim + 5
            bytes = (0..<stride * 12).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            floats = (0..<stride * 12).map { _ in Float(generator.next() % 2000) / 100 - 10 }
            rows = (0..<11).map { _ in UInt32(generator.next() % 11) }
        }
    }

    static let seed: UInt64 = 2026

    private static var variants: [UnsafePointer<omen_kernels>] {
        (0..<omen_kernels_count()).compactMap { omen_kernels_at($0) }
    }

    /// Which of a case's two arrays a query or the rows are taken from.
    private enum Side {
        case bytes
        case floats

        func values(_ data: Case) -> [Double] {
            self == .bytes ? data.bytes.map(Double.init) : data.floats.map(Double.init)
        }

        /// Calls `body` with the array's first byte and the bytes from one row to the next.
        func withRows(_ data: Case, _ body: (UnsafeRawPointer, Int) -> Void) {
            func pass(_ buffer: UnsafeRawBufferPointer, _ stride: Int) {
                if let base = buffer.baseAddress { body(base, stride) }
            }
            switch self {
            case .bytes: data.bytes.withUnsafeBytes { pass($0, data.stride) }
            case .floats: data.floats.withUnsafeBytes { pass($0, data.stride * 4) }
            }
        }
    }

    /// Compares both kernels of a pair with a loop; the last row is the query.
    private func check(
        _ pair: omen_kernel_pair,
        _ name: String,
        _ data: Case,
        query: Side,
        rows: Side,
        squared: Bool,
        tolerance: Double
    ) {
        let last = 11
        var listed = [Float](repeating: -1, count: data.count)
        var scanned = [Float](repeating: -1, count: data.count)
        query.withRows(data) { queries, queryStride in
            rows.withRows(data) { base, stride in
                let query = queries + last * queryStride
                pair.list(query, base, stride, data.dim, data.rows, data.count, &listed)
                pair.scan(query, base, stride, data.dim, data.count, &scanned)
            }
        }
        let (queryValues, rowValues) = (query.values(data), rows.values(data))
        func naive(_ row: Int) -> Double {
            (0..<data.dim).reduce(0) { sum, d in
                let q = queryValues[last * data.stride + d]
                let x = rowValues[row * data.stride + d]
                return sum + (squared ? (q - x) * (q - x) : q * x)
            }
        }
        for i in 0..<data.count {
            let row = Int(data.rows[i])
            #expect(abs(Double(listed[i]) - naive(row)) <= tolerance, "\(name) list \(i)")
            #expect(abs(Double(scanned[i]) - naive(i)) <= tolerance, "\(name) scan \(i)")
            #expect(listed[i] == scanned[row], "\(name): list and scan differ")
        }
    }

    @Test(arguments: lengths)
    func everyVariantAgreesWithANaiveLoop(dim: Int) {
        let data = Case(dim: dim, seed: Self.seed + UInt64(dim))
        for variant in Self.variants {
            let name = String(cString: variant.pointee.name)
            let table = variant.pointee
            let pairs: [(omen_kernel_pair, Side, Side, squared: Bool, tolerance: Double)] = [
                (table.l2_u8, .bytes, .bytes, true, 1),
                (table.dot_u8, .bytes, .bytes, false, 1),
                (table.l2_f32, .floats, .floats, true, 0.1),
                (table.dot_f32, .floats, .floats, false, 0.1),
                (table.l2_f32_u8, .floats, .bytes, true, 10),
                (table.dot_f32_u8, .floats, .bytes, false, 1),
            ]
            for (pair, query, rows, squared, tolerance) in pairs {
                check(
                    pair,
                    name,
                    data,
                    query: query,
                    rows: rows,
                    squared: squared,
                    tolerance: tolerance
                )
            }
        }
    }

    @Test func sumsOfTheLongestVectorsDoNotOverflow() {
        let dim = Limits.dimensionMax
        let full = [UInt8](repeating: 255, count: dim)
        let none = [UInt8](repeating: 0, count: dim)
        let expected = Float(255 * 255 * dim)
        for variant in Self.variants {
            var out: Float = 0
            variant.pointee.l2_u8.scan(none, full, dim, dim, 1, &out)
            #expect(out == expected)
            variant.pointee.dot_u8.scan(full, full, dim, dim, 1, &out)
            #expect(out == expected)
        }
    }

    @Test(arguments: lengths + [255, 256, 257, 512, 768, 1000, 1536])
    func everyVariantAgreesWithANaiveLoopOnCodes(dim: Int) {
        var generator = SplitMix64(seed: Self.seed + UInt64(dim))
        let count = 11
        let stride = dim + 3
        let codes = (0..<count * stride).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        // One more than an odd dimension has, which packing reads as 0.
        var query = (0..<dim).map { _ in Int8(truncatingIfNeeded: generator.next()) } + [0]
        query[0] = -128
        let rows = (0..<count).map { _ in UInt32(generator.next() % UInt64(count)) }
        func sum(_ row: Int, _ value: (UInt8) -> Int) -> Float {
            Float((0..<dim).reduce(0) { $0 + Int(query[$1]) * value(codes[row * stride + $1]) })
        }
        for variant in Self.variants {
            let table = variant.pointee
            var nibbles = [UInt8](repeating: 0, count: count * stride)
            var bits = nibbles
            for row in 0..<count {
                let code = Array(codes[row * stride..<row * stride + dim])
                nibbles.withUnsafeMutableBufferPointer {
                    guard let base = $0.baseAddress else { return }
                    table.pack_u4(code, dim, base + row * stride)
                }
                bits.withUnsafeMutableBufferPointer {
                    guard let base = $0.baseAddress else { return }
                    table.pack_u1(code, dim, base + row * stride)
                }
            }
            let cases: [(String, omen_kernel_pair, [UInt8], (UInt8) -> Int)] = [
                ("u8", table.dot_i8_u8, codes, { Int($0) }),
                ("u4", table.dot_i8_u4, nibbles, { Int($0 & 0xF0) }),
                ("u1", table.dot_i8_u1, bits, { Int($0 >> 7) }),
            ]
            for (name, pair, packed, value) in cases {
                var listed = [Float](repeating: -1, count: count)
                var scanned = listed
                pair.list(query, packed, stride, dim, rows, count, &listed)
                pair.scan(query, packed, stride, dim, count, &scanned)
                let title = "\(name), \(String(cString: table.name)), seed \(Self.seed)"
                #expect(scanned == (0..<count).map { sum($0, value) }, "\(title)")
                #expect(listed == rows.map { sum(Int($0), value) }, "\(title)")
            }
        }
    }

    @Test func sumsOfCodesAreThoseOfALoop() {
        let dim = 131
        var generator = SplitMix64(seed: Self.seed)
        let code = (0..<dim).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        let values = code.map { Float($0) - 127.5 }
        let nibbles = code.map { Float($0 & 0xF0) + 7.5 - 127.5 }
        for variant in Self.variants {
            let sums = variant.pointee.sums(code, dim)
            #expect(sums.squares == values.reduce(0) { $0 + $1 * $1 })
            #expect(sums.magnitudes == values.reduce(0) { $0 + abs($1) })
            let expected = zip(values, nibbles).reduce(0) { $0 + $1.0 * (2 * $1.1 - $1.0) }
            #expect(sums.nibbles == expected)
        }
    }

    @Test func queriesOfAnySizeHaveAnImage() {
        let values: [Float] = [0, 1, -2, 0.5, 4, -4, 3.99, 0.01]
        for variant in Self.variants {
            let encode = variant.pointee.encode_query
            for factor: Float in [1, 1e-20, 1e20, 1e36, 0] {
                let query = values.map { $0 * factor }
                var image = [Int8](repeating: 77, count: values.count)
                let found = encode(query, 1, nil, 1, values.count, &image)
                #expect(found.scale.isFinite && found.scale > 0)
                #expect(found.sum == image.reduce(0) { $0 + Int32($1) })
                #expect(found.squares == image.reduce(0) { $0 + Int32($1) * Int32($1) })
                guard factor > 0, factor < 1e30 else { continue }
                #expect(image == [0, 32, -64, 16, 127, -127, 127, 0])
            }
            // (q * 2 - offset) * 10 - 127.5 is 0 and 63.5.
            var image = [Int8](repeating: 0, count: 2)
            let found = encode([7.375, 10.05], 2, [2, 1], 10, 2, &image)
            #expect(image == [0, 127])
            #expect(abs(found.scale - 0.5) < 1e-4)
        }
    }

    @Test func encodingRoundsAndClampsAndCounts() {
        let values: [Float] = [-9, -0.2, 0.4, 0.6, 100.5, 254.9, 255.3, 900, 3]
        let offsets = [Float](repeating: 10, count: values.count)
        for variant in Self.variants {
            var codes = [UInt8](repeating: 77, count: values.count)
            let shifted = values.map { ($0 * 2 + 10) / 4 }
            let clamped = variant.pointee.encode(shifted, 4, offsets, 0.5, values.count, &codes)
            #expect(codes == [0, 0, 0, 1, 101, 255, 255, 255, 3])
            #expect(clamped == 2)
        }
    }

    @Test func rankCountsSmallerKeys() {
        let keys: [UInt64] = (0..<40).map { $0 * 10 } + [.max - 1]
        for variant in Self.variants {
            for (key, expected) in [(0, 0), (1, 1), (10, 1), (395, 40), (UInt64.max, 41)] {
                #expect(variant.pointee.rank(keys, keys.count, key) == expected)
            }
            #expect(variant.pointee.rank(keys, 0, 5) == 0)
        }
    }

    @Test func admitKeepsTheNearestInOrder() {
        var generator = SplitMix64(seed: Self.seed)
        for variant in Self.variants {
            for width in [1, 2, 7, 8, 9, 31, 64, 300] {
                let room = width + Int(OMEN_BEAM_SLACK)
                let keys = UnsafeMutablePointer<UInt64>.allocate(capacity: room)
                defer { keys.deallocate() }
                var beam = omen_beam(keys: keys, count: 0, width: width, lowest: 0)
                var expected: [UInt64] = []
                let links = [UInt32](repeating: 0, count: 4096 * 32)
                var rows = Array(UInt32(0)..<2048).shuffled(using: &generator)[...]
                for size in [1, 3, 8, 15, 16, 17, 33, 0, 130, 2, 60, 60] {
                    let hop = Array(rows.prefix(size))
                    rows = rows.dropFirst(size)
                    // Few different distances, some negative: ties are ordered by row.
                    let distances = hop.map { _ in Float(generator.next() % 40) - 10.5 }
                    for (row, distance) in zip(hop, distances) {
                        let bits = distance.bitPattern
                        let ordered = distance < 0 ? ~bits : bits | 1 << 31
                        expected.append(UInt64(ordered) << 32 | UInt64(row) << 1)
                    }
                    let before = Array(UnsafeBufferPointer(start: keys, count: beam.count))
                    expected = Array(expected.sorted().prefix(width))
                    beam.lowest = beam.count
                    variant.pointee.admit(&beam, distances, hop, size, links, 32)
                    let after = Array(UnsafeBufferPointer(start: keys, count: beam.count))
                    #expect(after == expected, "width \(width), \(size) rows, seed \(Self.seed)")
                    let changed = zip(before, after).enumerated().first { $1.0 != $1.1 }?.offset
                    #expect(beam.lowest == changed ?? before.count)
                }
            }
        }
    }

    @Test func namesTheRunningVariant() {
        #expect(VectorIndex.kernelName == String(cString: omen_kernels_best().pointee.name))
    }
}
