package import OmenCore

/// Turns the bytes of one connection, however they were split, into messages.
///
/// The bytes cannot be trusted: lengths are checked before memory is taken, and nothing traps.
/// After an error the stream is out of step for good: every further `next` throws the same error.
package struct FrameDecoder {
    private var buffer: [UInt8] = []
    /// Bytes of `buffer` already consumed; moved away only when they are the larger half.
    private var start = 0
    private var failure: OmenError?
    private let requiresChecksum: Bool

    /// A decoder for one connection.
    ///
    /// - Parameter requiresChecksum: When false, a frame whose checksum field is 0 is taken
    ///   unchecked. Clients may send such frames; between coordinator and worker it is refused.
    package init(requiresChecksum: Bool = false) { self.requiresChecksum = requiresChecksum }

    /// Bytes that arrived and are not decoded yet.
    package var bufferedByteCount: Int { buffer.count - start }

    /// Takes bytes as they arrived.
    ///
    /// - Complexity: O(bytes), amortised.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        if start > 0, start >= buffer.count - start {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The messages of the next whole frame; nil until one is there.
    ///
    /// A request whose structure is right but whose values break a limit does not end the
    /// connection: it comes as `.failure` under its request id, to be sent back as it is.
    ///
    /// - Throws: `.protocolViolation` or `.unsupportedVersion`; tell the peer and close.
    package mutating func next() throws(OmenError) -> [Envelope]? {
        if let failure { throw failure }
        do throws(OmenError) {
            return try nextFrame()
        } catch {
            failure = error
            buffer = []
            start = 0
            throw error
        }
    }

    private mutating func nextFrame() throws(OmenError) -> [Envelope]? {
        guard bufferedByteCount >= FrameHeader.byteCount else { return nil }
        let (start, requiresChecksum) = (start, requiresChecksum)
        let result = buffer.withUnsafeBytes { bytes in
            Result { () throws(OmenError) in
                try Self.decodeFrame(
                    UnsafeRawBufferPointer(rebasing: bytes[start...]),
                    requiresChecksum: requiresChecksum
                )
            }
        }
        guard let (frameByteCount, envelopes) = try result.get() else { return nil }
        self.start += frameByteCount
        if self.start == buffer.count {
            let keep = buffer.capacity <= Limits.decoderBufferByteCountKept
            buffer.removeAll(keepingCapacity: keep)
            self.start = 0
        }
        return envelopes
    }

    /// The first frame of `bytes` and its size; nil when it is not whole.
    private static func decodeFrame(
        _ bytes: UnsafeRawBufferPointer,
        requiresChecksum: Bool
    ) throws(OmenError) -> (Int, [Envelope])? {
        let header = try FrameHeader(parsing: bytes)
        let byteCount = FrameHeader.byteCount + Int(header.bodyByteCount)
        guard bytes.count >= byteCount else { return nil }
        let frame = UnsafeRawBufferPointer(rebasing: bytes[..<byteCount])
        if header.checksum != 0 || requiresChecksum {
            let checksum = FrameHeader.checksum(ofFrame: frame)
            guard header.checksum == checksum else {
                throw OmenError(
                    .protocolViolation,
                    "frame checksum is \(header.checksum), expected \(checksum)"
                )
            }
        }
        var reader = ByteReader(frame)
        _ = try reader.read(count: FrameHeader.byteCount)
        var envelopes: [Envelope] = []
        envelopes.reserveCapacity(Int(header.messageCount))
        for _ in 0..<header.messageCount { envelopes.append(try decodeMessage(&reader)) }
        try reader.expectEnd()
        return (byteCount, envelopes)
    }

    private static func decodeMessage(
        _ reader: inout ByteReader
    ) throws(OmenError) -> Envelope {
        let size = Int(try reader.read(UInt32.self))
        guard size >= MessageHead.byteCount, size.isMultiple(of: 8) else {
            throw OmenError(.protocolViolation, "message of \(size) bytes")
        }
        let number = try reader.read(UInt16.self)
        guard let kind = MessageKind(rawValue: number) else {
            throw OmenError(.protocolViolation, "message kind \(number) is unknown")
        }
        let flags = try reader.read(UInt16.self)
        guard flags == 0 else {
            throw OmenError(.protocolViolation, "message flags are \(flags), expected 0")
        }
        let requestID = try reader.read(UInt64.self)
        var body = ByteReader(try reader.read(count: size - MessageHead.byteCount))
        do throws(OmenError) {
            let message = try Message(kind: kind, from: &body)
            try expectPadding(&body)
            return Envelope(requestID: requestID, message: message)
        } catch {
            // The frame is whole and says where the next message begins, so a request with
            // forbidden values costs only itself.
            guard kind.isRequest, error.code == .badRequest else {
                throw OmenError(.protocolViolation, "\(kind): \(error.message)")
            }
            return Envelope(requestID: requestID, message: .failure(error))
        }
    }

    private static func expectPadding(_ body: inout ByteReader) throws(OmenError) {
        let count = body.remaining
        guard count < 8, try body.read(count: count).allSatisfy({ $0 == 0 }) else {
            throw OmenError(.protocolViolation, "\(count) trailing bytes")
        }
    }
}
