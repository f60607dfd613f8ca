/// What a coordinator orders of one shard: its part of a client's write, whose values are checked.
///
/// A client's write and an order are two types, as a search and a `ShardOrder` are: the shard
/// trusts an order for its values, and compares the schema that comes along with the schema of its
/// collection. An order travels only on the socket pair that a worker inherits from its
/// coordinator, under the frame's checksum.
package struct ShardWrite: Equatable, Sendable {
    /// Makes retrying safe; the same for all parts of one write.
    package let key: RequestKey
    package let operation: CheckedOperation
    /// Bytes of the encoded operation, in a frame and in the log.
    package let operationByteCount: Int

    /// - Parameters:
    ///   - key: The client's, or one that was never used.
    ///   - operation: What the shard applies.
    package init(key: RequestKey, operation: CheckedOperation) {
        self.key = key
        self.operation = operation
        operationByteCount = operation.operation.encodedByteCount
    }
}

extension ShardWrite: ByteEncodable {
    /// Appends the order's bytes; `docs/PROTOCOL.md` ("shardWrite") draws the layout.
    package func encode(into writer: inout ByteWriter) {
        writer.write(key.client)
        writer.write(key.sequence)
        writer.write(UInt8(operation.schema == nil ? 0 : 1))
        operation.schema?.encode(into: &writer)
        operation.operation.encode(into: &writer)
    }

    /// Reads an order; checks structure and limits, and not the values again.
    ///
    /// - Parameter reader: Stands at the order.
    /// - Throws: `.badRequest` or `.protocolViolation` naming what is out of range.
    package init(from reader: inout ByteReader) throws(OmenError) {
        let client = try reader.read(UInt64.self)
        key = RequestKey(client: client, sequence: try reader.read(UInt64.self))
        let hasSchema = try reader.read(UInt8.self)
        guard hasSchema <= 1 else {
            throw OmenError(.protocolViolation, "hasSchema is \(hasSchema), expected 0 or 1")
        }
        let schema = hasSchema == 1 ? try CollectionSchema(from: &reader) : nil
        let start = reader.offset
        let operation = try WriteOperation(from: &reader)
        operationByteCount = reader.offset - start
        self.operation = try CheckedOperation(ordered: operation, schema)
    }
}
