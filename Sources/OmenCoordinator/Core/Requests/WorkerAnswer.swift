internal import OmenCore
internal import OmenWire

/// What a worker answered to a request.
enum WorkerAnswer {
    /// A decoded message.
    case message(Message)
    /// The hits of a search as they lie in their frame; valid while the event is handled.
    case hits(NumberedHits)

    /// The answer decoded, for everything that seldom gets hits.
    ///
    /// - Complexity: O(hits).
    var message: Message {
        switch self {
        case .message(let message): message
        case .hits(let hits): .hits(hits.decoded())
        }
    }

    /// The answer, unless it is a failure.
    ///
    /// - Throws: What the worker says went wrong.
    func succeeded() throws(OmenError) -> Message {
        let message = message
        if case .failure(let error) = message { throw error }
        return message
    }
}

/// What one shard's answer means beyond the request that it belongs to.
struct AnswerCost {
    /// Memory that is held for the answer until the request ends, in bytes.
    var heldByteCount = 0
    /// Metadata of the records that were seen; nil when the answer teaches nothing about it.
    var metadata: MetadataSample?
}

/// How much metadata some records of a collection have.
struct MetadataSample {
    /// Name of the collection.
    var collection: String
    /// Bytes of all metadata.
    var byteCount: Int
    /// Records that were seen.
    var recordCount: Int
}

extension OmenError {
    /// A worker answered with a message that does not fit what it was asked.
    static func outOfTurn(_ message: Message, shard: Int) -> OmenError {
        OmenError(.protocolViolation, "shard \(shard) answered out of turn: \(message.kind)")
    }
}
