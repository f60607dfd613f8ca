internal import COmenFrame
internal import OmenCore

/// Fixed part of every message inside a frame; `omen_frame.h` gives the offsets.
///
/// - byteCount: the whole message: this head, body and zero padding, a multiple of 8. It says where
///   the next message begins, so that one which makes no sense costs only itself.
/// - kind: tells how to read the body.
/// - flags: 1 chunk, it is a chunk of a reply; 2 more, others follow it. Other bits are zero until
///   a version gives them a meaning.
/// - requestID: echoed in the reply; 0 for what is sent unasked.
///
/// With the flag chunk its number, 8 bytes, follows: how many chunks of the reply came before. Then
/// comes the body, and 0...7 zero bytes.
struct MessageHead: Equatable {
    /// The kind of the message.
    var kind: MessageKind
    /// The request that it belongs to.
    var requestID: UInt64
    /// Which chunk of a reply it is; nil when it is all of it.
    var chunk: ReplyChunk?

    /// Bytes of a head without the number of a chunk.
    static var byteCount: Int { MemoryLayout<omen_message_head>.size }
    /// Bytes of the number of a chunk.
    static let chunkByteCount = 8

    /// The bits of `flags`.
    private enum Flag {
        static let chunk: UInt16 = 1
        static let more: UInt16 = 2
    }

    /// Bytes of a message with a body of `bodyByteCount`.
    static func messageByteCount(bodyByteCount: Int, isChunk: Bool = false) -> Int {
        (byteCount + (isChunk ? chunkByteCount : 0) + bodyByteCount + 7) & ~7
    }

    /// Appends the head of a message with a body of `bodyByteCount`.
    func encode(into writer: inout ByteWriter, bodyByteCount: Int) {
        let size = Self.messageByteCount(bodyByteCount: bodyByteCount, isChunk: chunk != nil)
        var flags: UInt16 = 0
        if let chunk { flags = chunk.isLast ? Flag.chunk : Flag.chunk | Flag.more }
        let raw = omen_message_head(
            byte_count: UInt32(size).littleEndian,
            kind: kind.rawValue.littleEndian,
            flags: flags.littleEndian,
            request_id: requestID.littleEndian
        )
        withUnsafeBytes(of: raw) { writer.write(raw: $0) }
        if let chunk { writer.write(chunk.number) }
    }

    /// Reads a head, and the bytes behind it that belong to its message.
    ///
    /// - Throws: `.protocolViolation` naming the first wrong field.
    static func read(
        from reader: inout ByteReader
    ) throws(OmenError) -> (head: MessageHead, body: UnsafeRawBufferPointer) {
        let raw = try reader.read(count: byteCount).loadUnaligned(as: omen_message_head.self)
        let size = Int(UInt32(littleEndian: raw.byte_count))
        guard size >= byteCount, size.isMultiple(of: 8) else {
            throw OmenError(.protocolViolation, "message of \(size) bytes")
        }
        let number = UInt16(littleEndian: raw.kind)
        guard let kind = MessageKind(rawValue: number) else {
            throw OmenError(.protocolViolation, "message kind \(number) is unknown")
        }
        let flags = UInt16(littleEndian: raw.flags)
        var head = MessageHead(kind: kind, requestID: UInt64(littleEndian: raw.request_id))
        guard flags != 0 else { return (head, try reader.read(count: size - byteCount)) }
        guard flags & ~(Flag.chunk | Flag.more) == 0, flags & Flag.chunk != 0 else {
            throw OmenError(.protocolViolation, "message flags are \(flags)")
        }
        guard kind.mayComeInChunks else {
            throw OmenError(.protocolViolation, "\(kind) does not come in chunks")
        }
        guard size >= byteCount + chunkByteCount else {
            throw OmenError(.protocolViolation, "chunk of \(size) bytes")
        }
        head.chunk = ReplyChunk(
            number: try reader.read(UInt64.self),
            isLast: flags & Flag.more == 0
        )
        return (head, try reader.read(count: size - byteCount - chunkByteCount))
    }
}
