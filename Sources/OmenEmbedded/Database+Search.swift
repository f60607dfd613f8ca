internal import OmenSystem
package import OmenCore
internal import OmenShard
internal import Synchronization

extension Database {
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
    /// - Throws: `.notFound`, `.badRequest`, `.unavailable` if the collection was made again with
    ///   other elements meanwhile.
    /// - Complexity: As `ef` or `recall` ask for: O(ef * m * dim) per query, or O(rows * dim).
    package func search(
        _ query: SearchRequest,
        threadCount: Int = 1
    ) throws(OmenError) -> FoundHits {
        try query.validate()
        let most = min(threadCount, Self.threadCountMax, query.count / Self.queriesPerThreadMin)
        guard most > 1 else { return try searchAlone(query) }
        let shares = query.shares(most)
        let answers = Mutex([Result<FoundHits, OmenError>?](repeating: nil, count: shares.count))
        BackgroundThread.share(shares.count) { index in
            let answer: Result<FoundHits, OmenError>
            do throws(OmenError) {
                answer = .success(try self.searchAlone(shares[index]))
            } catch { answer = .failure(error) }
            answers.withLock { $0[index] = answer }
        }
        return try Self.joined(answers.withLock { $0 })
    }

    private func searchAlone(_ request: SearchRequest) throws(OmenError) -> FoundHits {
        let stop = Stop.current
        try owner.share(unless: stop)
        var isShared = true
        defer { if isShared { owner.release() } }
        try checkOpen()
        var search = try engine.store.beginSearch(request)
        try search.runBesideOthers { () throws(OmenError) in
            isShared = false
            try owner.yieldShare(unless: stop)
            isShared = true
        }
        return search.answer
    }

    private static func joined(
        _ answers: [Result<FoundHits, OmenError>?]
    ) throws(OmenError) -> FoundHits {
        var counts: [UInt32] = []
        var lists: [HitList] = []
        var element: ElementType?
        var explanation: ShardExplanation?
        for answer in answers {
            guard let part = try answer?.get() else { preconditionFailure("a thread left nothing") }
            guard element == nil || element == part.element else {
                throw OmenError(.unavailable, "the collection was dropped and made again meanwhile")
            }
            element = part.element
            counts += part.counts
            lists.append(part.list)
            guard let more = part.explanations.first else { continue }
            if explanation == nil { explanation = more } else { explanation? += more }
        }
        var found = FoundHits(
            element: element ?? .f32,
            counts: counts,
            list: HitList(joining: lists),
            coverage: Coverage(shardsTotal: 1)
        )
        if let explanation { found.explanations = [explanation] }
        return found
    }

    /// The nearest records to one vector, in the caller's memory where it can hold them.
    ///
    /// - Parameters:
    ///   - query: Its `count` and `vectors` are not looked at: there is one query.
    ///   - vector: `query.dim` elements, which nobody changes meanwhile.
    ///   - columns: Room for `query.limit` hits.
    /// - Returns: The hits, by themselves if they have more to them than numbers and distances.
    /// - Throws: `.notFound`, `.badRequest`.
    package func search(
        _ query: SearchRequest,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> SingleSearchAnswer {
        try reading { engine throws(OmenError) in
            try engine.store.search(query, vector, into: columns)
        }
    }
}
