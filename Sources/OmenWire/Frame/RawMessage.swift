package import OmenCore

/// One message of a frame whose body is not decoded; borrows the frame's bytes.
package struct RawMessage {
    private let head: MessageHead
    /// The body and its padding.
    package let body: UnsafeRawBufferPointer

    /// The kind of the message.
    package var kind: MessageKind { head.kind }
    /// The request that it belongs to.
    package var requestID: UInt64 { head.requestID }

    init(from reader: inout ByteReader) throws(OmenError) {
        (head, body) = try MessageHead.read(from: &reader)
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
        return Envelope(requestID: requestID, message: message, chunk: head.chunk)
    }

    /// Makes sure that nothing but padding is left of a body.
    static func expectPadding(_ body: inout ByteReader) throws(OmenError) {
        let count = body.remaining
        guard count < 8, try body.read(count: count).allSatisfy({ $0 == 0 }) else {
            throw OmenError(.protocolViolation, "\(count) trailing bytes")
        }
    }
}
