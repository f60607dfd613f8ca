internal import OmenCore

/// Fixed part of every message inside a frame; little-endian, no padding.
///
///     offset size field
///          0    4 byteCount   whole message: this head, body, zero padding; multiple of 8
///          4    2 kind        `MessageKind`
///          6    2 flags       1 chunk: it is a chunk of a reply; 2 more: others follow it
///          8    8 requestID   echoed in the reply; 0 for what is sent unasked
///         16    8 number      only with the flag chunk: chunks of the reply before it
///   16 or 24      body        then 0...7 zero bytes
struct MessageHead: Equatable {
    /// The kind of the message.
    var kind: MessageKind
    /// The request that it belongs to.
    var requestID: UInt64
    /// Which chunk of a reply it is; nil when it is all of it.
    var chunk: ReplyChunk?

    /// Bytes of a head without the number of a chunk.
    static let byteCount = 16
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
        writer.write(UInt32(size))
        writer.write(kind.rawValue)
        guard let chunk else {
            writer.write(UInt16(0))
            return writer.write(requestID)
        }
        writer.write(chunk.isLast ? Flag.chunk : Flag.chunk | Flag.more)
        writer.write(requestID)
        writer.write(chunk.number)
    }

    /// Reads a head, and the bytes behind it that belong to its message.
    ///
    /// - Throws: `.protocolViolation` naming the first wrong field.
    static func read(
        from reader: inout ByteReader
    ) throws(OmenError) -> (head: MessageHead, body: UnsafeRawBufferPointer) {
        let size = Int(try reader.read(UInt32.self))
        guard size >= byteCount, size.isMultiple(of: 8) else {
            throw OmenError(.protocolViolation, "message of \(size) bytes")
        }
        let number = try reader.read(UInt16.self)
        guard let kind = MessageKind(rawValue: number) else {
            throw OmenError(.protocolViolation, "message kind \(number) is unknown")
        }
        let flags = try reader.read(UInt16.self)
        var head = MessageHead(kind: kind, requestID: try reader.read(UInt64.self))
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
