internal import Glibc
internal import OmenCore
internal import OmenIndex

/// How the graph is built: all at once, or row by row.
enum BuildKind: CaseIterable {
    case bulk
    case stream
}

/// One index, one thread: streaming inserts, then searches one by one.
struct IndexBenchmark {
    let base: NumpyFile
    let queries: NumpyFile
    let neighbors: [Int32]
    let neighborsPerQuery: Int
    let schema: CollectionSchema
    let efs: [Int]
    let k: Int
    let repeats: Int
    /// Processes that search at once, in a second measurement; 1: none.
    let processCount: Int
    /// Threads of a build in bulk.
    let threadCount: Int
    /// Whether to append everything first, and then build the graph at once.
    let isBulk: Bool
    /// File of a built index to search; nil to build one.
    let loadPath: String?
    /// File to keep the built index in.
    let savePath: String?
    /// Row of the file of each row of the index; empty when they are the same.
    private var sourceRows: [UInt32] = []

    init(_ options: Options) throws {
        base = try NumpyFile(path: options.path("base"))
        queries = try NumpyFile(path: options.path("queries"))
        let truth = try NumpyFile(path: options.path("neighbors"))
        neighbors = try truth.int32s()
        neighborsPerQuery = truth.columns
        k = try options.integer("k", standard: 10)
        repeats = try options.integer("repeats", standard: 5)
        processCount = try options.integer("processes", standard: 1)
        threadCount = try options.integer("threads", standard: 1)
        isBulk = try options.choice("build", standard: BuildKind.stream) == .bulk
        loadPath = options.optional("load")
        savePath = options.optional("save")
        guard !isBulk || (loadPath ?? savePath) == nil else {
            throw Failure("--build bulk renumbers rows, which --save does not keep")
        }
        efs = try options.integers("efs", standard: [10, 16, 24, 32, 48, 64, 96, 128])
        guard queries.columns == base.columns, truth.rows == queries.rows, k > 0, repeats > 0,
            k <= truth.columns
        else {
            throw Failure("base, queries and neighbors do not fit together")
        }
        let element = try base.vectors().element
        let standard = CollectionSchema(dim: base.columns)
        schema = CollectionSchema(
            dim: base.columns,
            metric: try options.choice("metric", standard: .l2),
            element: element,
            codes: try options.choice(
                "codes",
                standard: .standard(dim: base.columns, element: element)
            ),
            m: try options.integer("m", standard: standard.m),
            efConstruction: try options.integer(
                "ef-construction",
                standard: standard.efConstruction
            )
        )
    }

    mutating func run() throws -> String {
        let start = now()
        let startCPU = now(CLOCK_THREAD_CPUTIME_ID)
        var index = try loadPath.map { try IndexFile.load($0, schema: schema) } ?? build()
        var times: BuildTimes?
        if isBulk { (index, times) = try buildInBulk(index) }
        let buildSeconds = now() - start
        let buildCPU = now(CLOCK_THREAD_CPUTIME_ID) - startCPU
        if loadPath == nil { try index.checkInvariants() }
        if let savePath { try IndexFile.save(index, to: savePath) }
        tell("built \(base.rows) rows in \(rounded(buildSeconds, 1)) s; searching")
        var points: [String] = []
        for ef in efs { points.append(try measure(index, ef: ef)) }
        var together: [String] = []
        if processCount > 1 {
            for ef in efs {
                let rate = try rateTogether(index, ef: ef, processCount: processCount)
                together.append("{\"ef\": \(ef), \"qps\": \(rounded(rate, 1))}")
            }
        }
        return """
            {"kernels": "\(VectorIndex.kernelName)", "rows": \(base.rows), "dim": \(schema.dim), \
            "metric": "\(schema.metric)", "element": "\(schema.element)", \
            "codes": "\(schema.codes)", "m": \(schema.m), \
            "ef_construction": \(schema.efConstruction), "k": \(k), \
            "build": "\(isBulk ? "bulk" : "stream")", \
            "bulk_seconds": \(times.map(steps) ?? "null"), \
            "build_seconds": \(rounded(buildSeconds, 3)), \
            "build_cpu_seconds": \(rounded(buildCPU, 3)), \
            "vectors_per_second": \(rounded(Double(base.rows) / buildSeconds, 1)), \
            "threads": \(threadCount), "processes": \(processCount), "points": [\(points.joined(separator: ", "))], \
            "together": [\(together.joined(separator: ", "))]}
            """
    }

    /// An index of all rows; not linked when that is to be done in bulk.
    private func build() throws -> VectorIndex {
        let index = try VectorIndex(schema: schema, seed: 1)
        let (_, bytes) = try base.vectors()
        try bytes.withUnsafeBytes { raw in
            guard let first = raw.baseAddress else { throw Failure("no vectors") }
            for row in 0..<base.rows {
                _ = try index.append(first + row * schema.vectorByteCount)
                if !isBulk { _ = index.link(atMost: 1) }
            }
        }
        return index
    }

    private mutating func buildInBulk(_ index: VectorIndex) throws -> (VectorIndex, BuildTimes) {
        let helpers = BuildHelpers.some(threadCount - 1)
        guard
            let rebuilt = try index.rebuildJob().run(
                helpers: helpers,
                progress: { _ in },
                shouldStop: { false }
            )
        else { throw Failure("the build stopped") }
        sourceRows = rebuilt.sourceRows
        return (rebuilt.index, rebuilt.times)
    }

    private func steps(_ times: BuildTimes) -> String {
        """
        {"copy": \(rounded(times.copy, 3)), "partition": \(rounded(times.partition, 3)), \
        "neighbors": \(rounded(times.neighbors, 3)), "prune": \(rounded(times.prune, 3)), \
        "reverse": \(rounded(times.reverse, 3)), "tree": \(rounded(times.tree, 3)), \
        "upper": \(rounded(times.upper, 3)), "calibration": \(rounded(times.calibration, 3))}
        """
    }

    /// Recall, and the median over `repeats` of queries per second.
    private func measure(_ index: VectorIndex, ef: Int) throws -> String {
        let (element, bytes) = try queries.vectors()
        let byteCount = schema.dim * element.byteCount
        var hits: [Neighbor] = []
        var rates: [Double] = []
        var best = 0.0
        var found = 0
        try bytes.withUnsafeBytes { raw in
            guard let first = raw.baseAddress else { throw Failure("no queries") }
            for round in 0..<repeats {
                let start = now()
                let startCPU = now(CLOCK_THREAD_CPUTIME_ID)
                for query in 0..<queries.rows {
                    try index.search(
                        first + query * byteCount,
                        element: element,
                        k: k,
                        effort: .walk(ef: ef),
                        into: &hits
                    )
                    if round == 0 { found += count(hits, query: query) }
                }
                // The first round counts hits, and warms caches.
                if round > 0 || repeats == 1 {
                    rates.append(Double(queries.rows) / (now() - start))
                    let seconds = now(CLOCK_THREAD_CPUTIME_ID) - startCPU
                    best = max(best, Double(queries.rows) / seconds)
                }
            }
        }
        let recall = Double(found) / Double(queries.rows * k)
        let rate = rates.sorted()[rates.count / 2]
        return """
            {"ef": \(ef), "recall": \(rounded(recall, 4)), "qps": \(rounded(rate, 1)), \
            "qps_cpu_max": \(rounded(best, 1))}
            """
    }

    private func count(_ hits: [Neighbor], query: Int) -> Int {
        let first = query * neighborsPerQuery
        let truth = Set(neighbors[first..<first + k])
        return hits.count {
            truth.contains(Int32(sourceRows.isEmpty ? $0.row : sourceRows[Int($0.row)]))
        }
    }
}
