package import OmenCore

/// Which chunk of a reply a message is, where one request is answered by several messages.
///
/// Each chunk is a whole message of its kind and fits a frame, so that a reply may be larger than
/// a frame, and its receiver may begin before the sender has all of it. Chunks of different replies
/// may alternate on a connection.
package struct ReplyChunk: Equatable, Sendable {
    /// Chunks of the same reply before this one.
    package var number: UInt64
    /// Whether the reply ends with it.
    package var isLast: Bool

    /// A chunk.
    ///
    /// - Parameters:
    ///   - number: As the property.
    ///   - isLast: As the property.
    package init(number: UInt64, isLast: Bool) {
        self.number = number
        self.isLast = isLast
    }
}

/// The order in which the chunks of one reply have to come: 0, 1, 2 and so on to the last.
package struct ChunkSequence: Equatable, Sendable {
    private enum State: Equatable, Sendable {
        case expects(UInt64)
        case ended
    }

    private var state = State.expects(0)

    /// A sequence of which nothing has come.
    package init() {}

    /// Takes the next chunk.
    ///
    /// - Parameter chunk: What came.
    /// - Throws: `.protocolViolation` when another chunk is due, or none.
    package mutating func take(_ chunk: ReplyChunk) throws(OmenError) {
        guard case .expects(let number) = state else {
            throw OmenError(
                .protocolViolation,
                "chunk \(chunk.number) of a reply came after its last"
            )
        }
        guard chunk.number == number else {
            throw OmenError(
                .protocolViolation,
                "chunk \(chunk.number) of a reply came, expected \(number)"
            )
        }
        // A chunk that is not the last has a successor, which the largest number has not.
        guard chunk.isLast || number < .max else {
            throw OmenError(.protocolViolation, "chunk \(number) of a reply is not its last")
        }
        state = chunk.isLast ? .ended : .expects(number + 1)
    }
}
