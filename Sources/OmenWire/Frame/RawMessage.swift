package import OmenCore

/// One message of a frame whose body is not decoded; borrows the frame's bytes.
package struct RawMessage {
    package let kind: MessageKind
    package let requestID: UInt64
    /// The body and its padding.
    package let body: UnsafeRawBufferPointer

    init(from reader: inout ByteReader) throws(OmenError) {
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
        self.kind = kind
        requestID = try reader.read(UInt64.self)
        body = try reader.read(count: size - MessageHead.byteCount)
    }

    /// The whole message.
    ///
    /// A request whose body does not decode comes as `.failure`: to be sent back as it is.
    /// - Throws: `.protocolViolation` for anything else; the stream is out of step.
    package func decoded() throws(OmenError) -> Envelope {
        var reader = ByteReader(body)
        let message: Message
        do throws(OmenError) {
            message = try Message(kind: kind, from: &reader)
        } catch {
            // The frame is whole and says where the next message begins, so a request that makes
            // no sense costs only itself.
            guard kind.isRequest else {
                throw OmenError(.protocolViolation, "\(kind): \(error.message)")
            }
            let refusal = OmenError(.badRequest, "\(kind): \(error.message)")
            return Envelope(requestID: requestID, message: .failure(refusal))
        }
        do throws(OmenError) {
            try Self.expectPadding(&reader)
        } catch {
            throw OmenError(.protocolViolation, "\(kind): \(error.message)")
        }
        return Envelope(requestID: requestID, message: message)
    }

    static func expectPadding(_ body: inout ByteReader) throws(OmenError) {
        let count = body.remaining
        guard count < 8, try body.read(count: count).allSatisfy({ $0 == 0 }) else {
            throw OmenError(.protocolViolation, "\(count) trailing bytes")
        }
    }
}
