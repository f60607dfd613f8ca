internal import OmenCore
internal import OmenWire

/// What workers say: announcements, and answers to what they were asked.
extension CoordinatorCore {
    mutating func heard(_ envelope: Envelope, from shard: UInt32, incarnation: UInt64) {
        guard let shard = listen(to: shard, incarnation) else {
            ignoredReplies += 1
            return
        }
        if case .announcement(let announcement) = envelope.message {
            announced(announcement, shard: shard)
            return
        }
        if workers[shard].session?.pingID == envelope.requestID {
            return workers[shard].update { $0.pingID = nil }
        }
        guard workers[shard].load.settle(envelope.requestID, now: now) else {
            ignoredReplies += 1
            return
        }
        defer { sendWaitingReads(shard) }
        if envelope.requestID & Self.internalIDBit != 0 {
            internalAnswered(envelope, shard: shard)
        } else if let index = pending.index(of: envelope.requestID),
            pending[index].awaited.contains(shard)
        {
            answered(envelope.message, index: index, shard: shard)
        } else {
            // Its request ended at the deadline.
            ignoredReplies += 1
        }
    }

    /// The shard's index, when what its worker says counts; then it lives, whatever it says: long
    /// replays announce their progress.
    mutating func listen(to shard: UInt32, _ incarnation: UInt64) -> Int? {
        guard let shard = current(shard, incarnation), workers[shard].session != nil else {
            return nil
        }
        let now = now
        workers[shard].update { $0.lastHeardAt = now }
        return shard
    }

    /// The shard's index, when the event is of its present incarnation.
    func current(_ shard: UInt32, _ incarnation: UInt64) -> Int? {
        guard let index = Int(exactly: shard), index < workers.count,
            workers[index].incarnation == incarnation, workers[index].life.hasProcess
        else { return nil }
        return index
    }

    mutating func answered(_ message: Message, index: Int, shard: Int) {
        switch pending[index].kind {
        case .drop(let name, let key):
            // It stays awaited until the shard has said what is left.
            guard !pending[index].answered.contains(shard) else { return }
            if let failure = writeFailure(message, shard: shard) {
                pending[index].failures.append(
                    ShardFailure(shard: UInt32(shard), error: failure)
                )
            } else if case .written(let reply) = message {
                pending[index].counts.add(reply.counts)
            }
            pending[index].answered.insert(shard)
            sendInternal(.list(name, key), to: shard, owner: pending[index].id)
            return
        case .write, .create, .get, .count, .list, .search, .status, .checkpoint: break
        }
        if let failure = take(message, index: index, shard: shard) {
            fail(index, shard: shard, failure)
        } else {
            pending[index].awaited.remove(shard)
            pending[index].answered.insert(shard)
        }
        finishIfComplete(index)
    }

    /// Keeps one shard's answer; returns why the shard's part is missing instead, if it is.
    private mutating func take(_ message: Message, index: Int, shard: Int) -> OmenError? {
        if case .failure(let error) = message {
            let isEmpty =
                error.code == .notFound && !pending[index].isWrite
                && pending[index].emptyIfMissing.contains(shard)
            return isEmpty ? nil : error
        }
        switch (pending[index].kind, message) {
        case (.write, .written(let reply)):
            pending[index].counts.add(reply.counts)
            return nil
        case (.get, .records(let reply)):
            let metadataByteCount = reply.records.reduce(0) { $0 + ($1.metadata?.count ?? 0) }
            learnMetadata(metadataByteCount, ofRecords: reply.records.count, about: index)
            guard keepsAnswer(reply.heldByteCount, of: index) else { return nil }
            pending[index].recordReplies.append((shard, reply))
            return nil
        case (.count, .counted(let reply)):
            pending[index].total = pending[index].total.saturatingAdd(reply.count)
            return nil
        case (.list, .listed(let reply)):
            guard keepsAnswer(RecordID.encodedByteCount(reply.ids), of: index) else { return nil }
            pending[index].page = reply
            return nil
        case (.search(let shape), .hits(let reply)):
            return accept(reply, shape: shape, at: index, shard: shard)
        case (.status, .shardStatus(let status)):
            pending[index].statuses.append((shard, status))
            return nil
        case (.checkpoint, .done): return nil
        case (.write, _), (.create, _), (.drop, _):
            // It did something, nobody knows what.
            return OmenError(.unknownOutcome, unexpected(message, from: shard).message)
        case (.get, _), (.count, _), (.list, _), (.search, _), (.status, _), (.checkpoint, _):
            return unexpected(message, from: shard)
        }
    }

    private mutating func announced(_ announcement: WorkerAnnouncement, shard: Int) {
        guard announcement.shard == UInt32(shard),
            announcement.incarnation == workers[shard].incarnation
        else {
            giveUp(
                shard,
                reason:
                    "the worker calls itself shard \(announcement.shard) incarnation \(announcement.incarnation), expected \(shard) incarnation \(workers[shard].incarnation)"
            )
            return
        }
        switch announcement.state {
        case .recovering:
            workers[shard].update {
                if $0.standing == .spawning { $0.standing = .recovering }
            }
        case .ready: announcedReady(announcement, shard: shard)
        case .quarantined: quarantine(shard, reason: announcement.reason)
        // It could not open the shard, for a reason that may go away: it is started again.
        case .failed: giveUp(shard, reason: announcement.reason)
        case .spawning, .draining, .dead, .backoff:
            out.append(.log("shard \(shard) announced \(announcement.state), which says nothing"))
        }
    }

    /// A shard serves from now on.
    mutating func becameReady(_ shard: Int, _ collections: [CollectionInfo]) {
        let now = now
        workers[shard].update { $0.standing = .serving(since: now) }
        ready.insert(shard)
        out.append(.log("shard \(shard) is ready, \(collections.count) collections"))
        learn(collections, from: shard)
        // Before any request, so that what it lacks is there when it is asked.
        reconcile()
    }

    /// Takes a shard out of service because of its files; only an operator starts it again.
    mutating func quarantine(_ shard: Int, reason: String) {
        let reason = reason.isEmpty ? "its files are damaged" : reason
        giveUp(shard, reason: reason, cause: .quarantined)
    }
}
