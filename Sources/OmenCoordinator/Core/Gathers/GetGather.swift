internal import OmenCore
internal import OmenWire

/// A get: each shard is asked for its part of the ids, and the records come back in their order.
struct GetGather: Sendable {
    /// The collection that is read.
    private let target: ReadTarget
    /// The ids in the order of the request.
    private let ids: [RecordID]
    /// The shard of each id, in the same order.
    private let shards: [UInt8]
    /// Element type of the collection, where no answer tells it.
    private let element: ElementType
    /// What arrived so far.
    private var replies: [(shard: Int, reply: RecordsReply)] = []

    /// A get that no shard has answered.
    ///
    /// - Parameters:
    ///   - ids: The ids in the order of the request.
    ///   - shards: The shard of each id, in the same order.
    ///   - entry: The collection that is read.
    init(_ ids: [RecordID], on shards: [UInt8], about entry: CatalogEntry) {
        target = ReadTarget(entry)
        self.ids = ids
        self.shards = shards
        element = entry.schema.element
    }

    /// Takes one shard's records.
    ///
    /// - Throws: Why the shard's part is missing: a failure, or an answer to something else.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        guard let message = try target.answer(answer, from: shard) else { return AnswerCost() }
        guard case .records(let reply) = message else { throw .outOfTurn(message, shard: shard) }
        replies.append((shard, reply))
        return AnswerCost(
            heldByteCount: reply.heldByteCount,
            metadata: MetadataSample(
                collection: target.collection,
                byteCount: reply.records.reduce(0) { $0 + ($1.metadata?.count ?? 0) },
                recordCount: reply.records.count
            )
        )
    }

    /// The records in the order of the request.
    ///
    /// Each shard answers in the order it was asked, so that one walk over the ids joins them.
    func reply(_ parts: ShardParts) -> Message {
        if let error = parts.commonFailure { return .failure(error) }
        var heads = [ArraySlice<Record>](repeating: [], count: parts.shardCount)
        var element = element
        for (shard, reply) in replies {
            heads[shard] = reply.records[...]
            element = reply.element
        }
        var records: [Record] = []
        records.reserveCapacity(heads.reduce(0) { $0 + $1.count })
        for (id, shard) in zip(ids, shards) {
            guard let head = heads[Int(shard)].first, head.id == id else { continue }
            records.append(heads[Int(shard)].removeFirst())
        }
        return .records(
            RecordsReply(element: element, records: records, coverage: parts.coverage)
        )
    }

    /// The same get without what has arrived.
    var withoutAnswers: GetGather {
        var copy = self
        copy.replies = []
        return copy
    }
}

extension CoordinatorCore {
    /// Begins a get: splits the ids by shard and asks each for its part.
    mutating func begin(_ request: GetRequest, for requester: Requester) throws(OmenError) {
        try checkRunning()
        let ids = request.ids
        guard ids.count <= Limits.batchCountMax else {
            throw OmenError(
                .badRequest,
                "\(ids.count) ids in one request, expected at most \(Limits.batchCountMax)"
            )
        }
        for id in ids { try id.validate() }
        let entry = catalog[try existing(request.collection)]
        let schema = entry.schema
        guard !ids.isEmpty else {
            let coverage = ShardParts(of: directory.shardCount).coverage
            let reply = RecordsReply(element: schema.element, records: [], coverage: coverage)
            return answer(requester, .records(reply))
        }
        let parts = split(ids)
        var shards = [UInt8](repeating: 0, count: ids.count)
        for (shard, indices) in parts { for index in indices { shards[index] = UInt8(shard) } }
        let answerByteCount = entry.answerByteCount(
            records: ids.count,
            metadata: true,
            vectorByteCount: request.withVector ? schema.vectorByteCount : 0
        )
        var pending = PendingRequest(
            requester,
            .get(GetGather(ids, on: shards, about: entry)),
            parts: ShardParts(of: directory.shardCount),
            // The ids are kept, sent to the workers, and come back with the records.
            byteCount: 3 * RecordID.encodedByteCount(ids) + answerByteCount
        )
        pending.expectedAnswerByteCount = answerByteCount
        let messages = parts.map { shard, indices in
            var part = request
            part.ids = indices.map { ids[$0] }
            return (shard: shard, message: Message.get(part))
        }
        try ask(messages, of: pending, about: entry, timeout: timing.readTimeout)
    }
}
