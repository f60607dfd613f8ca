internal import OmenCore
internal import OmenWire

/// What workers say: announcements, and answers to what they were asked.
extension CoordinatorCore {
    /// A worker said something.
    mutating func heard(_ envelope: Envelope, from replica: ReplicaID, incarnation: UInt64) {
        guard listen(to: replica, incarnation) else { return ignoreAnswer() }
        if case .announcement(let announcement) = envelope.message {
            announced(announcement, by: replica)
        } else {
            heard(.message(envelope.message), to: envelope.requestID, from: replica)
        }
    }

    /// A worker answered something.
    mutating func heard(_ answer: WorkerAnswer, to requestID: UInt64, from replica: ReplicaID) {
        guard !workers[replica].takePong(requestID) else { return }
        guard workers[replica].load.settle(requestID, now: now) else { return ignoreAnswer() }
        defer { sendWaitingReads(replica) }
        if requestID & Self.internalIDBit != 0 {
            internalAnswered(answer.message, to: requestID, by: replica)
        } else if let index = pending.index(of: requestID),
            pending[index].parts.awaited.contains(replica.shard)
        {
            answered(answer, index: index, replica: replica)
        } else {
            // Its request ended at the deadline.
            ignoreAnswer()
        }
    }

    /// Counts an answer that nobody waited for.
    mutating func ignoreAnswer() { ignoredReplies += 1 }

    /// Whether what a worker says counts.
    mutating func listen(to replica: ReplicaID, _ incarnation: UInt64) -> Bool {
        workers.contains(replica) && workers[replica].hear(incarnation, now: now)
    }

    /// Whether an event is of the process that a worker has now.
    func isCurrent(_ replica: ReplicaID, _ incarnation: UInt64) -> Bool {
        workers.contains(replica) && workers[replica].incarnation == incarnation
            && workers[replica].life.hasProcess
    }

    /// A worker told how far it has come.
    private mutating func announced(_ announcement: WorkerAnnouncement, by replica: ReplicaID) {
        guard announcement.shard == UInt32(replica.shard),
            announcement.incarnation == workers[replica].incarnation
        else {
            giveUp(
                replica,
                reason:
                    "the worker calls itself shard \(announcement.shard) incarnation \(announcement.incarnation), expected \(replica.shard) incarnation \(workers[replica].incarnation)"
            )
            return
        }
        switch announcement.state {
        case .recovering:
            workers[replica].update {
                if $0.standing == .spawning { $0.standing = .recovering }
            }
        case .ready: announcedReady(announcement, by: replica)
        case .quarantined: quarantine(replica, reason: announcement.reason)
        // It could not open the shard, for a reason that may go away: it is started again.
        case .failed: giveUp(replica, reason: announcement.reason)
        case .spawning, .draining, .dead, .backoff:
            out.append(
                .log("shard \(replica.shard) announced \(announcement.state), which says nothing")
            )
        }
    }

    /// Takes a shard out of service because of its files; only an operator starts it again.
    mutating func quarantine(_ replica: ReplicaID, reason: String) {
        let reason = reason.isEmpty ? "its files are damaged" : reason
        giveUp(replica, reason: reason, cause: .quarantined)
    }
}
