internal import Glibc
internal import OmenCore
internal import OmenEmbedded

/// The database in this process, called from Swift: what the Python package is compared with.
struct EmbeddedBenchmark {
    private let base: NumpyFile
    private let queries: NumpyFile
    private let efs: [Int]
    private let k: Int
    private let repeats: Int

    /// Bytes of vectors in one write, and most vectors, as the C interface cuts batches.
    private static let batchByteCount = 4 << 20

    init(_ options: Options) throws {
        base = try NumpyFile(path: options.path("base"))
        queries = try NumpyFile(path: options.path("queries"))
        efs = try options.integers("efs", standard: [16, 128])
        k = try options.integer("k", standard: 10)
        repeats = try options.integer("repeats", standard: 5)
    }

    func run() throws -> String {
        var database = try Database()
        var addSeconds = try add(to: database)
        for _ in 1..<repeats {
            try database.close()
            database = try Database()
            addSeconds = min(addSeconds, try add(to: database))
        }
        while let counts = try database.collections().first, counts.linked < base.rows {
            usleep(10_000)
        }
        var points: [String] = []
        for ef in efs { points.append(try measure(database, ef: ef)) }
        try database.close()
        return """
            {"rows": \(base.rows), "dim": \(base.columns), "add_seconds": \(addSeconds), \
            "points": [\(points.joined(separator: ", "))]}
            """
    }

    /// - Returns: Seconds that adding all vectors to an empty database took.
    private func add(to database: Database) throws -> Double {
        let (element, bytes) = try base.vectors()
        let schema = CollectionSchema(dim: base.columns, element: element)
        _ = try database.write(.createCollection(name: "default", schema: schema))
        let rowByteCount = schema.vectorByteCount
        let step = min(Limits.batchCountMax, Self.batchByteCount / rowByteCount)
        let start = now()
        for first in stride(from: 0, to: base.rows, by: step) {
            let rows = first..<min(first + step, base.rows)
            let part = bytes[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount]
            let batch = UpsertBatch(
                collection: "default",
                element: element,
                dim: base.columns,
                ids: rows.map { .number(UInt64($0)) },
                vectors: Array(part)
            )
            _ = try database.write(.upsert(batch))
        }
        return now() - start
    }

    /// Microseconds per query: one by one, and all in one call; the best of `repeats`.
    private func measure(_ database: Database, ef: Int) throws -> String {
        let (element, bytes) = try queries.vectors()
        let rowByteCount = queries.columns * element.byteCount
        var all = SearchRequest(
            collection: "default",
            element: element,
            dim: queries.columns,
            vectors: Array(bytes),
            count: queries.rows,
            limit: k
        )
        all.effort = .ef(ef)
        all.withMetadata = true
        var single = Double.infinity
        var batch = Double.infinity
        for _ in 0..<repeats {
            var start = now()
            for row in 0..<queries.rows {
                var one = all
                one.count = 1
                one.vectors = Array(bytes[row * rowByteCount..<(row + 1) * rowByteCount])
                _ = try database.search(one)
            }
            single = min(single, now() - start)
            start = now()
            _ = try database.search(all)
            batch = min(batch, now() - start)
        }
        let scale = 1e6 / Double(queries.rows)
        return """
            {"ef": \(ef), "single_us": \(single * scale), "batch_us": \(batch * scale)}
            """
    }
}
