/// A drop of a collection that some shards may have applied and others not.
///
/// It is durable before the first shard is told, and until every shard has done it: whatever dies
/// in between, the drop is finished under its key before the name can be used again. So the client
/// can repeat it at any time, and no shard takes that for a new one.
package struct UnfinishedDrop: Hashable, Sendable {
    package var name: String
    package var key: RequestKey

    package init(name: String, key: RequestKey) {
        self.name = name
        self.key = key
    }
}
