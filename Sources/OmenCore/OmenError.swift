/// A failure the caller can act on.
@usableFromInline package struct OmenError: Error, Equatable, Sendable {
    /// The caller's reaction, one code for each.
    ///
    /// The same numbers travel on the wire and in the C ABI: append, never renumber.
    package enum Code: Int32, Sendable, CaseIterable {
        /// The request is wrong: fix it, do not retry. Nothing was applied.
        case badRequest = 1
        /// The named collection does not exist.
        case notFound = 2
        /// The named thing exists with other properties.
        case alreadyExists = 3
        /// A shard cannot answer now: retry later. Nothing was applied there.
        case unavailable = 4
        /// The write may or may not have been applied: retry with the same request key.
        case unknownOutcome = 5
        /// A queue or memory limit is reached: back off, then retry.
        case resourceExhausted = 6
        /// Stored bytes fail their checksum or contradict each other: an operator must decide.
        case corrupt = 7
        /// Another process holds the data.
        case locked = 8
        /// Written by another version of the software.
        case unsupportedVersion = 9
        /// The system refused a file or socket operation.
        case ioFailure = 10
        /// The peer broke the protocol; the connection is closed.
        case protocolViolation = 11
        /// The caller no longer wanted the answer; nothing was applied. Never on the wire.
        case stopped = 100
    }
    package var code: Code
    /// Which thing, what was expected, what was seen; for people, never matched by code.
    package var message: String
    /// With `.resourceExhausted`: after how many milliseconds trying again is worth while; 0 when
    /// nothing is known about it.
    package var retryAfterMilliseconds: UInt32 = 0

    package init(_ code: Code, _ message: String, retryAfterMilliseconds: UInt32 = 0) {
        self.code = code
        self.message = message
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }
}

extension OmenError: CustomStringConvertible {
    @usableFromInline package var description: String { "\(code): \(message)" }
}
