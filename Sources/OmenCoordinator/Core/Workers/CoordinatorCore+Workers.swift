internal import OmenCore
internal import OmenWire

/// What workers say: announcements, and answers to what they were asked.
extension CoordinatorCore {
    /// A worker said something.
    mutating func heard(_ envelope: Envelope, from shard: UInt32, incarnation: UInt64) {
        guard let shard = listen(to: shard, incarnation) else { return ignoreAnswer() }
        if case .announcement(let announcement) = envelope.message {
            announced(announcement, shard: shard)
        } else {
            heard(.message(envelope.message), to: envelope.requestID, from: shard)
        }
    }

    /// A worker answered something.
    mutating func heard(_ answer: WorkerAnswer, to requestID: UInt64, from shard: Int) {
        if workers[shard].session?.pingID == requestID {
            return workers[shard].update { $0.pingID = nil }
        }
        guard workers[shard].load.settle(requestID, now: now) else { return ignoreAnswer() }
        defer { sendWaitingReads(shard) }
        if requestID & Self.internalIDBit != 0 {
            internalAnswered(answer.message, to: requestID, shard: shard)
        } else if let index = pending.index(of: requestID),
            pending[index].parts.awaited.contains(shard)
        {
            answered(answer, index: index, shard: shard)
        } else {
            // Its request ended at the deadline.
            ignoreAnswer()
        }
    }

    /// Counts an answer that nobody waited for.
    mutating func ignoreAnswer() { ignoredReplies += 1 }

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

    /// A worker told how far it has come.
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
