internal import OmenCore
internal import OmenWire

extension Message {
    /// Bytes that a read, or a question about the cluster, counts for on its way to a worker.
    var chargedByteCount: Int { Limits.messageOverheadByteCount + bodyByteCount }
}

extension ShardWrite {
    /// Bytes that a shard's part of a write counts for, when there is room for it and on its way.
    var chargedByteCount: Int { Limits.messageOverheadByteCount + operationByteCount }
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
