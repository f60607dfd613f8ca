internal import OmenCore
internal import OmenWire

/// One collection of the cluster and where it is.
struct CatalogEntry: Equatable, Sendable {
    /// Unique in the catalog.
    var name: String
    /// As the shards in `present` announced it.
    var schema: CollectionSchema
    /// Ready shards that have it.
    var present = ShardSet()
    /// Shards that were told to create it and did not answer yet.
    var creating = ShardSet()
    /// Shards that were told to finish its drop.
    var dropping = ShardSet()
    /// Shards that have it with another schema.
    var conflicts = ShardSet()
    /// Ids of client's drops in flight; while there are any, the collection takes no requests.
    var dropRequests = 0
    /// A drop was applied on some shards and not on all: it is finished, under its own key, as they
    /// come back, so that no shard takes a repetition of it for a new one.
    var condemnedBy: RequestKey?

    /// Whether a drop of it is unfinished: it takes no requests then.
    var isCondemned: Bool { condemnedBy != nil }

    /// What the metadata of a record takes, about; nil until some was seen.
    private(set) var metadataByteCount: Int?

    /// Learns from some records: at once that they are large, slowly that they are small.
    mutating func learn(metadataByteCount byteCount: Int, ofRecords count: Int) {
        guard count > 0 else { return }
        let mean = byteCount / count
        let known = metadataByteCount ?? 0
        metadataByteCount = mean >= known ? mean : known - (known - mean + 63) / 64
    }

    /// Memory that answers with `count` records may take, vectors of `vectorByteCount` included.
    ///
    /// The most that an answer can be while nothing is known, so that nobody finds out by asking a
    /// thousand times at once.
    func answerByteCount(records count: Int, metadata: Bool, vectorByteCount: Int) -> Int {
        let metadataByteCount = self.metadataByteCount ?? Limits.metadataByteCountMax
        let record = 128 + vectorByteCount + (metadata ? metadataByteCount : 0)
        return min(count * record, Limits.frameBodyByteCountMax)
    }

    /// Shards that can be asked about it.
    var serving: ShardSet { present.union(creating).subtracting(conflicts) }

    /// Whether no shard has it, and nothing is left to be done about it.
    var isGone: Bool { present.isEmpty && creating.isEmpty && conflicts.isEmpty && !isCondemned }
}

/// The collections of the cluster, ascending by name.
///
/// Derived from what the workers announce and were told; the truth is in the shards.
struct Catalog: Sendable {
    /// Ascending by name, each name once.
    private(set) var entries: [CatalogEntry] = []

    /// Collections of the cluster.
    var count: Int { entries.count }

    /// Places of the entries; they change when one comes or goes.
    var indices: Range<Int> { entries.indices }

    /// The entry at a place, which is changed where it lies.
    subscript(index: Int) -> CatalogEntry {
        get { entries[index] }
        _modify { yield &entries[index] }
    }

    /// The place of a collection; nil when there is none of that name.
    ///
    /// - Complexity: O(log collections).
    func find(_ name: String) -> Int? {
        let index = lowerBound(name)
        return index < entries.count && entries[index].name == name ? index : nil
    }

    /// The index of `name`, added where it was missing.
    mutating func insert(_ name: String, schema: CollectionSchema) -> Int {
        let index = lowerBound(name)
        if index < entries.count, entries[index].name == name { return index }
        entries.insert(CatalogEntry(name: name, schema: schema), at: index)
        return index
    }

    /// Forgets a collection that no shard has any more.
    mutating func removeIfGone(_ name: String) {
        guard let index = find(name), entries[index].isGone else { return }
        entries.remove(at: index)
    }

    /// A shard stopped serving: nothing is known of what it holds.
    mutating func forget(shard: Int) {
        for index in entries.indices {
            entries[index].present.remove(shard)
            entries[index].creating.remove(shard)
            entries[index].dropping.remove(shard)
        }
        entries.removeAll { $0.isGone && $0.dropRequests == 0 }
    }

    /// The first place whose name is not before `name`.
    private func lowerBound(_ name: String) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
