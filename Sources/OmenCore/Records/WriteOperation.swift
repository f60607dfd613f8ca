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

/// Vectors to insert or replace, in columns; the last of equal ids in one batch wins.
package struct UpsertBatch: Equatable, Sendable {
    package var collection: String
    /// Type of every element in `vectors`.
    package var element: ElementType
    package var dim: Int
    package var ids: [RecordID]
    /// Little-endian elements, row after row without padding; shape `[ids.count][dim]`.
    package var vectors: [UInt8]
    /// JSON text of each record's metadata object; empty when no record has any, else one per id,
    /// where an empty array means none.
    package var metadata: [[UInt8]]
    /// The schema that these very bytes of vectors and metadata were found to be right for.
    ///
    /// They are not looked at again while the collection has it. Known to this process only.
    package var checkedAgainst: CollectionSchema?

    package init(
        collection: String,
        element: ElementType,
        dim: Int,
        ids: [RecordID],
        vectors: [UInt8],
        metadata: [[UInt8]] = []
    ) {
        self.collection = collection
        self.element = element
        self.dim = dim
        self.ids = ids
        self.vectors = vectors
        self.metadata = metadata
    }
}

/// Everything that changes stored data; what the log holds and replay repeats.
package enum WriteOperation: Equatable, Sendable {
    /// Existing collections with the same schema are left alone; with another it is an error.
    case createCollection(name: String, schema: CollectionSchema)
    case dropCollection(name: String)
    /// Removes every record, keeps the collection.
    case clearCollection(name: String)
    case upsert(UpsertBatch)
    /// Ids that are not there are skipped.
    case delete(collection: String, ids: [RecordID])
    /// Searches are calibrated with these queries from now on.
    case calibrate(QuerySample)
}

extension WriteOperation {
    /// Name of the collection that it changes.
    package var collection: String {
        switch self {
        case .createCollection(let name, _), .dropCollection(let name), .clearCollection(let name),
            .delete(let name, _):
            name
        case .upsert(let batch): batch.collection
        case .calibrate(let sample): sample.collection
        }
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

/// What a write did on one shard, or summed over the shards.
package struct WriteCounts: Equatable, Sendable {
    /// Distinct ids that now hold the written vector.
    package var upserted: UInt64 = 0
    /// Those of `upserted` that replaced an older record.
    package var replaced: UInt64 = 0
    /// Records removed by delete, clear or drop.
    package var deleted: UInt64 = 0

    package init(upserted: UInt64 = 0, replaced: UInt64 = 0, deleted: UInt64 = 0) {
        self.upserted = upserted
        self.replaced = replaced
        self.deleted = deleted
    }

    /// Sums that would overflow stay at the largest number: counts may come from a damaged file.
    package static func += (left: inout WriteCounts, right: WriteCounts) {
        left.upserted = sum(left.upserted, right.upserted)
        left.replaced = sum(left.replaced, right.replaced)
        left.deleted = sum(left.deleted, right.deleted)
    }

    private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}

extension WriteOperation {
    /// The numbers that lead each encoded operation, on the wire and in the log: never renumber.
    private enum OperationKind: UInt8 {
        case createCollection = 1
        case dropCollection = 2
        case clearCollection = 3
        case upsert = 4
        case delete = 5
        case calibrate = 6
    }

    /// Appends the operation's bytes; `docs/PROTOCOL.md` ("Write operations") draws the layout.
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .createCollection(let name, let schema):
            writer.write(OperationKind.createCollection.rawValue)
            writer.write(name)
            schema.encode(into: &writer)
        case .dropCollection(let name):
            writer.write(OperationKind.dropCollection.rawValue)
            writer.write(name)
        case .clearCollection(let name):
            writer.write(OperationKind.clearCollection.rawValue)
            writer.write(name)
        case .upsert(let batch):
            writer.write(OperationKind.upsert.rawValue)
            batch.encode(into: &writer)
        case .delete(let collection, let ids):
            writer.write(OperationKind.delete.rawValue)
            writer.write(collection)
            RecordID.encode(ids, into: &writer)
        case .calibrate(let sample):
            writer.write(OperationKind.calibrate.rawValue)
            sample.encode(into: &writer)
        }
    }

    /// Reads one operation; checks structure and limits, not whether the collection exists.
    package init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(UInt8.self)
        guard let kind = OperationKind(rawValue: number) else {
            throw OmenError(
                .badRequest,
                "write operation \(number) is unknown, expected 1...\(OperationKind.calibrate.rawValue)"
            )
        }
        switch kind {
        case .createCollection:
            let name = try Self.readName(&reader)
            self = .createCollection(name: name, schema: try CollectionSchema(from: &reader))
        case .dropCollection: self = .dropCollection(name: try Self.readName(&reader))
        case .clearCollection: self = .clearCollection(name: try Self.readName(&reader))
        case .upsert: self = .upsert(try UpsertBatch(from: &reader))
        case .delete:
            let name = try Self.readName(&reader)
            let ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
            self = .delete(collection: name, ids: ids)
        case .calibrate: self = .calibrate(try QuerySample(from: &reader))
        }
    }

    package static func readName(_ reader: inout ByteReader) throws(OmenError) -> String {
        let utf8 = try reader.readCounted(limit: reader.remaining)
        // Refused by name before it is copied.
        guard utf8.count <= Limits.collectionNameCharacterCountMax else {
            throw OmenError(
                .badRequest,
                "collection name has \(utf8.count) bytes, expected at most"
                    + " \(Limits.collectionNameCharacterCountMax)"
            )
        }
        guard let name = String(validating: utf8, as: UTF8.self) else {
            throw OmenError(.badRequest, "collection name is not UTF-8")
        }
        return name
    }
}

extension ElementType {
    /// Reads the type of the vectors that follow.
    ///
    /// - Throws: `.badRequest` for a number that stands for none.
    init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(UInt8.self)
        guard let element = ElementType(rawValue: number) else {
            throw OmenError(.badRequest, "element type \(number) is unknown")
        }
        self = element
    }
}

extension CollectionSchema {
    package func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(dim))
        writer.write(metric.rawValue)
        writer.write(element.rawValue)
        writer.write(codes.rawValue)
        writer.write(UInt8(m))
        writer.write(UInt32(efConstruction))
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        let dim = Int(try reader.read(UInt32.self))
        let metric = try Self.readEnum(&reader, "metric", Metric.init(rawValue:))
        let element = try Self.readEnum(&reader, "element type", ElementType.init(rawValue:))
        let codes = try Self.readEnum(&reader, "codes", CodeKind.init(rawValue:))
        let m = Int(try reader.read(UInt8.self))
        let efConstruction = Int(try reader.read(UInt32.self))
        self.init(
            dim: dim,
            metric: metric,
            element: element,
            codes: codes,
            m: m,
            efConstruction: efConstruction
        )
        try validate()
    }

    private static func readEnum<Value>(
        _ reader: inout ByteReader,
        _ what: String,
        _ make: (UInt8) -> Value?
    ) throws(OmenError) -> Value {
        let raw = try reader.read(UInt8.self)
        guard let value = make(raw) else {
            throw OmenError(.badRequest, "\(what) \(raw) is unknown")
        }
        return value
    }
}

extension UpsertBatch {
    package func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(element.rawValue)
        writer.write(UInt32(dim))
        RecordID.encode(ids, into: &writer)
        writer.write(raw: vectors)
        writer.write(UInt8(metadata.isEmpty ? 0 : 1))
        for object in metadata { writer.write(counted: object) }
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        collection = try WriteOperation.readName(&reader)
        element = try ElementType(from: &reader)
        dim = Int(try reader.read(UInt32.self))
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
        guard !ids.isEmpty else { throw OmenError(.badRequest, "the batch is empty") }
        vectors = Array(try reader.read(count: ids.count * dim * element.byteCount))
        metadata = []
        let hasMetadata = try reader.read(UInt8.self)
        guard hasMetadata <= 1 else {
            throw OmenError(.badRequest, "hasMetadata is \(hasMetadata), expected 0 or 1")
        }
        guard hasMetadata == 1 else { return }
        metadata.reserveCapacity(ids.count)
        for row in ids.indices {
            let object = try reader.readCounted(limit: reader.remaining)
            guard object.count <= Limits.metadataByteCountMax else {
                throw OmenError(
                    .badRequest,
                    "metadata of vector \(row) has \(object.count) bytes, expected at most"
                        + " \(Limits.metadataByteCountMax)"
                )
            }
            metadata.append(Array(object))
        }
    }
}

extension RecordID {
    /// Marks a text id in the length column; numbers have 0 there.
    ///
    /// Layout: `UInt32` count, then per id `UInt16` text length (0: a number follows) and either 8
    /// bytes of number or the text.
    package static func encode(_ ids: [RecordID], into writer: inout ByteWriter) {
        writer.write(UInt32(ids.count))
        for id in ids { id.encode(into: &writer) }
    }

    package func encode(into writer: inout ByteWriter) {
        withBytes { isText, bytes in
            writer.write(isText ? UInt16(bytes.count) : 0)
            writer.write(raw: bytes)
        }
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        let textByteCount = Int(try reader.read(UInt16.self))
        guard textByteCount > 0 else {
            self = .number(try reader.read(UInt64.self))
            return
        }
        guard textByteCount <= Limits.textIDByteCountMax else {
            throw OmenError(
                .badRequest,
                "text id has \(textByteCount) bytes, expected 1...\(Limits.textIDByteCountMax)"
            )
        }
        let utf8 = try reader.read(count: textByteCount)
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw OmenError(.badRequest, "text id is not UTF-8")
        }
        self = .text(text)
    }

    package static func decodeList(
        from reader: inout ByteReader,
        limit: Int
    ) throws(OmenError) -> [RecordID] {
        let count = Int(try reader.read(UInt32.self))
        guard count <= limit else {
            throw OmenError(.badRequest, "\(count) ids in one request, expected at most \(limit)")
        }
        // Each id takes at least 3 bytes, so a lying count fails before much is reserved.
        guard count * 3 <= reader.remaining else {
            throw OmenError(.protocolViolation, "\(count) ids in \(reader.remaining) bytes")
        }
        var ids: [RecordID] = []
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(try RecordID(from: &reader)) }
        return ids
    }
}
