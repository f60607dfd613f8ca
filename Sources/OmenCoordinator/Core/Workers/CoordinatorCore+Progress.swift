internal import OmenCore
internal import OmenWire

/// What the cluster's manifest knows of the shards: a shard is served only after the manifest says
/// that it has begun, so that its files can never be missed without notice.
extension CoordinatorCore {
    mutating func announcedReady(_ announcement: WorkerAnnouncement, shard: Int) {
        let reached = announcement.progress
        guard let session = workers[shard].session else { return }
        switch session.standing {
        case .spawning, .recovering, .unserved:
            guard isPlausible(reached, of: shard, session) else {
                let reason =
                    "the shard is ready with \(reached.description), the cluster knows of \(storedProgress[shard].description) of it"
                return quarantine(shard, reason: reason)
            }
            workers[shard].update { $0.standing = .unserved(announcement.collections) }
            progress[shard] = reached
            serveKnown()
        case .serving, .draining:
            guard progress[shard].isContinued(by: reached) else { return }
            progress[shard] = reached
        }
        storeProgress()
    }

    /// Whether a shard that has opened can be what the cluster remembers; its worker has compared
    /// the files, and this holds whatever the worker did.
    private func isPlausible(
        _ reached: ShardProgress,
        of shard: Int,
        _ session: WorkerSession
    ) -> Bool {
        guard reached.hasBegun else { return false }
        if session.acceptsLoss || !storedProgress[shard].hasBegun { return true }
        return storedProgress[shard].isContinued(by: reached)
    }

    /// Lets the ready shards serve whose history the manifest knows.
    private mutating func serveKnown() {
        for shard in workers.indices
        where storedProgress[shard].history == progress[shard].history {
            guard case .unserved(let collections) = workers[shard].session?.standing else {
                continue
            }
            becameReady(shard, collections)
        }
    }

    /// Has what changed stored, unless that is under way already.
    mutating func storeProgress() {
        guard storingProgress == nil, progress != storedProgress else { return }
        storingProgress = progress
        out.append(.storeProgress(progress))
    }

    mutating func progressStored() {
        guard let stored = storingProgress else { return }
        storedProgress = stored
        storingProgress = nil
        serveKnown()
        storeProgress()
    }

    /// A shard that waits to be served is started again later; what a serving shard has reached
    /// beyond the manifest is stored with the next change.
    mutating func progressNotStored(reason: String) {
        storingProgress = nil
        out.append(.log("the cluster's manifest cannot be stored: \(reason)"))
        progress = storedProgress
        for shard in workers.indices {
            guard case .unserved = workers[shard].session?.standing else { continue }
            giveUp(shard, reason: "the cluster's manifest cannot be stored: \(reason)")
        }
    }

    /// Starts a shard that is out of service with what is left of its files.
    ///
    /// - Throws: `.badRequest` for a shard that there is not, or that needs no such thing;
    ///   `.unavailable` while its last process still ends.
    mutating func acceptLoss(_ number: UInt32) throws(OmenError) {
        try checkRunning()
        guard let shard = Int(exactly: number), workers.indices.contains(shard) else {
            throw OmenError(
                .badRequest,
                "shard \(number), the cluster has shards 0...\(workers.count - 1)"
            )
        }
        let state = workers[shard].state
        guard state == .quarantined || state == .failed else {
            throw OmenError(
                .badRequest,
                "shard \(shard) is \(state); a loss can be accepted of a shard that is quarantined or failed"
            )
        }
        guard !workers[shard].life.hasProcess else {
            throw OmenError(.unavailable, "the last worker of shard \(shard) has not ended yet")
        }
        out.append(.log("shard \(shard): an operator accepts the loss of what cannot be read"))
        workers[shard].forgive()
        spawn(shard, acceptingLoss: true)
    }
}
