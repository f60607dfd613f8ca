internal import OmenCore

extension WriteRequest {
    func encode(into writer: inout ByteWriter) {
        writer.write(key.client)
        writer.write(key.sequence)
        operation.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let client = try reader.read(UInt64.self)
        let sequence = try reader.read(UInt64.self)
        self.init(
            key: RequestKey(client: client, sequence: sequence),
            operation: try WriteOperation(from: &reader)
        )
    }
}

extension GetRequest {
    func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(UInt8(withVector ? 1 : 0))
        RecordID.encode(ids, into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        collection = try reader.readCollectionName()
        withVector = try reader.readBool()
        ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
    }
}

extension ListRequest {
    func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(shard)
        writer.write(start)
        writer.write(order)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        collection = try reader.readCollectionName()
        shard = try reader.read(UInt32.self)
        start = try reader.read(UInt64.self)
        order = try reader.read(UInt64.self)
    }
}

extension SearchRequest {
    private enum SearchFlag {
        static let exact: UInt8 = 1
        static let withMetadata: UInt8 = 2
        static let withVector: UInt8 = 4
        static let allowPartial: UInt8 = 8
        /// A timeout follows the other numbers.
        static let timeout: UInt8 = 16
        static let explain: UInt8 = 32
        static let all: UInt8 = 63
    }

    /// Counts beyond their range are clamped, so that the other side refuses them by name.
    func encode(into writer: inout ByteWriter) {
        writer.write(collection)
        writer.write(element.rawValue)
        writer.write(
            (effort == .exact ? SearchFlag.exact : 0) | (withMetadata ? SearchFlag.withMetadata : 0)
                | (withVector ? SearchFlag.withVector : 0)
                | (allowPartial ? SearchFlag.allowPartial : 0)
                | (timeoutMilliseconds > 0 ? SearchFlag.timeout : 0)
                | (explain ? SearchFlag.explain : 0)
        )
        writer.write(UInt32(clamping: dim))
        writer.write(UInt32(clamping: count))
        writer.write(UInt32(clamping: limit))
        let (ef, recall): (Int, Float) =
            switch effort {
            case .standard, .exact: (0, 0)
            case .ef(let ef): (ef, 0)
            case .recall(let recall): (0, recall)
            }
        writer.write(UInt32(clamping: ef))
        writer.write(recall)
        writer.write(maxDistance)
        if timeoutMilliseconds > 0 { writer.write(timeoutMilliseconds) }
        writer.write(raw: vectors)
    }

    /// Reads a request and checks its shape; what is read has passed `validate`.
    init(from reader: inout ByteReader) throws(OmenError) {
        let collection = try reader.readCollectionName()
        let element = try ElementType(from: &reader)
        let flags = try reader.read(UInt8.self)
        guard flags & ~SearchFlag.all == 0 else {
            throw OmenError(
                .badRequest,
                "search flags are \(flags), expected at most \(SearchFlag.all)"
            )
        }
        let dim = Int(try reader.read(UInt32.self))
        let count = Int(try reader.read(UInt32.self))
        let limit = Int(try reader.read(UInt32.self))
        let ef = Int(try reader.read(UInt32.self))
        let recall = try reader.readFloat()
        let maxDistance = try reader.readFloat()
        let timeout = flags & SearchFlag.timeout != 0 ? try reader.read(UInt32.self) : 0
        self.init(
            collection: collection,
            element: element,
            dim: dim,
            vectors: [],
            count: count,
            limit: limit
        )
        effort = try SearchEffort(ef: ef, recall: recall, exact: flags & SearchFlag.exact != 0)
        self.maxDistance = maxDistance
        timeoutMilliseconds = timeout
        withMetadata = flags & SearchFlag.withMetadata != 0
        withVector = flags & SearchFlag.withVector != 0
        allowPartial = flags & SearchFlag.allowPartial != 0
        explain = flags & SearchFlag.explain != 0
        try validateLimits()
        vectors = Array(try reader.read(count: count * dim * element.byteCount))
    }
}

extension ShardOrder {
    func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(clamping: limit))
        writer.write(UInt32(clamping: shardCount))
        search.schema.encode(into: &writer)
        request.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let limit = Int(try reader.read(UInt32.self))
        let shardCount = Int(try reader.read(UInt32.self))
        let schema = try CollectionSchema(from: &reader)
        try self.init(
            ordered: SearchRequest(from: &reader),
            schema,
            limit: limit,
            shardCount: shardCount
        )
    }
}
