internal import Glibc
internal import OmenCore
internal import OmenIndex

/// One index, one thread, as a worker uses it.
///
/// Rows arrive in chunks, and are linked in short slices whenever more than some are hot. Then every
/// row is replaced, round after round.
///
/// Printed are rows linked per second of linking, the longest and the 99th percentile of slices, and
/// recall at several widths once everything is linked.
struct StreamBenchmark {
    private let base: NumpyFile
    private let queries: NumpyFile
    private let neighbors: [Int32]
    private let neighborsPerQuery: Int
    private let schema: CollectionSchema
    private let efs: [Int]
    private let rounds: Int
    private let chunk: Int
    private let hotCountMax: Int
    private let stepsPerSlice: Int
    private let k = 10

    init(_ options: Options) throws {
        base = try NumpyFile(path: options.path("base"))
        queries = try NumpyFile(path: options.path("queries"))
        let truth = try NumpyFile(path: options.path("neighbors"))
        neighbors = try truth.int32s()
        neighborsPerQuery = truth.columns
        efs = try options.integers("efs", standard: [32, 64, 128])
        rounds = try options.integer("rounds", standard: 0)
        chunk = try options.integer("chunk", standard: 256)
        hotCountMax = try options.integer("hot", standard: 4096)
        stepsPerSlice = try options.integer("steps", standard: 64)
        guard queries.columns == base.columns, truth.rows == queries.rows, k <= truth.columns,
            rounds >= 0, chunk > 0, hotCountMax >= 0, stepsPerSlice > 0
        else { throw Failure("base, queries, neighbors and counts do not fit together") }
        let standard = CollectionSchema(dim: base.columns)
        schema = CollectionSchema(
            dim: base.columns,
            metric: try options.choice("metric", standard: .l2),
            element: try base.vectors().element,
            codes: try options.choice("codes", standard: .u8),
            m: try options.integer("m", standard: standard.m),
            efConstruction: try options.integer(
                "ef-construction",
                standard: standard.efConstruction
            )
        )
    }

    func run() throws -> String {
        let index = try VectorIndex(schema: schema, seed: 1)
        let (_, bytes) = try base.vectors()
        // The vector that each row holds, and the live row of each vector.
        var vectorOfRow: [Int32] = []
        var rowOfVector = [UInt32?](repeating: nil, count: base.rows)
        var reports: [String] = []
        for round in 0...rounds {
            var times = SliceTimes()
            try bytes.withUnsafeBytes { raw in
                guard let first = raw.baseAddress else { throw Failure("no vectors") }
                for vector in 0..<base.rows {
                    let row = try index.append(first + vector * schema.vectorByteCount)
                    vectorOfRow.append(Int32(vector))
                    if let old = rowOfVector[vector] { index.markDeleted(old) }
                    rowOfVector[vector] = row
                    guard (vector + 1) % chunk == 0 else { continue }
                    while index.rowCount - index.linkedCount > hotCountMax {
                        guard slice(index, &times) else { break }
                    }
                }
            }
            while slice(index, &times) {}
            try index.checkInvariants()
            let points = try efs.map { try measure(index, ef: $0, vectorOfRow) }
            reports.append(
                """
                {"round": \(round), "rows": \(index.rowCount), \
                "linked_per_second": \(rounded(Double(base.rows) / times.total, 1)), \
                "slice_p99_us": \(rounded(times.percentile(0.99) * 1e6, 1)), \
                "slice_max_us": \(rounded(times.percentile(1) * 1e6, 1)), \
                "points": [\(points.joined(separator: ", "))]}
                """
            )
        }
        return """
            {"kernels": "\(VectorIndex.kernelName)", "dim": \(schema.dim), \
            "metric": "\(schema.metric)", "element": "\(schema.element)", \
            "codes": "\(schema.codes)", "m": \(schema.m), \
            "ef_construction": \(schema.efConstruction), "k": \(k), "hot": \(hotCountMax), \
            "rounds": [\(reports.joined(separator: ",\n"))]}
            """
    }

    /// - Returns: Whether anything was left to do.
    private func slice(_ index: VectorIndex, _ times: inout SliceTimes) -> Bool {
        let start = now(CLOCK_THREAD_CPUTIME_ID)
        let taken = index.link(steps: stepsPerSlice)
        if taken > 0 { times.add(now(CLOCK_THREAD_CPUTIME_ID) - start) }
        return taken > 0
    }

    private func measure(
        _ index: VectorIndex,
        ef: Int,
        _ vectorOfRow: [Int32]
    ) throws -> String {
        let (element, bytes) = try queries.vectors()
        var hits: [Neighbor] = []
        var found = 0
        let start = now(CLOCK_THREAD_CPUTIME_ID)
        try bytes.withUnsafeBytes { raw in
            guard let first = raw.baseAddress else { throw Failure("no queries") }
            for query in 0..<queries.rows {
                try index.search(
                    first + query * schema.dim * element.byteCount,
                    element: element,
                    k: k,
                    effort: .walk(ef: ef),
                    into: &hits
                )
                let truth = neighbors[query * neighborsPerQuery..<query * neighborsPerQuery + k]
                found += hits.count { truth.contains(vectorOfRow[Int($0.row)]) }
            }
        }
        let rate = Double(queries.rows) / (now(CLOCK_THREAD_CPUTIME_ID) - start)
        let recall = Double(found) / Double(queries.rows * k)
        return """
            {"ef": \(ef), "recall": \(rounded(recall, 4)), "qps": \(rounded(rate, 1))}
            """
    }
}

/// How long each slice of linking took, in seconds of this thread.
private struct SliceTimes {
    private var seconds: [Double] = []
    private(set) var total = 0.0

    mutating func add(_ time: Double) {
        seconds.append(time)
        total += time
    }

    func percentile(_ share: Double) -> Double {
        let sorted = seconds.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}
