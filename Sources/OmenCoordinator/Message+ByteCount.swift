internal import OmenCore
internal import OmenWire

/// Sizes of requests, for budgets; exact but for small fixed parts.
extension RecordID {
    static func byteCount(of ids: [RecordID]) -> Int {
        ids.reduce(0) { $0 + $1.byteCount }
    }

    var byteCount: Int {
        switch self {
        case .number: 10
        case .text(let text): 2 + text.utf8.count
        }
    }
}

extension UpsertBatch {
    var byteCount: Int {
        metadata.reduce(64 + vectors.count + RecordID.byteCount(of: ids)) { $0 + $1.count + 4 }
    }
}

extension WriteOperation {
    var byteCount: Int {
        switch self {
        case .createCollection, .dropCollection, .clearCollection: 128
        case .upsert(let batch): batch.byteCount
        case .delete(_, let ids): 64 + RecordID.byteCount(of: ids)
        }
    }
}

extension Message {
    /// Bytes a request to a worker is charged with.
    var chargedByteCount: Int {
        switch self {
        case .write(let request): request.operation.byteCount
        case .get(let request): 128 + RecordID.byteCount(of: request.ids)
        case .search(let query): 192 + query.vectors.count
        case .count, .listCollections, .status, .checkpoint, .ping, .stop: 128
        case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus, .done,
            .failure, .announcement:
            128
        }
    }
}

extension WriteCounts {
    /// Adds a shard's counts without trapping, whatever they are.
    mutating func add(_ other: WriteCounts) {
        upserted = upserted.saturatingAdd(other.upserted)
        replaced = replaced.saturatingAdd(other.replaced)
        deleted = deleted.saturatingAdd(other.deleted)
    }
}
