internal import OmenCore
package import OmenWire

/// Searches: the same queries to every shard, the nearest of all answers back.
extension CoordinatorCore {
    mutating func begin(
        _ query: SearchQuery,
        client: UInt64,
        requestID: UInt64
    ) throws(OmenError) {
        try checkRunning()
        try query.validate()
        guard query.shardCount == 0 else {
            throw OmenError(.badRequest, "the number of shards is the coordinator's to tell")
        }
        guard query.count * query.k <= Limits.searchHitCountMax else {
            throw OmenError(
                .badRequest,
                "\(query.count) queries of \(query.k) hits, at most \(Limits.searchHitCountMax) hits fit one reply"
            )
        }
        let found = try existing(query.collection)
        let schema = catalog[found].schema
        let timeout = searchTimeout(query)
        // Before the vectors are looked at, so that an overloaded cluster refuses cheaply.
        try checkCapacity(for: query.vectors.count)
        try checkTime(for: query, of: client, timeout: timeout, about: catalog[found])
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
        if query.recall > 0 { shardQuery.shardCount = UInt32(workers.count) }
        let shape = SearchShape(
            k: query.k,
            queryCount: query.count,
            allowPartial: query.allowPartial,
            element: schema.element
        )
        let answers = answerByteCount(query, about: catalog[found], shardK: plan.k)
        var request = Pending(client: client, requestID: requestID, kind: .search(shape))
        request.byteCount = queuedByteCount(query) + answers
        request.expectedAnswerByteCount = answers
        // Where none has any there is nothing more to learn.
        request.teachesMetadata = query.withMetadata && catalog[found].metadataByteCount != 0
        try askAll(.search(shardQuery), of: request, about: found, timeout: timeout)
    }

    /// Refuses a search that a shard would not answer in time, before it costs anybody anything.
    ///
    /// Half of the time is left for what nobody foresees. A search that no other is before is
    /// always tried.
    private func checkTime(
        for query: SearchQuery,
        of client: UInt64,
        timeout: UInt64,
        about entry: CatalogEntry
    ) throws(OmenError) {
        let byteCount = 192 + query.vectors.count
        for shard in entry.serving where workers[shard].load.searches.searchCount > 0 {
            guard hasRoom(shard, byteCount: byteCount, forRead: true) else {
                throw overloaded(shard)
            }
            // Clients take turns, and one that has nothing waiting is next.
            let before =
                workers[shard].load.sentReadCount + workers[shard].load.reads.countBefore(client)
            let expected = workers[shard].load.searches.nanoseconds(
                forQueries: query.count,
                behind: before
            )
            guard expected > timeout / 2 else { continue }
            throw OmenError(
                .resourceExhausted,
                "shard \(shard) has \(workers[shard].load.searches.searchCount) searches before it and would answer in \(expected / 1_000_000) ms, which is over half of the \(timeout / 1_000_000) ms that it may take: retry later",
                retryAfterMilliseconds: Self.retryAfter(expected - timeout / 2)
            )
        }
    }

    /// Milliseconds, from 10 to a second: nobody knows more than that.
    static func retryAfter(_ nanoseconds: UInt64) -> UInt32 {
        UInt32(min(1000, max(10, nanoseconds / 1_000_000)))
    }

    /// Nanoseconds a search may take: what was asked for, but no more than its size deserves.
    private func searchTimeout(_ query: SearchQuery) -> UInt64 {
        let turns = 1 + UInt64((query.count - 1) / Limits.queriesPerReadTimeout)
        let (timeout, overflow) = timing.readTimeout.multipliedReportingOverflow(by: turns)
        let longest = overflow ? .max : timeout
        guard query.timeoutMilliseconds > 0 else { return longest }
        return min(longest, UInt64(query.timeoutMilliseconds) * 1_000_000)
    }

    /// Asks every shard the same; as `ask`, without a list of parts.
    private mutating func askAll(
        _ message: Message,
        of request: Pending,
        about found: Int,
        timeout: UInt64
    ) throws(OmenError) {
        var request = request
        let entry = catalog[found]
        request.collection = entry.name
        let byteCount = message.chargedByteCount
        for shard in workers.indices {
            _ = try target(shard, of: &request, about: entry, byteCount: byteCount)
        }
        if let error = commonFailure(request) { throw error }
        if case .search(let shape) = request.kind, let error = shape.refusal(request.failures) {
            throw error
        }
        request.emptyIfMissing = entry.creating.subtracting(entry.present)
        let index = try admit(request, deadline: now.saturatingAdd(timeout))
        for shard in request.awaited {
            sendRead(message, index: index, byteCount: byteCount, to: shard)
        }
    }

    /// Memory that the queries take on their way to the workers.
    private func queuedByteCount(_ query: SearchQuery) -> Int {
        let byteCount = query.vectors.count
        // Large ones are sent to all from the same memory.
        return byteCount > Limits.sharedSearchByteCountMin ? byteCount : byteCount * workers.count
    }

    /// Memory the shards' answers may need here until they are merged.
    private func answerByteCount(
        _ query: SearchQuery,
        about entry: CatalogEntry,
        shardK: Int
    ) -> Int {
        let hitCount = query.count * shardK
        guard query.withVector || query.withMetadata else { return hitCount * workers.count * 32 }
        let vectorByteCount = query.withVector ? entry.schema.vectorByteCount : 0
        return workers.count
            * entry.answerByteCount(
                records: hitCount,
                metadata: query.withMetadata,
                vectorByteCount: vectorByteCount
            )
    }

    /// Takes in one shard's answer; nil when its shape is what was asked for.
    mutating func accept(
        _ reply: SearchReply,
        shape: SearchShape,
        at index: Int,
        shard: Int
    ) -> OmenError? {
        let total = reply.hitCounts.reduce(0) { $0 + Int($1) }
        guard reply.hitCounts.count == shape.queryCount, total == reply.list.count else {
            return misshapen(
                shard,
                "\(reply.hitCounts.count) queries with \(reply.list.count) hits",
                shape
            )
        }
        if pending[index].teachesMetadata {
            var byteCount = 0
            if case .full(let hits) = reply.list {
                byteCount = hits.reduce(0) { $0 + ($1.metadata?.count ?? 0) }
            }
            learnMetadata(byteCount, ofRecords: reply.list.count, about: index)
        }
        guard keepsAnswer(reply.heldByteCount, of: index) else { return nil }
        pending[index].searchAnswers.append(reply)
        return nil
    }

    /// Learns what records of the collection of a read take.
    mutating func learnMetadata(_ byteCount: Int, ofRecords count: Int, about index: Int) {
        guard let found = catalog.find(pending[index].collection) else { return }
        catalog[found].learn(metadataByteCount: byteCount, ofRecords: count)
    }

    private func misshapen(_ shard: Int, _ what: String, _ shape: SearchShape) -> OmenError {
        OmenError(
            .protocolViolation,
            "shard \(shard) answered \(what), expected \(shape.queryCount) queries"
        )
    }

    /// Handles a worker's answer to a search without decoding it: the event there are most of.
    ///
    /// The same as `.workerMessage` with the decoded reply.
    package mutating func handle(
        _ hits: NumberedHits,
        requestID: UInt64,
        shard: UInt32,
        incarnation: UInt64,
        now: UInt64,
        into effects: inout [Effect]
    ) {
        self.now = max(now, self.now)
        swap(&out, &effects)
        defer { swap(&out, &effects) }
        guard phase != .finished else { return }
        defer { advanceStop() }
        guard let shard = listen(to: shard, incarnation),
            workers[shard].load.settle(requestID, now: now)
        else {
            ignoredReplies += 1
            return
        }
        defer { sendWaitingReads(shard) }
        guard let index = pending.index(of: requestID), pending[index].awaited.contains(shard)
        else {
            ignoredReplies += 1
            return
        }
        guard case .search(let shape) = pending[index].kind, hits.queryCount == shape.queryCount
        else {
            // Not what was asked for, whatever the hits are.
            let coverage = Coverage(shardsTotal: 1)
            let empty = SearchReply(
                element: hits.element,
                hitCounts: [],
                hits: [],
                coverage: coverage
            )
            answered(.hits(empty), index: index, shard: shard)
            return
        }
        if pending[index].teachesMetadata {
            learnMetadata(0, ofRecords: hits.hitCount, about: index)
        }
        pending[index].searchAnswers.append(hits, of: pending[index].targets.count)
        pending[index].awaited.remove(shard)
        pending[index].answered.insert(shard)
        finishIfComplete(index)
    }

    func searchReply(_ request: Pending, _ shape: SearchShape) -> Message {
        if let error = commonFailure(request) { return .failure(error) }
        if let error = shape.refusal(request.failures) { return .failure(error) }
        let merged = request.searchAnswers.merged(k: shape.k, queryCount: shape.queryCount)
        return .hits(
            SearchReply(
                element: request.searchAnswers.element ?? shape.element,
                hitCounts: merged.counts,
                list: merged.hits,
                coverage: coverage(request)
            )
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
