internal import OmenSystem
package import OmenCore
internal import OmenShard
internal import Synchronization

extension Database {
    /// The element type of vectors, how many hits each query has, and the hits.
    package typealias Answer = (element: ElementType, counts: [UInt32], hits: HitList)

    /// Queries that are worth a thread of their own.
    private static let queriesPerThreadMin = 16
    private static let threadCountMax = 256

    /// The nearest records to each query.
    ///
    /// - Parameters:
    ///   - query: What to search for.
    ///   - threadCount: Threads that share the queries, this one among them; there are fewer for
    ///     few queries.
    /// - Returns: The hits of all queries, query after query.
    /// - Throws: `.notFound`, `.badRequest`, `.unavailable` if the collection was made anew with
    ///   other elements meanwhile.
    /// - Complexity: As `ef` or `recall` ask for: O(ef * m * dim) per query, or O(rows * dim).
    package func search(
        _ query: SearchQuery,
        threadCount: Int = 1
    ) throws(OmenError) -> Answer {
        try query.validate()
        let planned = Self.planned(query)
        let most = min(threadCount, Self.threadCountMax, query.count / Self.queriesPerThreadMin)
        guard most > 1 else { return try searchAlone(planned) }
        let shares = planned.shares(most)
        let answers = Mutex([Result<Answer, OmenError>?](repeating: nil, count: shares.count))
        BackgroundThread.share(shares.count) { index in
            let answer: Result<Answer, OmenError>
            do throws(OmenError) {
                answer = .success(try self.searchAlone(shares[index]))
            } catch { answer = .failure(error) }
            answers.withLock { $0[index] = answer }
        }
        return try Self.joined(answers.withLock { $0 })
    }

    private func searchAlone(_ planned: SearchQuery) throws(OmenError) -> Answer {
        let stop = Stop.current
        try owner.share(unless: stop)
        var isShared = true
        defer { if isShared { owner.release() } }
        try checkOpen()
        var search = try engine.store.beginSearch(planned)
        try search.runBesideOthers { () throws(OmenError) in
            isShared = false
            try owner.yieldShare(unless: stop)
            isShared = true
        }
        return search.answer
    }

    private static func joined(
        _ answers: [Result<Answer, OmenError>?]
    ) throws(OmenError) -> Answer {
        var counts: [UInt32] = []
        var lists: [HitList] = []
        var element: ElementType?
        for answer in answers {
            guard let part = try answer?.get() else { preconditionFailure("a thread left nothing") }
            guard element == nil || element == part.element else {
                throw OmenError(.unavailable, "the collection was made anew meanwhile")
            }
            element = part.element
            counts += part.counts
            lists.append(part.hits)
        }
        return (element ?? .f32, counts, HitList(joining: lists))
    }

    /// The nearest records to one vector, into the caller's memory.
    ///
    /// - Parameters:
    ///   - query: Its `count` and `vectors` are not looked at.
    ///   - vector: `query.dim` elements.
    ///   - columns: Room for `query.k` hits.
    /// - Returns: How many hits; nil if they may have more to them than numbers and distances: then
    ///   nothing was searched.
    /// - Throws: `.notFound`, `.badRequest`.
    package func search(
        _ query: SearchQuery,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> Int? {
        try query.validateOptions()
        let planned = Self.planned(query)
        return try reading { engine throws(OmenError) in
            try engine.store.search(planned, vector, into: columns)
        }
    }

    /// What the only shard is asked.
    private static func planned(_ query: SearchQuery) -> SearchQuery {
        var planned = query
        let plan = SearchPlan(
            k: query.k,
            ef: query.ef,
            recall: query.recall,
            exact: query.exact,
            shardCount: 1,
            largestShare: 1
        )
        planned.ef = plan.ef
        if query.recall > 0 { planned.shardCount = 1 }
        return planned
    }
}
