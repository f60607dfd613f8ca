internal import OmenCore
internal import OmenWire

/// What the cluster's manifest knows of the shards: a shard is served only after the manifest says
/// that it has begun, so that its files can never be missed without notice.
extension CoordinatorCore {
    /// A worker is ready, or has come further since.
    mutating func announcedReady(_ announcement: WorkerAnnouncement, by replica: ReplicaID) {
        let reached = announcement.progress
        guard let session = workers[replica].session else { return }
        switch session.standing {
        case .spawning, .recovering, .unserved:
            guard isPlausible(reached, of: replica, session) else {
                let reason =
                    "the shard is ready with \(reached.description), the cluster knows of \(storedDirectory[progress: replica].description) of it"
                return quarantine(replica, reason: reason)
            }
            workers[replica].update { $0.standing = .unserved(announcement.collections) }
            directory[progress: replica] = reached
            serveKnown()
        case .serving, .draining:
            guard directory[progress: replica].isContinued(by: reached) else { return }
            directory[progress: replica] = reached
        }
        storeDirectory()
    }

    /// Whether a shard that has opened can be what the cluster remembers; its worker has compared
    /// the files, and this holds whatever the worker did.
    private func isPlausible(
        _ reached: ShardProgress,
        of replica: ReplicaID,
        _ session: WorkerSession
    ) -> Bool {
        guard reached.hasBegun else { return false }
        if session.acceptsLoss || !storedDirectory[progress: replica].hasBegun { return true }
        return storedDirectory[progress: replica].isContinued(by: reached)
    }

    /// Lets the ready shards serve whose history the manifest knows.
    private mutating func serveKnown() {
        for replica in workers.ids
        where storedDirectory[progress: replica].history == directory[progress: replica].history {
            guard case .unserved(let collections) = workers[replica].session?.standing else {
                continue
            }
            becameReady(replica, collections)
        }
    }

    /// A shard serves from now on.
    private mutating func becameReady(_ replica: ReplicaID, _ collections: [CollectionInfo]) {
        let now = now
        workers[replica].update { $0.standing = .serving(since: now) }
        ready.insert(replica.shard)
        out.append(.log("shard \(replica.shard) is ready, \(collections.count) collections"))
        learn(collections, from: replica)
        // Before any request, so that what it lacks is there when it is asked.
        reconcile()
    }

    /// Has what changed stored, unless that is under way already.
    mutating func storeDirectory() {
        guard storingDirectory == nil, directory != storedDirectory else { return }
        storingDirectory = directory
        out.append(.storeDirectory(directory))
    }

    /// The directory that was given to be stored is durable.
    mutating func directoryStored() {
        guard let stored = storingDirectory else { return }
        storedDirectory = stored
        storingDirectory = nil
        serveKnown()
        storeDirectory()
    }

    /// The directory could not be stored.
    ///
    /// A shard that waits to be served is started again later; what a serving shard has reached
    /// beyond the manifest is stored with the next change.
    mutating func directoryNotStored(reason: String) {
        storingDirectory = nil
        out.append(.log("the cluster's manifest cannot be stored: \(reason)"))
        directory = storedDirectory
        for replica in workers.ids {
            guard case .unserved = workers[replica].session?.standing else { continue }
            giveUp(replica, reason: "the cluster's manifest cannot be stored: \(reason)")
        }
    }

    /// Starts a shard that is out of service with what is left of its files.
    ///
    /// - Throws: `.badRequest` for a shard that there is not, or that needs no such thing;
    ///   `.unavailable` while its last process still ends.
    mutating func acceptLoss(_ number: UInt32) throws(OmenError) {
        try checkRunning()
        guard let shard = Int(exactly: number), directory.shards.contains(shard) else {
            throw OmenError(
                .badRequest,
                "shard \(number), the cluster has shards 0...\(directory.shardCount - 1)"
            )
        }
        let replica = directory.replica(serving: shard)
        let state = workers[replica].state
        guard state == .quarantined || state == .failed else {
            throw OmenError(
                .badRequest,
                "shard \(shard) is \(state); a loss can be accepted of a shard that is quarantined or failed"
            )
        }
        guard !workers[replica].life.hasProcess else {
            throw OmenError(.unavailable, "the last worker of shard \(shard) has not ended yet")
        }
        out.append(.log("shard \(shard): an operator accepts the loss of what cannot be read"))
        workers[replica].forgive()
        spawn(replica, acceptingLoss: true)
    }
}
