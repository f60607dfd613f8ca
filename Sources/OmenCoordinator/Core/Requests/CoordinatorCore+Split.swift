internal import OmenCore

/// One shard's part of a write.
struct WritePart: Equatable, Sendable {
    /// The shard that applies it.
    var shard: Int
    /// What it applies.
    var operation: WriteOperation
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
    func split(_ batch: UpsertBatch) -> [WritePart] {
        guard directory.shardCount > 1 else {
            return [WritePart(shard: 0, operation: .upsert(batch))]
        }
        return split(batch.ids).map { shard, indices in
            WritePart(shard: shard, operation: .upsert(batch.selecting(indices)))
        }
    }
}
