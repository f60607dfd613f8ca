internal import OmenCore
internal import OmenWire

/// Searches: the same queries to every shard, the nearest of all answers back.
extension CoordinatorCore {
    mutating func begin(
        _ query: SearchQuery,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        try query.validate()
        guard query.count * query.k <= Limits.searchHitCountMax else {
            throw OmenError(
                .badRequest,
                "\(query.count) queries of \(query.k) hits, at most \(Limits.searchHitCountMax) hits fit one reply"
            )
        }
        let found = try existing(query.collection)
        let schema = catalog[found].schema
        try checkCapacity(for: query.vectors.count)
        var shardQuery = try query.validated(against: schema)
        let plan = SearchPlan(
            k: query.k,
            ef: query.ef,
            recall: query.recall,
            exact: query.exact,
            shardCount: workers.count,
            largestShare: largestShare
        )
        shardQuery.k = plan.k
        shardQuery.ef = plan.ef
        shardQuery.recall = 0
        let shape = SearchShape(
            k: query.k,
            queryCount: query.count,
            allowPartial: query.allowPartial,
            element: schema.element
        )
        let request = Pending(
            client: client,
            requestID: requestID,
            kind: .search(shape),
            byteCount: query.vectors.count
                + answerByteCount(query, schema: schema, shardK: plan.k)
        )
        let message = Message.search(shardQuery)
        let turns = 1 + UInt64((query.count - 1) / Limits.queriesPerReadTimeout)
        let (timeout, overflow) = timing.readTimeout.multipliedReportingOverflow(by: turns)
        try ask(
            workers.indices.map { (shard: $0, message: message) },
            of: request,
            about: found,
            timeout: overflow ? .max : timeout
        )
    }

    /// Memory the shards' answers may need here until they are merged.
    private func answerByteCount(_ query: SearchQuery, schema: CollectionSchema, shardK: Int) -> Int
    {
        var hitByteCount = 32
        if query.withVector { hitByteCount += schema.vectorByteCount }
        if query.withMetadata { hitByteCount += 256 }
        return query.count * shardK * workers.count * hitByteCount
    }

    /// Takes in one shard's answer; nil when its shape is what was asked for.
    mutating func accept(
        _ reply: SearchReply,
        shape: SearchShape,
        at index: Int,
        shard: Int
    ) -> OmenError? {
        let total = reply.hitCounts.reduce(0) { $0 + Int($1) }
        guard reply.hitCounts.count == shape.queryCount, total == reply.hits.count else {
            return OmenError(
                .protocolViolation,
                "shard \(shard) answered \(reply.hitCounts.count) queries with \(reply.hits.count) hits, expected \(shape.queryCount) with \(total)"
            )
        }
        pending[index].searchReplies.append(reply)
        return nil
    }

    func searchReply(_ request: Pending, _ shape: SearchShape) -> Message {
        if let error = commonFailure(request) { return .failure(error) }
        if let error = shape.refusal(request.failures) { return .failure(error) }
        let replies = request.searchReplies
        let coverage = coverage(request)
        let element = replies.first?.element ?? shape.element
        guard !replies.isEmpty else {
            let none = [UInt32](repeating: 0, count: shape.queryCount)
            return .hits(
                SearchReply(element: element, hitCounts: none, hits: [], coverage: coverage)
            )
        }
        if replies.count == 1, replies[0].hitCounts.allSatisfy({ Int($0) <= shape.k }) {
            var only = replies[0]
            only.coverage = coverage
            return .hits(only)
        }
        var offsets = [Int](repeating: 0, count: replies.count)
        var counts: [UInt32] = []
        counts.reserveCapacity(shape.queryCount)
        var hits: [Hit] = []
        for query in 0..<shape.queryCount {
            var answers: [ArraySlice<Hit>] = []
            answers.reserveCapacity(replies.count)
            for (place, reply) in replies.enumerated() {
                let end = offsets[place] + Int(reply.hitCounts[query])
                answers.append(reply.hits[offsets[place]..<end])
                offsets[place] = end
            }
            let merged = mergeNearest(answers, k: shape.k)
            counts.append(UInt32(merged.count))
            hits.append(contentsOf: merged)
        }
        return .hits(
            SearchReply(element: element, hitCounts: counts, hits: hits, coverage: coverage)
        )
    }
}

extension SearchShape {
    /// The error of a search that must not be partial and would be.
    func refusal(_ failures: [ShardFailure]) -> OmenError? {
        guard !allowPartial, !failures.isEmpty else { return nil }
        let reasons = failures.map { "\($0.shard): \($0.error.message)" }
        return OmenError(
            .unavailable,
            "shards are missing and allow_partial is false: \(reasons.joined(separator: "; "))"
        )
    }
}
