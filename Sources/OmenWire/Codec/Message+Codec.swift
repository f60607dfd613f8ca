internal import OmenCore

extension Message {
    /// Exact bytes of the encoded body, without head and padding.
    ///
    /// - Complexity: O(ids, hits or collections).
    package var bodyByteCount: Int { ByteWriter.byteCount { encodeBody(into: &$0) } }

    /// Appends the body; `docs/PROTOCOL.md` draws every layout.
    func encodeBody(into writer: inout ByteWriter) {
        switch self {
        case .write(let request): request.encode(into: &writer)
        case .get(let request): request.encode(into: &writer)
        case .count(let collection): writer.write(collection)
        case .search(let request): request.encode(into: &writer)
        case .shardSearch(let order): order.encode(into: &writer)
        case .shardWrite(let order): order.encode(into: &writer)
        case .list(let request): request.encode(into: &writer)
        case .acceptLoss(let shard): writer.write(shard)
        case .listed(let reply): reply.encode(into: &writer)
        case .listCollections, .status, .checkpoint, .ping, .stop, .done: break
        case .written(let reply): reply.encode(into: &writer)
        case .records(let reply): reply.encode(into: &writer)
        case .counted(let reply): reply.encode(into: &writer)
        case .hits(let reply): reply.encode(into: &writer)
        case .collections(let infos): CollectionInfo.encode(infos, into: &writer)
        case .shardStatus(let status): status.encode(into: &writer)
        case .clusterStatus(let status): status.encode(into: &writer)
        case .failure(let error): error.encode(into: &writer)
        case .announcement(let announcement): announcement.encode(into: &writer)
        }
    }

    /// Reads a body; what is left in `reader` afterwards must be padding.
    init(kind: MessageKind, from reader: inout ByteReader) throws(OmenError) {
        switch kind {
        case .write: self = .write(try WriteRequest(from: &reader))
        case .get: self = .get(try GetRequest(from: &reader))
        case .count: self = .count(collection: try reader.readCollectionName())
        case .search: self = .search(try SearchRequest(from: &reader))
        case .shardSearch: self = .shardSearch(try ShardOrder(from: &reader))
        case .shardWrite: self = .shardWrite(try ShardWrite(from: &reader))
        case .listCollections: self = .listCollections
        case .status: self = .status
        case .checkpoint: self = .checkpoint
        case .ping: self = .ping
        case .stop: self = .stop
        case .list: self = .list(try ListRequest(from: &reader))
        case .acceptLoss: self = .acceptLoss(shard: try reader.read(UInt32.self))
        case .written: self = .written(try WriteReply(from: &reader))
        case .records: self = .records(try RecordsReply(from: &reader))
        case .counted: self = .counted(try CountReply(from: &reader))
        case .hits: self = .hits(try SearchReply(from: &reader))
        case .collections: self = .collections(try CollectionInfo.decodeList(from: &reader))
        case .shardStatus: self = .shardStatus(try ShardStatus(from: &reader))
        case .clusterStatus: self = .clusterStatus(try ClusterStatus(from: &reader))
        case .done: self = .done
        case .failure: self = .failure(try OmenError(from: &reader))
        case .listed: self = .listed(try ListReply(from: &reader))
        case .announcement: self = .announcement(try WorkerAnnouncement(from: &reader))
        }
    }
}

extension ByteReader {
    /// A count of things that take at least `least` bytes each, so that a lying count fails before
    /// memory is taken for it.
    mutating func readItemCount(limit: Int, least: Int) throws(OmenError) -> Int {
        let count = Int(try read(UInt32.self))
        guard count <= limit, count <= remaining / least else {
            throw OmenError(
                .protocolViolation,
                "\(count) items in \(remaining) bytes, at most \(limit) of \(least) or more each"
            )
        }
        return count
    }

    /// A `UInt8` that is 0 or 1.
    mutating func readBool() throws(OmenError) -> Bool {
        let value = try read(UInt8.self)
        guard value <= 1 else {
            throw OmenError(.protocolViolation, "truth value is \(value), expected 0 or 1")
        }
        return value == 1
    }

    /// Counted bytes where none at all means absent.
    mutating func readOptional(limit: Int) throws(OmenError) -> [UInt8]? {
        let bytes = try readCounted(limit: limit)
        return bytes.isEmpty ? nil : Array(bytes)
    }
}

extension String {
    /// The longest prefix of whole characters that a frame takes as the text of an error.
    var cutForFrame: String {
        guard utf8.count > Limits.errorMessageByteCountMax else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: Limits.errorMessageByteCountMax)
        while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
