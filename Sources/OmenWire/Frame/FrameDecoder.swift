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
    /// What frames must be; knows the cluster once a frame named it.
    private var rules: FrameRules
    /// An empty buffer larger than this is given back.
    private let keptByteCount: Int
    /// The frame whose messages are being handed over one by one: where it ends in `buffer`, and
    /// how many of them are left.
    private var opened: (end: Int, messageCount: Int)?

    /// A decoder for one connection.
    ///
    /// - Parameters:
    ///   - rules: What the frames of the connection must be.
    ///   - keptByteCount: Largest buffer, in bytes, that is kept while it is empty.
    package init(
        _ rules: FrameRules,
        keptByteCount: Int = Limits.decoderBufferByteCountKept
    ) {
        self.rules = rules
        self.keptByteCount = keptByteCount
    }

    /// What the frames of the connection are about; with the cluster once a frame named it.
    package var scope: FrameScope { rules.scope }

    /// Bytes that arrived and are not decoded yet.
    package var bufferedByteCount: Int { buffer.count - start }

    /// Takes bytes as they arrived.
    ///
    /// - Complexity: O(bytes), amortised.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        if start > 0, start >= buffer.count - start {
            buffer.removeFirst(start)
            opened?.end -= start
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
                let used = try Self.walk(bytes, &rules, handle)
                if used < bytes.count { append(UnsafeRawBufferPointer(rebasing: bytes[used...])) }
                return
            }
            append(bytes)
            let start = start
            let result = buffer.withUnsafeBytes { bytes in
                Result { () throws(OmenError) in
                    let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
                    return try Self.walk(rest, &rules, handle)
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
        guard bufferedByteCount > 0 else { return nil }
        let start = start
        let result = buffer.withUnsafeBytes { bytes in
            Result { () throws(OmenError) -> (Int, [Envelope])? in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
                var envelopes: [Envelope] = []
                let used = try Self.walkFrame(rest, &rules) { message throws(OmenError) in
                    envelopes.append(try message.decoded())
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
        buffer.removeAll(keepingCapacity: buffer.capacity <= keptByteCount)
        start = 0
    }

    /// Hands over the messages of all whole frames at the front of `bytes`.
    ///
    /// - Returns: Bytes of these frames.
    private static func walk(
        _ bytes: UnsafeRawBufferPointer,
        _ rules: inout FrameRules,
        _ handle: (RawMessage) throws(OmenError) -> Void
    ) throws(OmenError) -> Int {
        var offset = 0
        while let used = try walkFrame(
            UnsafeRawBufferPointer(rebasing: bytes[offset...]),
            &rules,
            handle
        ) {
            offset += used
        }
        return offset
    }

    /// Hands over the messages of the first frame; nil when it is not whole.
    private static func walkFrame(
        _ bytes: UnsafeRawBufferPointer,
        _ rules: inout FrameRules,
        _ handle: (RawMessage) throws(OmenError) -> Void
    ) throws(OmenError) -> Int? {
        guard let header = try header(bytes, &rules),
            let body = try wholeBody(bytes, of: header, rules)
        else { return nil }
        var reader = ByteReader(body)
        for _ in 0..<header.messageCount { try handle(try RawMessage(from: &reader)) }
        try reader.expectEnd()
        return FrameHeader.byteCount + body.count
    }

    /// The header of the first frame, checked; nil when it is not whole.
    private static func header(
        _ bytes: UnsafeRawBufferPointer,
        _ rules: inout FrameRules
    ) throws(OmenError) -> FrameHeader? {
        guard bytes.count >= FrameHeader.byteCount else {
            try FrameHeader.checkBeginning(bytes)
            return nil
        }
        let header = try FrameHeader(parsing: bytes)
        try rules.check(header)
        return header
    }

    /// The body of the first frame, checked; nil when it is not whole.
    private static func wholeBody(
        _ bytes: UnsafeRawBufferPointer,
        of header: FrameHeader,
        _ rules: FrameRules
    ) throws(OmenError) -> UnsafeRawBufferPointer? {
        let end = FrameHeader.byteCount + Int(header.bodyByteCount)
        guard bytes.count >= end else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: bytes[FrameHeader.byteCount..<end])
        try rules.check(body: body, of: header)
        return body
    }
}

// MARK: One message at a time

/// For a receiver that decides before each message whether to take it now.
extension FrameDecoder {
    /// What the bytes in the buffer are.
    package enum Content: Equatable, Sendable {
        /// Nothing, between two frames.
        case nothing
        /// A frame that has begun; `byteCount` in all, nil while its header is not there.
        case unfinished(byteCount: Int?)
        /// A message that `takeMessage` gives, and its bytes.
        case message(byteCount: Int)
    }

    /// Looks at what is there, and opens the next frame once it is whole.
    ///
    /// - Throws: As `next`.
    package mutating func look() throws(OmenError) -> Content {
        if let failure { throw failure }
        do throws(OmenError) {
            if opened == nil, let unfinished = try open() { return unfinished }
            return .message(
                byteCount: try withRest { bytes throws(OmenError) in
                    var reader = ByteReader(bytes)
                    return Int(try reader.read(UInt32.self))
                }
            )
        } catch {
            throw broken(error)
        }
    }

    /// Takes the message that `look` saw.
    ///
    /// The memory of a frame is let go with its last message, before that is handled.
    /// - Precondition: The last call was `look`, and it saw a message.
    /// - Throws: As `next`; messages before a broken one of its frame were handed over by then.
    package mutating func takeMessage() throws(OmenError) -> Envelope {
        guard var frame = opened else { preconditionFailure("no message was seen") }
        do throws(OmenError) {
            let isLast = frame.messageCount == 1
            let (envelope, used) = try withRest { bytes throws(OmenError) -> (Envelope, Int) in
                var reader = ByteReader(bytes)
                let raw = try RawMessage(from: &reader)
                if isLast { try reader.expectEnd() }
                return (try raw.decoded(), reader.offset)
            }
            frame.messageCount -= 1
            opened = isLast ? nil : frame
            consume(used)
            return envelope
        } catch {
            throw broken(error)
        }
    }

    /// Lets go of the memory of frames that are gone.
    ///
    /// - Precondition: No frame is open.
    /// - Complexity: O(bytes behind those frames).
    package mutating func compact() {
        precondition(opened == nil, "a frame is open")
        guard start > 0 else { return }
        buffer = Array(buffer[start...])
        start = 0
    }

    /// Makes room for `byteCount` bytes in all, so that appending up to that takes no more memory.
    package mutating func reserve(_ byteCount: Int) { buffer.reserveCapacity(byteCount) }

    /// Nil once a frame is open.
    private mutating func open() throws(OmenError) -> Content? {
        guard bufferedByteCount > 0 else { return .nothing }
        let start = start
        let result = buffer.withUnsafeBytes { bytes in
            Result { () throws(OmenError) -> (header: FrameHeader, isWhole: Bool)? in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
                guard let header = try Self.header(rest, &rules) else { return nil }
                return (header, try Self.wholeBody(rest, of: header, rules) != nil)
            }
        }
        guard let (header, isWhole) = try result.get() else {
            return .unfinished(byteCount: nil)
        }
        let byteCount = FrameHeader.byteCount + Int(header.bodyByteCount)
        guard isWhole else { return .unfinished(byteCount: byteCount) }
        opened = (start + byteCount, Int(header.messageCount))
        consume(FrameHeader.byteCount)
        return nil
    }

    /// Calls `body` with what is left of the open frame.
    private func withRest<Value>(
        _ body: (UnsafeRawBufferPointer) throws(OmenError) -> Value
    ) throws(OmenError) -> Value {
        let range = start..<(opened?.end ?? start)
        let result = buffer.withUnsafeBytes { bytes in
            Result { () throws(OmenError) -> Value in
                try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
        }
        return try result.get()
    }

    /// The stream is out of step: nothing of it is kept.
    private mutating func broken(_ error: OmenError) -> OmenError {
        failure = error
        opened = nil
        buffer = []
        start = 0
        return error
    }
}
