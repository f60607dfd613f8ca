internal import OmenCore
internal import OmenWire

/// Sizes of requests and replies, for budgets; exact but for small fixed parts.
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
    /// Bytes of the encoded message, never much too small.
    var byteCountEstimate: Int {
        switch self {
        case .records(let reply):
            reply.records.reduce(coverageByteCount(reply.coverage)) {
                $0 + $1.id.byteCount + 16 + ($1.metadata?.count ?? 0) + ($1.vector?.count ?? 0)
            }
        case .hits(let reply):
            reply.hits.reduce(coverageByteCount(reply.coverage) + reply.hitCounts.count * 4) {
                $0 + $1.id.byteCount + 16 + ($1.metadata?.count ?? 0) + ($1.vector?.count ?? 0)
            }
        case .written(let reply): coverageByteCount(reply.coverage)
        case .counted(let reply): coverageByteCount(reply.coverage)
        case .collections(let collections): 64 + collections.count * 96
        case .shardStatus(let status): 128 + status.collections.count * 160
        case .clusterStatus(let status):
            status.workers.reduce(256) {
                $0 + 256 + $1.lastError.utf8.count + ($1.shardStatus?.collections.count ?? 0) * 160
            }
        case .failure(let error): 64 + error.message.utf8.count
        case .write(let request): request.operation.byteCount
        case .get(let request): 128 + RecordID.byteCount(of: request.ids)
        case .search(let query): 192 + query.vectors.count
        case .count, .listCollections, .status, .checkpoint, .ping, .stop, .done: 128
        case .announcement(let announcement):
            192 + announcement.reason.utf8.count + announcement.collections.count * 96
        }
    }

    private func coverageByteCount(_ coverage: Coverage) -> Int {
        coverage.failures.reduce(128) { $0 + 16 + $1.error.message.utf8.count }
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
