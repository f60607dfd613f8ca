internal import OmenCore
internal import OmenWire

/// Which collections there are, as far as the shards are known.
extension CoordinatorCore {
    /// The catalog's entry for a usable collection; nil when it does not exist.
    ///
    /// - Throws: `.unavailable` when a shard that may know more cannot be asked, or while the
    ///   collection is being dropped; `.corrupt` when shards disagree about its schema.
    func entry(_ name: String) throws(OmenError) -> Int? {
        guard let index = catalog.find(name) else {
            try checkAllReady("whether collection \(name) exists is not known")
            guard !blockedNames.contains(name) else {
                throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
            }
            return nil
        }
        let entry = catalog[index]
        guard entry.dropRequests == 0, !entry.isCondemned else {
            throw OmenError(.unavailable, "collection \(name) is being dropped, retry later")
        }
        guard entry.conflicts.isEmpty else {
            throw OmenError(
                .corrupt,
                "collection \(name) has another schema on shards \(entry.conflicts): drop it or restore them"
            )
        }
        return index
    }

    /// Makes sure that every shard is ready.
    ///
    /// - Throws: `.unavailable` naming the first that is not, and the `consequence`.
    func checkAllReady(_ consequence: String) throws(OmenError) {
        for shard in directory.shards where !ready.contains(shard) {
            throw OmenError(.unavailable, "\(unavailable(shard).message); \(consequence)")
        }
    }

    /// The catalog's index of a usable collection.
    ///
    /// - Throws: `.notFound` when it does not exist; else as `entry`.
    func existing(_ collection: String) throws(OmenError) -> Int {
        guard let found = try entry(collection) else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return found
    }

    /// Answers a client's question for the collections at once.
    ///
    /// Every shard has every collection, so that one ready shard knows them all.
    mutating func listCollections(for requester: Requester) throws(OmenError) {
        try checkRunning()
        guard !ready.isEmpty else {
            throw OmenError(.unavailable, "no shard is ready, so the collections are not known")
        }
        answer(requester, .collections(collections))
    }
}
