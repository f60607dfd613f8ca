package import OmenCore

/// Joins the chunks of the replies that come on one connection.
///
/// What is no chunk passes through, at the price of one comparison.
package struct ReplyAssembler: Sendable {
    /// A reply whose last chunk has not come.
    private struct Unfinished: Sendable {
        var sequence = ChunkSequence()
        var reply: RecordsReply
        /// Bytes that the reply would take as one message, as far as it has come.
        var byteCount: Int
    }

    /// The unfinished replies, by request id.
    private var unfinished: [UInt64: Unfinished] = [:]
    /// Bytes of all of them.
    private var byteCount = 0
    /// Most bytes of the unfinished replies together.
    private let byteCountMax: Int

    /// An assembler for one connection.
    ///
    /// - Parameter byteCountMax: Most bytes of the replies whose last chunk has not come, together.
    package init(byteCountMax: Int = Limits.replyByteCountMax) {
        self.byteCountMax = byteCountMax
    }

    /// Takes a message as it came.
    ///
    /// - Parameter envelope: A whole reply, or a chunk of one.
    /// - Returns: The reply, once it is whole.
    /// - Throws: `.protocolViolation` for a chunk out of order, one that does not belong to those
    ///   before it, too many bytes, or a reply that ends without its last chunk.
    package mutating func take(_ envelope: Envelope) throws(OmenError) -> Envelope? {
        guard envelope.chunk != nil || !unfinished.isEmpty else { return envelope }
        let id = envelope.requestID
        guard let chunk = envelope.chunk else {
            try end(envelope)
            return envelope
        }
        guard case .records(let reply) = envelope.message else {
            throw OmenError(
                .protocolViolation,
                "\(envelope.message.kind) does not come in chunks"
            )
        }
        let empty = RecordsReply(records: [], like: reply)
        var added = reply.records.reduce(0) { $0 + $1.encodedByteCount }
        if unfinished[id] == nil {
            added += empty.encodedByteCount
            unfinished[id] = Unfinished(reply: empty, byteCount: 0)
        }
        try unfinished[id]?.sequence.take(chunk)
        unfinished[id]?.byteCount += added
        byteCount += added
        guard byteCount <= byteCountMax else {
            throw OmenError(
                .protocolViolation,
                "chunks of unfinished replies take \(byteCount) bytes, at most \(byteCountMax)"
            )
        }
        try unfinished[id]?.reply.join(reply)
        guard chunk.isLast, let whole = remove(id) else { return nil }
        return Envelope(requestID: id, message: .records(whole))
    }

    /// No longer joins the chunks of one reply.
    ///
    /// - Parameter requestID: The request whose reply is no longer wanted.
    package mutating func forget(_ requestID: UInt64) { _ = remove(requestID) }

    /// A reply that is no chunk came: only a failure may take the place of missing chunks.
    private mutating func end(_ envelope: Envelope) throws(OmenError) {
        guard unfinished[envelope.requestID] != nil else { return }
        guard case .failure = envelope.message else {
            throw OmenError(
                .protocolViolation,
                "\(envelope.message.kind) came before the last chunk of a reply"
            )
        }
        _ = remove(envelope.requestID)
    }

    /// Takes an unfinished reply out.
    private mutating func remove(_ requestID: UInt64) -> RecordsReply? {
        guard let removed = unfinished.removeValue(forKey: requestID) else { return nil }
        byteCount -= removed.byteCount
        return removed.reply
    }
}
