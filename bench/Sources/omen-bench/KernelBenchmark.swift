internal import COmenKernels
internal import Glibc
internal import OmenCore

/// Nanoseconds per distance of every kernel, at one dimension after another, rows in cache.
struct KernelBenchmark {
    let dims: [Int]
    let repeats: Int
    /// Number of the variant, from the fastest; those this processor cannot run have none.
    let variant: Int
    /// Bytes of rows that are compared again and again; what holds them is the cache measured.
    let blockByteCount: Int

    /// Bytes read in one measurement, which takes some tens of microseconds.
    private static let byteCountMin = 2 << 20

    /// A kernel and the bytes of one of its rows.
    private struct Case {
        let name: String
        let pair: omen_kernel_pair
        let rowByteCount: (Int) -> Int
    }

    init(_ options: Options) throws {
        let common = [128, 256, 384, 512, 768, 1536]
        dims = try options.integers("dims", standard: common)
        repeats = try options.integer("repeats", standard: 101)
        variant = try options.integer("variant", standard: 0)
        blockByteCount = try options.integer("block-bytes", standard: 24 << 10)
        guard dims.allSatisfy({ (1...Limits.dimensionMax).contains($0) }), repeats > 0,
            (1...1 << 30).contains(blockByteCount)
        else {
            throw Failure(
                "dims are 1...\(Limits.dimensionMax), repeats and block-bytes above 0"
            )
        }
    }

    func run() throws -> String {
        let available = (0..<omen_kernels_count()).compactMap { omen_kernels_at($0) }
        guard available.indices.contains(variant) else {
            throw Failure("--variant \(variant), there are \(available.count)")
        }
        let table = available[variant].pointee
        let cases = [
            Case(name: "l2_u8", pair: table.l2_u8) { $0 },
            Case(name: "dot_u8", pair: table.dot_u8) { $0 },
            Case(name: "l2_f32", pair: table.l2_f32) { $0 * 4 },
            Case(name: "dot_f32", pair: table.dot_f32) { $0 * 4 },
            Case(name: "l2_f32_u8", pair: table.l2_f32_u8) { $0 },
            Case(name: "dot_f32_u8", pair: table.dot_f32_u8) { $0 },
            Case(name: "dot_i8_u8", pair: table.dot_i8_u8) { $0 },
            Case(name: "dot_i8_u4", pair: table.dot_i8_u4) { ($0 + 1) / 2 },
            Case(name: "dot_i8_u1", pair: table.dot_i8_u1) { ($0 + 7) / 8 },
        ]
        let points = cases.flatMap { one in dims.map { measure(one, dim: $0) } }
        return """
            {"kernels": "\(String(cString: table.name))", "unit": "ns per distance", \
            "points": [\(points.joined(separator: ", "))]}
            """
    }

    /// The median over `repeats`, of rows one after another and of rows by a list.
    private func measure(_ one: Case, dim: Int) -> String {
        let stride = (one.rowByteCount(dim) + 63) & ~63
        let count = max(4, blockByteCount / stride)
        let calls = max(1, Self.byteCountMin / (count * stride))
        // Bytes that are finite and ordinary as floats too.
        let pattern: [UInt8] = [0x12, 0x34, 0x56, 0x3F]
        let byteCount = (count + 1) * max(stride, dim * 4 + 64)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { memory.deallocate() }
        let bytes = memory.bindMemory(to: UInt8.self, capacity: byteCount)
        for i in 0..<byteCount { bytes[i] = pattern[i % 4] }
        let query = memory
        let base = memory + max(stride, dim * 4 + 63) / 64 * 64
        let rows = (0..<count).map { UInt32($0 * 7 % count) }
        var out = [Float](repeating: 0, count: count)
        let scanned = median(count, calls: calls) {
            one.pair.scan(query, base, stride, dim, count, &out)
        }
        let listed = median(count, calls: calls) {
            one.pair.list(query, base, stride, dim, rows, count, &out)
        }
        return """
            {"kernel": "\(one.name)", "dim": \(dim), "row_bytes": \(one.rowByteCount(dim)), \
            "rows": \(count), "scan_ns": \(scanned), "list_ns": \(listed)}
            """
    }

    private func median(_ count: Int, calls: Int, _ call: () -> Void) -> Double {
        var times: [Double] = []
        for _ in 0..<repeats {
            let start = now(CLOCK_THREAD_CPUTIME_ID)
            for _ in 0..<calls { call() }
            times.append((now(CLOCK_THREAD_CPUTIME_ID) - start) * 1e9 / Double(calls * count))
        }
        return (times.sorted()[times.count / 2] * 100).rounded() / 100
    }
}
