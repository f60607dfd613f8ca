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

    @Option(name: [.long, .customShort("k")], help: "Hits wanted per query.")
    var limit = 10

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

    @Flag(help: "Show the vectors of the hits.")
    var withVector = false

    @Flag(help: "Tell what each shard decided, and what it counted.")
    var explain = false

    @Flag(inversion: .prefixedNo, help: "Answer without the shards that cannot.")
    var allowPartial = true

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
            limit: limit
        )
        query.effort = try SearchEffort(ef: ef ?? 0, recall: recall ?? 0, exact: exact)
        query.explain = explain
        query.maxDistance = maxDistance ?? .infinity
        query.withMetadata = withMetadata
        query.withVector = withVector
        query.allowPartial = allowPartial
        return query
    }

    func run() throws {
        try reporting {
            let vectors = try readQueries()
            let truth = try neighbors.map { path in
                try TrueNeighbors(file: path, ids: ids, k: limit, queryCount: vectors.count)
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
        let step = max(1, min(exact ? 4 : 32, (1 << 20) / limit))
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
            Console.out("recall@\(limit) \(rounded(recall ?? 0, digits: 4))")
            return
        }
        let isOne = answers.hits.count == 1
        var titles = isOne ? [] : ["query#"]
        titles += ["id", "distance#"]
        if withMetadata { titles.append("metadata") }
        if withVector { titles.append("vector") }
        var table = TextTable(titles)
        for (index, hits) in answers.hits.enumerated() {
            for hit in hits {
                var row = isOne ? [] : ["\(index)"]
                row += [hit.id.typedText, "\(hit.distance)"]
                if withMetadata { row.append(String(decoding: hit.metadata ?? [], as: UTF8.self)) }
                if let vector = hit.vector {
                    row.append(vectorJSON(vector, element: answers.element).text)
                }
                table.append(row)
            }
        }
        Console.out(table.text)
        if each { Console.out(answers.latencyText) }
    }
}
