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

    @Test(arguments: lengths)
    func everyVariantAgreesWithANaiveLoop(dim: Int) {
        let data = Case(dim: dim, seed: Self.seed + UInt64(dim))
        let bytes = data.bytes.map(Double.init)
        let floats = data.floats.map(Double.init)
        // The last row is the query.
        let last = 11 * data.stride
        for variant in Self.variants {
            let name = String(cString: variant.pointee.name)
            let table = variant.pointee
            func check(
                _ pair: omen_kernel_pair,
                _ queryValues: [Double],
                _ rowValues: [Double],
                query: UnsafeRawPointer,
                base: UnsafeRawPointer,
                stride: Int,
                squared: Bool,
                tolerance: Double
            ) {
                var listed = [Float](repeating: -1, count: data.count)
                var scanned = [Float](repeating: -1, count: data.count)
                pair.list(query, base, stride, dim, data.rows, data.count, &listed)
                pair.scan(query, base, stride, dim, data.count, &scanned)
                for i in 0..<data.count {
                    var sums = (0.0, 0.0)
                    for d in 0..<dim {
                        let q = queryValues[last + d]
                        let a = rowValues[Int(data.rows[i]) * data.stride + d]
                        let b = rowValues[i * data.stride + d]
                        sums.0 += squared ? (q - a) * (q - a) : q * a
                        sums.1 += squared ? (q - b) * (q - b) : q * b
                    }
                    #expect(abs(Double(listed[i]) - sums.0) <= tolerance, "\(name) list \(i)")
                    #expect(abs(Double(scanned[i]) - sums.1) <= tolerance, "\(name) scan \(i)")
                    let same = scanned[Int(data.rows[i])]
                    #expect(listed[i] == same, "\(name): list and scan differ")
                }
            }
            data.bytes.withUnsafeBytes { b in
                data.floats.withUnsafeBytes { f in
                    guard let b = b.baseAddress, let f = f.baseAddress else { return }
                    let s = data.stride
                    let bq = b + last
                    let fq = f + last * 4
                    check(
                        table.l2_u8,
                        bytes,
                        bytes,
                        query: bq,
                        base: b,
                        stride: s,
                        squared: true,
                        tolerance: 1
                    )
                    check(
                        table.dot_u8,
                        bytes,
                        bytes,
                        query: bq,
                        base: b,
                        stride: s,
                        squared: false,
                        tolerance: 1
                    )
                    check(
                        table.l2_f32,
                        floats,
                        floats,
                        query: fq,
                        base: f,
                        stride: s * 4,
                        squared: true,
                        tolerance: 0.1
                    )
                    check(
                        table.dot_f32,
                        floats,
                        floats,
                        query: fq,
                        base: f,
                        stride: s * 4,
                        squared: false,
                        tolerance: 0.1
                    )
                    check(
                        table.l2_f32_u8,
                        floats,
                        bytes,
                        query: fq,
                        base: b,
                        stride: s,
                        squared: true,
                        tolerance: 10
                    )
                    check(
                        table.dot_f32_u8,
                        floats,
                        bytes,
                        query: fq,
                        base: b,
                        stride: s,
                        squared: false,
                        tolerance: 1
                    )
                }
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

    @Test func namesTheRunningVariant() {
        #expect(VectorIndex.kernelName == String(cString: omen_kernels_best().pointee.name))
    }
}
