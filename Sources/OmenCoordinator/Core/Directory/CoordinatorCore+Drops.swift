internal import OmenCore
internal import OmenWire

/// What is left of drops of collections: noted durably before the shards are told, finished on the
/// shards that missed them, then forgotten.
extension CoordinatorCore {
    /// Forgets a condemned collection once every shard is known not to have it; `blocks` as of
    /// `forgetDrop`.
    mutating func settleCondemned(_ name: String, blocks: Bool = true) {
        guard let index = catalog.find(name), catalog[index].isCondemned else { return }
        let entry = catalog[index]
        guard ready.count == directory.shardCount, entry.present.isEmpty, entry.conflicts.isEmpty,
            entry.dropping.isEmpty, entry.creating.isEmpty
        else { return }
        absolve(name, blocks: blocks)
        catalog.removeIfGone(name)
    }

    /// The drop is finished, or was no drop of what is there; `blocks` as of `forgetDrop`.
    mutating func absolve(_ name: String, blocks: Bool) {
        if let index = catalog.find(name) { catalog[index].condemnedBy = nil }
        forgetDrop(name, blocks: blocks)
    }

    /// Condemns what an earlier coordinator began to drop, and forgets drops of what no shard has.
    mutating func recallDrops() {
        for drop in unfinishedDrops {
            if let index = catalog.find(drop.name) {
                guard catalog[index].dropRequests == 0, !catalog[index].isCondemned else {
                    continue
                }
                catalog[index].condemnedBy = drop.key
            } else if ready.count == directory.shardCount {
                forgetDrop(drop.name, blocks: true)
            }
        }
    }

    /// Forgets a drop that is over.
    ///
    /// With `blocks` nobody may use the name before that is durable: not every shard knows the
    /// drop's key, and a coordinator that still had it would drop what was made there since.
    mutating func forgetDrop(_ name: String, blocks: Bool) {
        guard unfinishedDrops.contains(where: { $0.name == name }) else { return }
        unfinishedDrops.removeAll { $0.name == name }
        if blocks { blockedNames.insert(name) }
        storeDrops()
    }

    /// Has the unfinished drops stored if they changed, unless that is under way already.
    mutating func storeDrops() {
        guard storingDrops == nil, unfinishedDrops != storedDrops else { return }
        storingDrops = unfinishedDrops
        out.append(.storeDrops(unfinishedDrops))
    }

    /// The note is durable: the drops that waited for it are sent.
    mutating func dropsStored() {
        guard let stored = storingDrops else { return }
        storedDrops = stored
        storingDrops = nil
        blockedNames = blockedNames.filter { name in stored.contains { $0.name == name } }
        let waiting = dropsToSend
        dropsToSend = []
        for id in waiting {
            guard let index = pending.index(of: id), let drop = pending[index].gather.drop else {
                continue
            }
            guard storedDrops.contains(UnfinishedDrop(name: drop.name, key: drop.key)) else {
                dropsToSend.append(id)
                continue
            }
            let write = ShardWrite(key: drop.key, operation: .dropCollection(name: drop.name))
            sendEverywhere(write, index: index)
        }
        storeDrops()
    }

    /// Nothing was sent: the drops that wait fail whole.
    ///
    /// Whatever else changed is stored later.
    mutating func dropsNotStored(reason: String) {
        storingDrops = nil
        let text = "the note of unfinished drops cannot be stored: \(reason)"
        out.append(.log(text))
        let waiting = dropsToSend
        dropsToSend = []
        for id in waiting {
            guard let index = pending.index(of: id) else { continue }
            pending[index].refuse(OmenError(.ioFailure, "\(text); nothing was dropped"))
            finishIfComplete(index)
        }
    }
}
