package import OmenCore

/// Gathers messages for one peer into as few frames as possible.
///
/// Everything that waits for a peer at the end of a loop turn goes into one encoder and out in one
/// write: a message costs far less than a system call.
package struct FrameEncoder {
    /// What the frames are about; frames that are open take a change over.
    package var scope: FrameScope
    private var writer = ByteWriter()
    /// Where the open frame's header begins; nil when no frame is open.
    private var frameStart: Int?
    private var messageCount = 0

    /// An encoder for one connection.
    ///
    /// - Parameter scope: What its frames are about.
    package init(_ scope: FrameScope) { self.scope = scope }

    /// Whether there is nothing to send.
    package var isEmpty: Bool { writer.count == 0 }
    /// Bytes gathered so far, headers included.
    package var byteCount: Int { writer.count }

    /// Adds one message.
    ///
    /// A reply that fits into no frame (64 MiB) is sent in chunks where its kind has them;
    /// otherwise, or when it is larger than `Limits.replyByteCountMax`, it is replaced by a
    /// `.failure` with the same request id, so that the requester learns of it. Requesters use
    /// `appendIfItFits`.
    ///
    /// - Precondition: Ids, schemas and batch shapes keep their limits; validated before.
    /// - Returns: Whether the message itself was added.
    /// - Complexity: O(bytes of the message).
    @discardableResult
    package mutating func append(_ envelope: Envelope) -> Bool {
        let bodyByteCount = envelope.message.bodyByteCount
        let size = MessageHead.messageByteCount(
            bodyByteCount: bodyByteCount,
            isChunk: envelope.chunk != nil
        )
        if size <= Limits.frameBodyByteCountMax {
            append(envelope, bodyByteCount: bodyByteCount)
            return true
        }
        if case .records(let reply) = envelope.message, envelope.chunk == nil,
            size <= Limits.replyByteCountMax
        {
            appendChunks(of: reply, requestID: envelope.requestID)
            return true
        }
        let isInChunks = envelope.message.kind.mayComeInChunks
        let limit = isInChunks ? Limits.replyByteCountMax : Limits.frameBodyByteCountMax
        let error = OmenError(
            .resourceExhausted,
            "the answer takes \(size) bytes, at most \(limit) can be sent: ask for less at once"
        )
        append(Envelope(requestID: envelope.requestID, message: .failure(error)))
        return false
    }

    /// Adds one request, unless it fits no frame.
    ///
    /// - Precondition: As `append`.
    /// - Parameter envelope: A message that may not come in chunks.
    /// - Returns: Whether it was added; else nothing was.
    /// - Complexity: O(bytes of the message).
    package mutating func appendIfItFits(_ envelope: Envelope) -> Bool {
        let bodyByteCount = envelope.message.bodyByteCount
        guard Message.fitsFrame(bodyByteCount: bodyByteCount) else { return false }
        append(envelope, bodyByteCount: bodyByteCount)
        return true
    }

    /// Adds a reply as messages that each fit a frame.
    private mutating func appendChunks(of reply: RecordsReply, requestID: UInt64) {
        reply.forEachChunk(ofAtMost: Limits.replyChunkByteCountTarget) { records, chunk in
            let envelope = Envelope(requestID: requestID, message: .records(records), chunk: chunk)
            append(envelope, bodyByteCount: envelope.message.bodyByteCount)
        }
    }

    /// Adds a message that fits a frame.
    private mutating func append(_ envelope: Envelope, bodyByteCount: Int) {
        let head = MessageHead(
            kind: envelope.message.kind,
            requestID: envelope.requestID,
            chunk: envelope.chunk
        )
        let size = MessageHead.messageByteCount(
            bodyByteCount: bodyByteCount,
            isChunk: envelope.chunk != nil
        )
        makeRoom(for: size)
        let start = writer.count
        head.encode(into: &writer, bodyByteCount: bodyByteCount)
        let bodyStart = writer.count
        envelope.message.encodeBody(into: &writer)
        let written = writer.count - bodyStart
        precondition(
            written == bodyByteCount,
            "\(head.kind) took \(written) bytes, \(bodyByteCount) were announced"
        )
        // Frames begin at multiples of 8 and are multiples of 8 long, so this pads the message.
        writer.pad(to: 8)
        assert(writer.count - start == size, "a message of \(writer.count - start) bytes")
        messageCount += 1
    }

    /// Adds a search that was encoded for another worker.
    ///
    /// - Precondition: `search` fits a frame; see `Message.fitsFrame`.
    /// - Complexity: O(bytes), one copy.
    package mutating func append(_ search: EncodedSearch) {
        makeRoom(for: search.bytes.count)
        writer.write(raw: search.bytes)
        messageCount += 1
    }

    /// Seals the open frame, if any, and returns all frames; the encoder is empty again.
    package mutating func finish() -> [UInt8] {
        seal()
        let finished = writer
        writer = ByteWriter()
        return finished.bytes
    }

    /// Leaves an open frame with room, and memory, for `size` more bytes.
    private mutating func makeRoom(for size: Int) {
        if let start = frameStart {
            let body = writer.count - start - FrameHeader.byteCount
            let isFull =
                body >= Limits.frameBodyByteCountTarget
                || body + size > Limits.frameBodyByteCountMax
                || messageCount == Limits.frameMessageCountMax
            guard isFull else { return writer.reserve(size) }
            seal()
        }
        frameStart = writer.count
        writer.reserve(FrameHeader.byteCount + size)
        FrameHeader.keepRoom(in: &writer)
    }

    private mutating func seal() {
        guard let start = frameStart else { return }
        let bodyStart = start + FrameHeader.byteCount
        let checksum = writer.bytes.withUnsafeBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0[bodyStart...]))
        }
        let header = FrameHeader(
            messageCount: UInt16(messageCount),
            bodyByteCount: UInt32(writer.count - bodyStart),
            bodyChecksum: checksum,
            scope: scope
        )
        header.encode(into: &writer, at: start)
        frameStart = nil
        messageCount = 0
    }
}

/// A search as it stands in a frame, head and padding included.
///
/// All shards get the same order, so that one encoding serves all.
package struct EncodedSearch {
    package let requestID: UInt64
    fileprivate let bytes: [UInt8]

    package init(_ order: ShardOrder, requestID: UInt64) {
        self.requestID = requestID
        let bodyByteCount = Message.shardSearch(order).bodyByteCount
        let size = MessageHead.messageByteCount(bodyByteCount: bodyByteCount)
        precondition(size <= Limits.frameBodyByteCountMax, "a search of \(size) bytes")
        var writer = ByteWriter(reserving: size)
        MessageHead(kind: .shardSearch, requestID: requestID)
            .encode(into: &writer, bodyByteCount: bodyByteCount)
        order.encode(into: &writer)
        writer.pad(to: 8)
        bytes = writer.bytes
    }

    /// Bytes of the message.
    package var byteCount: Int { bytes.count }

    /// The search as the body of a frame of its own, so that many connections share its memory.
    package func sealed() -> SealedSearch {
        SealedSearch(requestID: requestID, body: bytes, checksum: crc32c(bytes))
    }
}

/// A search as the body of a frame of its own.
///
/// Its memory and its checksum serve all connections; each has a header of its own.
package struct SealedSearch {
    /// The number under which the answers come.
    package let requestID: UInt64
    /// What follows the header.
    package let body: [UInt8]
    fileprivate let checksum: UInt32

    fileprivate init(requestID: UInt64, body: [UInt8], checksum: UInt32) {
        self.requestID = requestID
        self.body = body
        self.checksum = checksum
    }

    /// The header of the frame on one connection.
    ///
    /// - Parameter scope: What the frames of the connection are about.
    /// - Returns: `FrameHeader.byteCount` bytes, to be sent before `body`.
    package func header(_ scope: FrameScope) -> [UInt8] {
        FrameHeader(
            messageCount: 1,
            bodyByteCount: UInt32(body.count),
            bodyChecksum: checksum,
            scope: scope
        ).bytes
    }
}

extension Message {
    /// Whether the encoded message is within the limit of a frame.
    ///
    /// - Complexity: O(ids or hits).
    package var fitsFrame: Bool { Self.fitsFrame(bodyByteCount: bodyByteCount) }

    /// Whether a message with a body of `bodyByteCount` bytes is within the limit of a frame.
    package static func fitsFrame(bodyByteCount: Int) -> Bool {
        MessageHead.messageByteCount(bodyByteCount: bodyByteCount) <= Limits.frameBodyByteCountMax
    }

    /// One message as one frame.
    ///
    /// - Parameters:
    ///   - requestID: The number that joins an answer to its request.
    ///   - scope: What the frame is about.
    /// - Returns: The bytes of the frame.
    package func framed(requestID: UInt64, scope: FrameScope = .clients()) -> [UInt8] {
        var encoder = FrameEncoder(scope)
        encoder.append(Envelope(requestID: requestID, message: self))
        return encoder.finish()
    }
}
