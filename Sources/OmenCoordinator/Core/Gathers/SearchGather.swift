internal import OmenCore
internal import OmenWire

/// A search: the same queries go to every shard, and the nearest of all answers come back.
struct SearchGather: Sendable {
    /// The collection that is searched.
    private let target: ReadTarget
    /// Hits wanted for each query.
    private let k: Int
    /// Queries of the search.
    private let queryCount: Int
    /// Whether hits may be returned although shards are missing.
    private let allowsPartial: Bool
    /// Element type of the collection, where no answer tells it.
    private let element: ElementType
    /// Whether the answers tell what the collection's metadata takes.
    private let teachesMetadata: Bool
    /// Shards that are asked at most.
    private let shardCount: Int
    /// What arrived so far.
    private var answers = GatheredHits()
    /// What the shards decided that answered, if the client asked for that.
    private var explanations: [ShardExplanation] = []

    /// A search that no shard has answered.
    ///
    /// - Parameters:
    ///   - query: What the client asked.
    ///   - entry: The collection that is searched.
    ///   - shardCount: Shards that are asked at most.
    init(_ query: SearchRequest, about entry: CatalogEntry, on shardCount: Int) {
        self.shardCount = shardCount
        target = ReadTarget(entry)
        k = query.limit
        queryCount = query.count
        allowsPartial = query.allowPartial
        element = entry.schema.element
        // Where no record has any there is nothing more to learn.
        teachesMetadata = query.withMetadata && entry.metadataByteCount != 0
    }

    /// Takes one shard's answer.
    ///
    /// - Throws: Why the shard's part is missing: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        if case .hits(let hits) = answer {
            try check(hits.queryCount, hitCount: hits.hitCount, sum: hits.hitCount, shard: shard)
            answers.append(hits, of: shardCount)
            return cost(heldByteCount: hits.hitCount * 12, metadata: 0, hits.hitCount)
        }
        guard let message = try target.answer(answer, from: shard) else { return AnswerCost() }
        guard case .hits(let reply) = message else { throw .outOfTurn(message, shard: shard) }
        let sum = reply.hitCounts.reduce(0) { $0 + Int($1) }
        try check(reply.hitCounts.count, hitCount: reply.list.count, sum: sum, shard: shard)
        answers.append(reply)
        for var explanation in reply.explanations {
            explanation.shard = UInt32(shard)
            explanations.append(explanation)
        }
        var metadataByteCount = 0
        if case .full(let hits) = reply.list {
            metadataByteCount = hits.reduce(0) { $0 + ($1.metadata?.count ?? 0) }
        }
        return cost(
            heldByteCount: reply.heldByteCount,
            metadata: metadataByteCount,
            reply.list.count
        )
    }

    /// Makes sure that an answer has the shape of the search.
    private func check(
        _ answeredCount: Int,
        hitCount: Int,
        sum: Int,
        shard: Int
    ) throws(OmenError) {
        guard answeredCount == queryCount, sum == hitCount else {
            throw OmenError(
                .protocolViolation,
                "shard \(shard) answered \(answeredCount) queries with \(hitCount) hits, expected \(queryCount) queries"
            )
        }
    }

    /// What an answer costs and teaches, by the number of its hits.
    private func cost(heldByteCount: Int, metadata: Int, _ hitCount: Int) -> AnswerCost {
        var cost = AnswerCost(heldByteCount: heldByteCount)
        if teachesMetadata {
            cost.metadata = MetadataSample(
                collection: target.collection,
                byteCount: metadata,
                recordCount: hitCount
            )
        }
        return cost
    }

    /// The error of a search that cannot be answered whatever the shards say that are awaited.
    func failure(of parts: ShardParts) -> OmenError? {
        if let error = parts.commonFailure { return error }
        let failures = parts.coverage.failures
        guard !allowsPartial, !failures.isEmpty else { return nil }
        let reasons = failures.map { "\($0.shard): \($0.error.message)" }
        return OmenError(
            .unavailable,
            "shards are missing and allow_partial is false: \(reasons.joined(separator: "; "))"
        )
    }

    /// The nearest hits of all answers, for the client.
    func reply(_ parts: ShardParts) -> Message {
        if let error = failure(of: parts) { return .failure(error) }
        let merged = answers.merged(k: k, queryCount: queryCount)
        var reply = SearchReply(
            element: answers.element ?? element,
            hitCounts: merged.counts,
            list: merged.hits,
            coverage: parts.coverage
        )
        reply.explanations = explanations.sorted { $0.shard < $1.shard }
        return .hits(reply)
    }

    /// The same search without what has arrived.
    var withoutAnswers: SearchGather {
        var copy = self
        copy.answers = GatheredHits()
        copy.explanations = []
        return copy
    }
}

extension CoordinatorCore {
    /// Begins a search: checks its values, and orders every shard its part, which the shard plans.
    ///
    /// - Parameters:
    ///   - query: What the client asks; decoding has checked its shape.
    ///   - requester: Who is answered.
    /// - Throws: Why the search is refused.
    mutating func begin(_ query: SearchRequest, for requester: Requester) throws(OmenError) {
        try checkRunning()
        guard query.count * query.limit <= Limits.searchHitCountMax else {
            throw OmenError(
                .badRequest,
                "\(query.count) queries of \(query.limit) hits, at most \(Limits.searchHitCountMax) hits fit one reply"
            )
        }
        let entry = catalog[try existing(query.collection)]
        let timeout = searchTimeout(query)
        // Before the vectors are looked at, so that an overloaded cluster refuses cheaply.
        try checkCapacity(for: query.vectors.count)
        try checkTime(for: query, of: requester.client, timeout: timeout, about: entry)
        let order = ShardOrder(
            try query.validated(against: entry.schema),
            shardCount: directory.shardCount,
            largestShare: directory.slots.largestShare
        ).answered(within: Self.milliseconds(timeout))
        let message = Message.shardSearch(order)
        let byteCount = message.bodyByteCount
        guard Message.fitsFrame(bodyByteCount: byteCount) else {
            throw OmenError(
                .badRequest,
                "\(query.count) queries of \(query.dim) dimensions do not fit a frame: send fewer at once"
            )
        }
        let answers = answerByteCount(query, about: entry, shardLimit: order.limit)
        var request = PendingRequest(
            requester,
            .search(SearchGather(query, about: entry, on: directory.shardCount)),
            parts: ShardParts(of: directory.shardCount),
            byteCount: queuedByteCount(query) + answers
        )
        request.expectedAnswerByteCount = answers
        try askAll(
            message,
            byteCount: Limits.messageOverheadByteCount + byteCount,
            of: request,
            about: entry,
            timeout: timeout
        )
    }

    /// Refuses a search that a shard would not answer in time, before it costs anybody anything.
    ///
    /// Half of the time is left for what nobody foresees. A search that no other is before is
    /// always tried.
    private func checkTime(
        for query: SearchRequest,
        of client: UInt64,
        timeout: UInt64,
        about entry: CatalogEntry
    ) throws(OmenError) {
        for shard in entry.serving {
            let replica = directory.replica(serving: shard)
            let searchCount = workers[replica].load.searches.searchCount
            guard searchCount > 0 else { continue }
            // Clients take turns, and one that has nothing waiting is next.
            let before =
                workers[replica].load.sentReadCount
                + workers[replica].load.reads.countBefore(client)
            let expected = workers[replica].load.searches.nanoseconds(
                forQueries: query.count,
                behind: before
            )
            guard expected > timeout / 2 else { continue }
            throw OmenError(
                .resourceExhausted,
                "shard \(shard) has \(searchCount) searches before it and would answer in \(expected / 1_000_000) ms, which is over half of the \(timeout / 1_000_000) ms that it may take: retry later",
                retryAfterMilliseconds: Self.retryAfter(expected - timeout / 2)
            )
        }
    }

    /// Milliseconds, from 10 to a second: nobody knows more than that.
    static func retryAfter(_ nanoseconds: UInt64) -> UInt32 {
        UInt32(min(1000, max(10, nanoseconds / 1_000_000)))
    }

    /// What a worker is told of the nanoseconds it has: whole milliseconds, and at least one.
    static func milliseconds(_ nanoseconds: UInt64) -> UInt32 {
        UInt32(clamping: max(1, nanoseconds / 1_000_000))
    }

    /// Nanoseconds a search may take: what was asked for, but no more than its size deserves.
    private func searchTimeout(_ query: SearchRequest) -> UInt64 {
        let turns = 1 + UInt64((query.count - 1) / Limits.queriesPerReadTimeout)
        let (timeout, overflow) = timing.readTimeout.multipliedReportingOverflow(by: turns)
        let longest = overflow ? .max : timeout
        guard query.timeoutMilliseconds > 0 else { return longest }
        return min(longest, UInt64(query.timeoutMilliseconds) * 1_000_000)
    }

    /// Memory that the queries take on their way to the workers.
    private func queuedByteCount(_ query: SearchRequest) -> Int {
        let byteCount = query.vectors.count
        // Large ones are sent to all from the same memory.
        return byteCount > Limits.sharedSearchByteCountMin
            ? byteCount : byteCount * directory.shardCount
    }

    /// Memory the shards' answers may need here until they are merged.
    private func answerByteCount(
        _ query: SearchRequest,
        about entry: CatalogEntry,
        shardLimit: Int
    ) -> Int {
        let hitCount = query.count * shardLimit
        guard query.withVector || query.withMetadata else {
            return hitCount * directory.shardCount * 32
        }
        let vectorByteCount = query.withVector ? entry.schema.vectorByteCount : 0
        return directory.shardCount
            * entry.answerByteCount(
                records: hitCount,
                metadata: query.withMetadata,
                vectorByteCount: vectorByteCount
            )
    }
}
