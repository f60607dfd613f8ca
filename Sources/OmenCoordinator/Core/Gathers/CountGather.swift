internal import OmenCore
internal import OmenWire

/// A count: every shard counts its part of a collection.
struct CountGather: Sendable {
    /// The collection that is counted.
    private let target: ReadTarget
    /// Records of the shards that have answered.
    private var total: UInt64 = 0

    /// A count that no shard has answered.
    ///
    /// - Parameter entry: The collection that is counted.
    init(about entry: CatalogEntry) { target = ReadTarget(entry) }

    /// Takes one shard's number.
    ///
    /// - Throws: Why the shard's part is missing: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        guard let message = try target.answer(answer, from: shard) else { return AnswerCost() }
        guard case .counted(let reply) = message else { throw .outOfTurn(message, shard: shard) }
        total = total.saturatingAdd(reply.count)
        return AnswerCost()
    }

    /// The records of all shards that answered, for the client.
    func reply(_ parts: ShardParts) -> Message {
        if let error = parts.commonFailure { return .failure(error) }
        return .counted(CountReply(count: total, coverage: parts.coverage))
    }
}

extension CoordinatorCore {
    /// Begins a count: asks every shard.
    mutating func beginCount(
        _ collection: String,
        for requester: Requester
    ) throws(OmenError) {
        try checkRunning()
        let entry = catalog[try existing(collection)]
        let request = PendingRequest(
            requester,
            .count(CountGather(about: entry)),
            parts: ShardParts(of: directory.shardCount),
            byteCount: Limits.messageOverheadByteCount
        )
        let message = Message.count(collection: collection)
        try askAll(
            message,
            byteCount: message.chargedByteCount,
            of: request,
            about: entry,
            timeout: timing.readTimeout
        )
    }
}
