internal import OmenCore

/// One shard's part of a write.
struct WritePart: Equatable, Sendable {
    /// The shard that applies it.
    var shard: Int
    /// What it applies.
    var write: ShardWrite
}

/// Dividing ids and batches among shards.
extension CoordinatorCore {
    /// Indices of `ids` by shard, ascending by shard, order kept; shards without any left out.
    ///
    /// Equal ids go to the same shard in their order, so that the last one wins there.
    func split(_ ids: [RecordID]) -> [(shard: Int, indices: [Int])] {
        var indices = [[Int]](repeating: [], count: directory.shardCount)
        let expected = ids.count / directory.shardCount
        for shard in indices.indices { indices[shard].reserveCapacity(expected + expected / 4) }
        for (index, id) in ids.enumerated() { indices[directory.slots.shard(of: id)].append(index) }
        return indices.enumerated().filter { !$0.element.isEmpty }
            .map { (shard: $0.offset, indices: $0.element) }
    }

    /// Parts of an upsert, by shard.
    func split(_ checked: CheckedBatch, key: RequestKey) -> [WritePart] {
        guard directory.shardCount > 1 else {
            let write = ShardWrite(key: key, operation: .upsert(checked))
            return [WritePart(shard: 0, write: write)]
        }
        return split(checked.batch.ids).map { shard, indices in
            let operation = CheckedOperation.upsert(checked.selecting(indices))
            return WritePart(shard: shard, write: ShardWrite(key: key, operation: operation))
        }
    }
}
