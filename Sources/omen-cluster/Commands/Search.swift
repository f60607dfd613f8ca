internal import ArgumentParser
internal import OmenClient
internal import OmenCore
internal import OmenFormats
internal import OmenStorage
internal import OmenWire

struct Search: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find the nearest records.",
        discussion: """
            Smaller distances are nearer: squared Euclidean (l2), 1 - cos (cosine) or minus the \
            inner product (ip). With --neighbors the true neighbours are compared and the \
            recall is told.
            """
    )

    @Option(help: ArgumentHelp("Query vector, such as '[0.5, 1, -2]'.", valueName: "json"))
    var vector: String?

    @Option(help: ArgumentHelp("Query vectors: .npy, .fvecs, .bvecs or .jsonl.", valueName: "file"))
    var queries: String?

    @Option(name: .customShort("k"), help: "Hits wanted per query.")
    var k = 10

    @Option(help: "Width of the search over the whole cluster.")
    var ef: Int?

    @Option(help: "Recall wanted instead of --ef, such as 0.95.")
    var recall: Float?

    @Flag(help: "Compare with every vector instead of using the graph.")
    var exact = false

    @Option(help: "Leave out hits farther than this.")
    var maxDistance: Float?

    @Flag(help: "Show the metadata of the hits.")
    var withMetadata = false

    @Flag(help: "Tell what each shard decided, and what it counted.")
    var explain = false

    @Flag(help: "Fail when a shard is missing.")
    var requireAll = false

    @Flag(help: "Send one query at a time and tell the latencies.")
    var each = false

    @Option(
        help: ArgumentHelp(
            "True neighbours: a row of ids or base rows per query, .npy or .ivecs.",
            valueName: "file"
        )
    )
    var neighbors: String?

    @Option(
        help: ArgumentHelp(
            "Ids of the base rows that --neighbors names: .npy, .jsonl or a text file.",
            valueName: "file"
        )
    )
    var ids: String?

    @OptionGroup var collection: CollectionOption
    @OptionGroup var options: ClusterOptions

    func validate() throws {
        guard (vector == nil) != (queries == nil) else {
            throw ValidationError("give either --vector or --queries")
        }
        guard neighbors == nil || queries != nil else {
            throw ValidationError("--neighbors belongs to --queries")
        }
        guard ids == nil || neighbors != nil else {
            throw ValidationError("--ids belongs to --neighbors")
        }
        guard ef == nil || recall == nil else {
            throw ValidationError("give either --ef or --recall")
        }
        guard ef != 0, recall != 0 else {
            throw ValidationError("--ef and --recall are above 0 where given")
        }
        // One element stands for all: what is checked here are the options.
        try checkingUsage { () throws(OmenError) in
            try query(vectors: [0], element: .u8, dim: 1, count: 1).validate()
        }
        if let vector {
            _ = try checkingUsage { () throws(OmenError) in try JSONValue.vector(text: vector) }
        }
    }

    private func query(
        vectors: [UInt8],
        element: ElementType,
        dim: Int,
        count: Int
    ) throws(OmenError) -> SearchRequest {
        var query = SearchRequest(
            collection: collection.name,
            element: element,
            dim: dim,
            vectors: vectors,
            count: count,
            k: k
        )
        query.effort = try SearchEffort(ef: ef ?? 0, recall: recall ?? 0, exact: exact)
        query.explain = explain
        query.maxDistance = maxDistance ?? .infinity
        query.withMetadata = withMetadata
        query.allowPartial = !requireAll
        return query
    }

    func run() throws {
        try reporting {
            let vectors = try readQueries()
            let truth = try neighbors.map { path in
                try TrueNeighbors(file: path, ids: ids, k: k, queryCount: vectors.count)
            }
            let cluster = try connect(options)
            let answers = try each ? oneByOne(vectors, cluster) : pipelined(vectors, cluster)
            let recall = try truth.map { truth throws(OmenError) in
                try truth.recall(of: answers.hits)
            }
            if options.json {
                Console.out(answers.json(recall: recall, latencies: each))
            } else {
                show(answers, recall: recall)
            }
            if explain, !options.json { Console.out(answers.explanationText) }
            try answers.coverage.report()
        }
    }

    /// Requests of few queries, with more than one in flight: a shard keeps working, and none of
    /// them outlasts the coordinator's patience, which an exact search of many rows might.
    private func pipelined(
        _ vectors: QueryVectors,
        _ cluster: ClusterClient
    ) throws(OmenError) -> SearchAnswers {
        let step = max(1, min(exact ? 4 : 32, (1 << 20) / k))
        let starts = Array(stride(from: 0, to: vectors.count, by: step))
        let queries = try starts.map { start throws(OmenError) in
            try query(vectors, start..<min(start + step, vectors.count))
        }
        var answers = SearchAnswers()
        let start = ContinuousClock.now
        for (query, result) in zip(queries, try cluster.search(queries, window: 2)) {
            try answers.append(try result.get(), queryCount: query.count, seconds: 0)
        }
        answers.seconds = (ContinuousClock.now - start).seconds
        return answers
    }

    private func oneByOne(
        _ vectors: QueryVectors,
        _ cluster: ClusterClient
    ) throws(OmenError) -> SearchAnswers {
        var answers = SearchAnswers()
        for index in 0..<vectors.count {
            let start = ContinuousClock.now
            let reply = try cluster.search(try query(vectors, index..<index + 1))
            let seconds = (ContinuousClock.now - start).seconds
            try answers.append(reply, queryCount: 1, seconds: seconds)
        }
        return answers
    }

    private func query(
        _ vectors: QueryVectors,
        _ range: Range<Int>
    ) throws(OmenError) -> SearchRequest {
        let rowByteCount = vectors.dim * vectors.element.byteCount
        return try query(
            vectors: Array(
                vectors.bytes[range.lowerBound * rowByteCount..<range.upperBound * rowByteCount]
            ),
            element: vectors.element,
            dim: vectors.dim,
            count: range.count
        )
    }

    private func readQueries() throws(OmenError) -> QueryVectors {
        if let vector {
            let bytes = try JSONValue.vector(text: vector)
            return QueryVectors(element: .f32, dim: bytes.count / 4, count: 1, bytes: bytes)
        }
        guard let queries else { throw OmenError(.badRequest, "no queries") }
        return try QueryVectors(file: queries)
    }

    private func show(_ answers: SearchAnswers, recall: Double?) {
        guard recall == nil else {
            Console.out("\(answers.hits.count) queries in \(rounded(answers.seconds)) s")
            if each { Console.out(answers.latencyText) }
            Console.out("recall@\(k) \(rounded(recall ?? 0, digits: 4))")
            return
        }
        let isOne = answers.hits.count == 1
        var titles = isOne ? [] : ["query#"]
        titles += ["id", "distance#"]
        if withMetadata { titles.append("metadata") }
        var table = TextTable(titles)
        for (index, hits) in answers.hits.enumerated() {
            for hit in hits {
                var row = isOne ? [] : ["\(index)"]
                row += [hit.id.typedText, "\(hit.distance)"]
                if withMetadata { row.append(String(decoding: hit.metadata ?? [], as: UTF8.self)) }
                table.append(row)
            }
        }
        Console.out(table.text)
        if each { Console.out(answers.latencyText) }
    }
}

/// What came back for all queries, in order.
struct SearchAnswers {
    var hits: [[Hit]] = []
    var coverage = Coverage(shardsTotal: 0)
    var seconds = 0.0
    private var latencies: [Double] = []
    /// What each shard decided, if that was asked for, summed over all requests.
    private var explanations: [UInt32: ShardExplanation] = [:]

    mutating func append(
        _ reply: SearchReply,
        queryCount: Int,
        seconds: Double
    ) throws(OmenError) {
        guard reply.hitCounts.count == queryCount else {
            throw OmenError(
                .protocolViolation,
                "\(reply.hitCounts.count) answers to \(queryCount) queries"
            )
        }
        let all = reply.hits
        var start = 0
        for count in reply.hitCounts {
            let end = start + Int(count)
            guard end <= all.count else {
                throw OmenError(.protocolViolation, "fewer hits than the reply counts")
            }
            hits.append(Array(all[start..<end]))
            start = end
        }
        self.seconds += seconds
        latencies.append(seconds)
        for explanation in reply.explanations {
            explanations[explanation.shard, default: explanation.emptied] += explanation
        }
        // A shard that missed any of the queries is missing from the whole.
        coverage.shardsTotal = reply.coverage.shardsTotal
        let known = Set(coverage.failures.map(\.shard))
        coverage.failures += reply.coverage.failures.filter { !known.contains($0.shard) }
        coverage.failures.sort { $0.shard < $1.shard }
    }

    /// The latency that `share` of the requests did not exceed.
    private func percentile(_ share: Double) -> Double {
        let sorted = latencies.sorted()
        guard let last = sorted.last else { return 0 }
        let index = Int((Double(sorted.count) * share).rounded(.up)) - 1
        return sorted.indices.contains(index) ? sorted[index] : last
    }

    var latencyText: String {
        "latency p50 \(rounded(percentile(0.5) * 1000)) ms, p99 \(rounded(percentile(0.99) * 1000)) ms"
    }

    private var orderedExplanations: [ShardExplanation] {
        explanations.values.sorted { $0.shard < $1.shard }
    }

    /// A line for each shard.
    var explanationText: String {
        var table = TextTable([
            "shard#", "rows#", "linked#", "walks#", "width#", "scans#", "rerank min#", "unlike#",
            "distances#", "ms#", "why scanned",
        ])
        for one in orderedExplanations {
            table.append([
                "\(one.shard)", "\(one.rowCount)", "\(one.linkedCount)", "\(one.walkCount)",
                "\(one.width)", "\(one.scanCount)", "\(one.rerankCount)",
                "\(one.strangerCount)", "\(one.distanceCount)",
                rounded(Double(one.nanoseconds) / 1e6), one.scanReasons.joined(separator: "; "),
            ])
        }
        return table.text
    }

    func json(recall: Double?, latencies: Bool) -> JSON {
        var members: [(String, JSON)] = [
            ("hits", .array(hits.map { .array($0.map(json)) })),
            ("shards_total", .integer(Int(coverage.shardsTotal))),
            ("shards_answered", .integer(coverage.shardsAnswered)),
            ("missing_shards", coverage.missingShards),
            ("partial", .bool(coverage.isPartial)),
            ("seconds", .number(seconds)),
        ]
        if let recall { members.append(("recall", .number(recall))) }
        if !explanations.isEmpty {
            members.append(("explain", .array(orderedExplanations.map(\.json))))
        }
        if latencies {
            members.append(
                (
                    "latency_seconds",
                    .object([
                        ("p50", .number(percentile(0.5))), ("p99", .number(percentile(0.99))),
                    ])
                )
            )
        }
        return .object(members)
    }

    private func json(_ hit: Hit) -> JSON {
        .object([
            ("id", hit.id.json),
            ("distance", .float(hit.distance)),
            ("metadata", hit.metadata.map { .text($0) } ?? .null),
        ])
    }
}

extension ShardExplanation {
    /// The same shard before any query.
    fileprivate var emptied: ShardExplanation {
        ShardExplanation(
            shard: shard,
            rowCount: rowCount,
            linkedCount: linkedCount,
            deletedCount: deletedCount
        )
    }

    /// Why queries were compared with every row, each reason once.
    fileprivate var scanReasons: [String] {
        ScanReason.allCases.filter { scanCounts[Int($0.rawValue)] > 0 }.map(\.text)
    }

    fileprivate var json: JSON {
        .object([
            ("shard", .integer(Int(shard))),
            ("rows", .integer(Int(clamping: rowCount))),
            ("linked", .integer(Int(clamping: linkedCount))),
            ("deleted", .integer(Int(clamping: deletedCount))),
            ("queries", .integer(Int(queryCount))),
            ("walks", .integer(Int(walkCount))),
            ("width", .integer(Int(width))),
            ("unlike_rows", .integer(Int(strangerCount))),
            ("rerank_min", .integer(Int(rerankCount))),
            ("scans", .integer(Int(scanCount))),
            ("scan_reasons", .array(scanReasons.map(JSON.string))),
            ("distances", .integer(Int(clamping: distanceCount))),
            ("seconds", .number(Double(nanoseconds) / 1e9)),
        ])
    }
}
