package import OmenCore

/// Gathers messages for one peer into as few frames as possible.
///
/// Everything that waits for a peer at the end of a loop turn goes into one encoder and out in one
/// write: a message costs far less than a system call.
package struct FrameEncoder {
    private var writer = ByteWriter()
    /// Where the open frame's header begins; nil when no frame is open.
    private var frameStart: Int?
    private var messageCount = 0

    package init() {}

    package var isEmpty: Bool { writer.count == 0 }
    /// Bytes gathered so far, headers included.
    package var byteCount: Int { writer.count }

    /// Adds one message.
    ///
    /// A message that fits into no frame (64 MiB) is replaced by a `.failure` with the same request
    /// id, so a reply that grew too large reaches the requester as an error. Requesters check
    /// `Message.fitsFrame` first.
    ///
    /// - Precondition: Ids, schemas and batch shapes keep their limits; validated before.
    /// - Returns: Whether the message itself was added.
    /// - Complexity: O(bytes of the message).
    @discardableResult
    package mutating func append(_ envelope: Envelope) -> Bool {
        let bodyByteCount = envelope.message.bodyByteCount
        let size = MessageHead.messageByteCount(bodyByteCount: bodyByteCount)
        guard size <= Limits.frameBodyByteCountMax else {
            let error = OmenError(
                .resourceExhausted,
                "the answer takes \(size) bytes, a frame holds \(Limits.frameBodyByteCountMax):"
                    + " ask for less at once"
            )
            append(Envelope(requestID: envelope.requestID, message: .failure(error)))
            return false
        }
        makeRoom(for: size)
        writer.reserve(size)
        let start = writer.count
        writer.write(UInt32(size))
        writer.write(envelope.message.kind.rawValue)
        writer.write(UInt16(0))
        writer.write(envelope.requestID)
        envelope.message.encodeBody(into: &writer)
        let written = writer.count - start - MessageHead.byteCount
        precondition(
            written == bodyByteCount,
            "\(envelope.message.kind) took \(written) bytes, \(bodyByteCount) were announced"
        )
        // Frames begin at multiples of 8 and are multiples of 8 long, so this pads the message.
        writer.pad(to: 8)
        messageCount += 1
        return true
    }

    /// Adds a search that was encoded for another worker.
    ///
    /// - Precondition: `search` fits a frame; see `ShardOrder.fitsFrame`.
    /// - Complexity: O(bytes), one copy.
    package mutating func append(_ search: EncodedSearch) {
        makeRoom(for: search.bytes.count)
        writer.reserve(search.bytes.count)
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

    /// Leaves an open frame with room for `size` more bytes.
    private mutating func makeRoom(for size: Int) {
        if let start = frameStart {
            let body = writer.count - start - FrameHeader.byteCount
            let isFull =
                body >= Limits.frameBodyByteCountTarget
                || body + size > Limits.frameBodyByteCountMax
                || messageCount == Limits.frameMessageCountMax
            guard isFull else { return }
            seal()
        }
        frameStart = writer.count
        FrameHeader(messageCount: 0, bodyByteCount: 0, checksum: 0).encode(into: &writer)
    }

    private mutating func seal() {
        guard let start = frameStart else { return }
        let body = writer.count - start - FrameHeader.byteCount
        writer.patch(UInt16(messageCount), at: start + FrameHeader.Offset.messageCount)
        writer.patch(UInt32(body), at: start + FrameHeader.Offset.bodyByteCount)
        let checksum = writer.bytes.withUnsafeBytes {
            FrameHeader.checksum(ofFrame: UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
        writer.patch(checksum, at: start + FrameHeader.Offset.checksum)
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
        let size = MessageHead.messageByteCount(bodyByteCount: order.bodyByteCount)
        precondition(size <= Limits.frameBodyByteCountMax, "a search of \(size) bytes")
        var writer = ByteWriter(reserving: size)
        writer.write(UInt32(size))
        writer.write(MessageKind.shardSearch.rawValue)
        writer.write(UInt16(0))
        writer.write(requestID)
        order.encode(into: &writer)
        writer.pad(to: 8)
        bytes = writer.bytes
    }

    /// Bytes of the message.
    package var byteCount: Int { bytes.count }

    /// The search as a frame of its own, so that many connections can share its memory.
    package func framed() -> [UInt8] {
        var encoder = FrameEncoder()
        encoder.append(self)
        return encoder.finish()
    }
}

extension ShardOrder {
    /// Whether the order is within the limit of a frame, with any timeout.
    ///
    /// It is some bytes longer than the client's request, which may just fit.
    package var fitsFrame: Bool {
        let timeoutByteCount = request.timeoutMilliseconds > 0 ? 0 : 4
        return MessageHead.messageByteCount(bodyByteCount: bodyByteCount + timeoutByteCount)
            <= Limits.frameBodyByteCountMax
    }
}

extension Message {
    /// Whether the encoded message is within the limit of a frame.
    ///
    /// - Complexity: O(ids or hits).
    package var fitsFrame: Bool {
        MessageHead.messageByteCount(bodyByteCount: bodyByteCount) <= Limits.frameBodyByteCountMax
    }

    /// One message as one frame.
    package func framed(requestID: UInt64) -> [UInt8] {
        var encoder = FrameEncoder()
        encoder.append(Envelope(requestID: requestID, message: self))
        return encoder.finish()
    }
}
