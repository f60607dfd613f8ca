/// Names one write for good: a retry carries the same key and is applied at most once.
package struct RequestKey: Hashable, Sendable {
    /// Random number a client draws once.
    package var client: UInt64
    /// Counts the client's writes, from 1.
    package var sequence: UInt64

    package init(client: UInt64, sequence: UInt64) {
        self.client = client
        self.sequence = sequence
    }
}

/// A write with the key that makes retrying it safe; client 0 means it is never retried.
package struct WriteRequest: Equatable, Sendable {
    package var key: RequestKey
    package var operation: WriteOperation

    package init(key: RequestKey, operation: WriteOperation) {
        self.key = key
        self.operation = operation
    }
}
