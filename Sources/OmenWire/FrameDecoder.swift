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

    /// Takes bytes and hands over every message of every frame that is now whole, in place.
    ///
    /// Instead of `append` and `next`, for one who wants to see bodies before they are decoded:
    /// without a remainder of earlier bytes nothing is copied. Messages before a broken one of the
    /// same frame have been handed over by then.
    /// - Parameters:
    ///   - bytes: As they arrived.
    ///   - handle: Called in order; must not use this decoder.
    /// - Throws: As `next`, or what `handle` throws; the stream is out of step then.
    package mutating func take(
        _ bytes: UnsafeRawBufferPointer,
        _ handle: (RawMessage) throws(OmenError) -> Void
    ) throws(OmenError) {
        if let failure { throw failure }
        do throws(OmenError) {
            if bufferedByteCount == 0 {
                let used = try Self.walk(bytes, requiresChecksum: requiresChecksum, handle)
                if used < bytes.count { append(UnsafeRawBufferPointer(rebasing: bytes[used...])) }
                return
            }
            append(bytes)
            let (start, requiresChecksum) = (start, requiresChecksum)
            let result = buffer.withUnsafeBytes { bytes in
                Result { () throws(OmenError) in
                    try Self.walk(
                        UnsafeRawBufferPointer(rebasing: bytes[start...]),
                        requiresChecksum: requiresChecksum,
                        handle
                    )
                }
            }
            consume(try result.get())
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
            Result { () throws(OmenError) -> (Int, [Envelope])? in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
                var envelopes: [Envelope] = []
                let used = try Self.walkFrame(rest, requiresChecksum: requiresChecksum) {
                    message throws(OmenError) in envelopes.append(try message.decoded())
                }
                return used.map { ($0, envelopes) }
            }
        }
        guard let (frameByteCount, envelopes) = try result.get() else { return nil }
        consume(frameByteCount)
        return envelopes
    }

    private mutating func consume(_ byteCount: Int) {
        start += byteCount
        guard start == buffer.count else { return }
        buffer.removeAll(keepingCapacity: buffer.capacity <= Limits.decoderBufferByteCountKept)
        start = 0
    }

    /// Hands over the messages of all whole frames at the front of `bytes`.
    ///
    /// - Returns: Bytes of these frames.
    private static func walk(
        _ bytes: UnsafeRawBufferPointer,
        requiresChecksum: Bool,
        _ handle: (RawMessage) throws(OmenError) -> Void
    ) throws(OmenError) -> Int {
        var offset = 0
        while let used = try walkFrame(
            UnsafeRawBufferPointer(rebasing: bytes[offset...]),
            requiresChecksum: requiresChecksum,
            handle
        ) {
            offset += used
        }
        return offset
    }

    /// Hands over the messages of the first frame; nil when it is not whole.
    private static func walkFrame(
        _ bytes: UnsafeRawBufferPointer,
        requiresChecksum: Bool,
        _ handle: (RawMessage) throws(OmenError) -> Void
    ) throws(OmenError) -> Int? {
        guard bytes.count >= FrameHeader.byteCount else { return nil }
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
        for _ in 0..<header.messageCount { try handle(try RawMessage(from: &reader)) }
        try reader.expectEnd()
        return byteCount
    }
}
