internal import OmenCore
internal import OmenWire

extension Message {
    /// Bytes a request to a worker is charged with.
    var chargedByteCount: Int {
        switch self {
        case .write(let request): request.operation.encodedByteCount
        case .get(let request): 128 + RecordID.encodedByteCount(request.ids)
        case .search(let request): 192 + request.vectors.count
        case .shardSearch(let order): 192 + order.request.vectors.count
        case .count, .list, .listCollections, .status, .checkpoint, .ping, .stop, .acceptLoss: 128
        case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus, .done,
            .failure, .listed, .announcement:
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

extension RecordsReply {
    /// Bytes of memory that it takes, about.
    var heldByteCount: Int {
        records.reduce(0) { total, record in
            let bytes = (record.metadata?.count ?? 0) + (record.vector?.count ?? 0)
            return total + 96 + record.id.encodedByteCount + bytes
        }
    }
}

extension SearchReply {
    /// Bytes of memory that it takes, about.
    var heldByteCount: Int {
        let explained = explanations.count * MemoryLayout<ShardExplanation>.stride
        guard case .full(let hits) = list else { return explained + list.count * 12 }
        return hits.reduce(explained) { total, hit in
            let bytes = (hit.metadata?.count ?? 0) + (hit.vector?.count ?? 0)
            return total + 64 + hit.id.encodedByteCount + bytes
        }
    }
}
