/// What the owner tells about rows to come, and asks about builds.
extension ShardEngine {
    /// Thousandths done of a collection's rebuild; nil when there is none.
    package func rebuildPermille(of collection: ShardCollection) -> Int? {
        rebuilder.permille(of: collection)
    }

    /// Whether a collection's build waits until there is memory for it.
    package func buildWaits(of collection: ShardCollection) -> Bool {
        rebuilder.waitsForMemory(collection)
    }

    /// Expects `count` rows in several writes: no build begins before they are there, and few rows
    /// are not linked one by one before, unless rows wait up to the limit.
    ///
    /// Each call needs one of `endBatch` with the same count, whatever becomes of the writes.
    package func beginBatch(of count: Int, in name: String) {
        guard let collection = store.collections[name] else { return }
        rebuilder.beginBatch(of: count, in: collection)
    }

    package func endBatch(of count: Int, in name: String) {
        guard let collection = store.collections[name] else { return }
        rebuilder.endBatch(of: count, in: collection)
    }
}
