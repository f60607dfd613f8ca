internal import OmenCore
internal import OmenWire

/// A list: one shard is asked for a page of the ids that it has.
struct ListGather: Sendable {
    /// The collection that is listed.
    private let target: ReadTarget
    /// The shard's answer.
    private var page: ListReply?

    /// A list that its shard has not answered.
    ///
    /// - Parameter entry: The collection that is listed.
    init(about entry: CatalogEntry) { target = ReadTarget(entry) }

    /// Takes the shard's page.
    ///
    /// - Throws: Why there is none: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        guard let message = try target.answer(answer, from: shard) else { return AnswerCost() }
        guard case .listed(let reply) = message else { throw .outOfTurn(message, shard: shard) }
        page = reply
        return AnswerCost(heldByteCount: RecordID.encodedByteCount(reply.ids))
    }

    /// The page, for the client.
    func reply(_ parts: ShardParts) -> Message {
        if let failure = parts.failures.first { return .failure(failure.error) }
        return .listed(page ?? ListReply(order: 0, next: 0, ids: []))
    }

    /// The same list without what has arrived.
    var withoutAnswers: ListGather {
        var copy = self
        copy.page = nil
        return copy
    }
}

extension CoordinatorCore {
    /// Begins a list: asks one shard for a page of ids.
    mutating func begin(_ request: ListRequest, for requester: Requester) throws(OmenError) {
        try checkRunning()
        let entry = catalog[try existing(request.collection)]
        guard let shard = Int(exactly: request.shard), directory.shards.contains(shard) else {
            throw OmenError(
                .badRequest,
                "shard \(request.shard), expected 0...\(directory.shardCount - 1)"
            )
        }
        let byteCount = Limits.batchCountMax * 32
        var pending = PendingRequest(
            requester,
            .list(ListGather(about: entry)),
            parts: ShardParts(of: directory.shardCount),
            byteCount: byteCount
        )
        pending.expectedAnswerByteCount = byteCount
        let message = (shard: shard, message: Message.list(request))
        try ask([message], of: pending, about: entry, timeout: timing.readTimeout)
    }
}
