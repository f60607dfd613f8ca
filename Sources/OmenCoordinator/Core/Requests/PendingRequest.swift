internal import OmenCore
internal import OmenWire

/// Who asked something, and the number by which they know their request.
struct Requester: Equatable, Sendable {
    /// The client, as the driver numbers them.
    var client: UInt64
    /// The client's own number for the request, which its answer carries.
    var requestID: UInt64
}

/// A client's request that is not answered yet.
struct PendingRequest: Sendable {
    /// Unique for the life of the core; also the request id towards the workers.
    ///
    /// 0 where a place of the table is free.
    var id: UInt64 = 0
    /// Who is answered; nil once the client is gone.
    var requester: Requester?
    /// How far the shards have come with it.
    var parts: ShardParts
    /// What was gathered of their answers, by the kind of the request.
    var gather: Gather
    /// Bytes charged to the cluster's budget.
    var byteCount: Int
    /// Memory for the shards' answers that is part of `byteCount`.
    var expectedAnswerByteCount = 0
    /// Memory that the shards' answers took so far.
    var answerByteCount = 0
    /// Why the request ends without its answers; nil when it does not.
    private(set) var refusal: OmenError?

    /// A request that no shard was asked yet.
    ///
    /// - Parameters:
    ///   - requester: Who is answered.
    ///   - gather: What is asked.
    ///   - parts: The shards that have a part in it.
    ///   - byteCount: Bytes that it is charged with.
    init(_ requester: Requester?, _ gather: Gather, parts: ShardParts, byteCount: Int = 0) {
        self.requester = requester
        self.gather = gather
        self.parts = parts
        self.byteCount = byteCount
    }

    /// Whether no shard's answer is outstanding.
    var isComplete: Bool {
        guard parts.awaited.isEmpty else { return false }
        return gather.creation?.awaited.isEmpty != false
    }

    /// Shards whose answer, or whose creation of a collection, is outstanding.
    var awaited: ShardSet { parts.awaited.union(gather.creation?.awaited ?? ShardSet()) }

    /// Ends the waiting for one shard, which will not do its part.
    mutating func fail(_ shard: Int, _ error: OmenError) {
        parts.settle(shard, error)
        gather.creation?.settle(shard, error)
    }

    /// Ends the waiting for every shard, because time is up.
    mutating func expire() {
        for shard in parts.awaited { parts.settle(shard, gather.lateness(of: shard)) }
        guard let creation = gather.creation else { return }
        for shard in creation.awaited {
            gather.creation?.settle(shard, CreateGather.lateness(of: shard))
        }
    }

    /// Notes that a collection which the request makes is there on a shard, or could not be made.
    mutating func creationAnswered(_ shard: Int, _ error: OmenError?) {
        if gather.creation == nil {
            parts.settle(shard, error)
        } else {
            gather.creation?.settle(shard, error)
        }
    }

    /// Ends the request with a failure: what has arrived is let go, and nothing more is awaited.
    mutating func refuse(_ error: OmenError) {
        refusal = error
        gather.dropAnswers()
        parts.stopWaiting()
    }
}
