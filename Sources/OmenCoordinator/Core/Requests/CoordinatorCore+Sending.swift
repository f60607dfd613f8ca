internal import OmenCore
internal import OmenWire

/// Sending to workers: at once, or when it is the client's turn, and only while there is room.
extension CoordinatorCore {
    /// Sends each shard its part of the write at `index`.
    mutating func sendParts(_ parts: [WritePart], index: Int) {
        for part in parts {
            pending[index].parts.expect(part.shard)
            send(
                .shardWrite(part.write),
                id: pending[index].id,
                byteCount: part.write.chargedByteCount,
                to: part.shard
            )
        }
    }

    /// Sends a write to every shard that the request at `index` waits for.
    mutating func sendEverywhere(_ write: ShardWrite, index: Int) {
        for shard in pending[index].parts.awaited {
            send(
                .shardWrite(write),
                id: pending[index].id,
                byteCount: write.chargedByteCount,
                to: shard
            )
        }
    }

    /// Sends one shard its part; the caller has checked that the worker is ready.
    mutating func send(_ message: Message, id: UInt64, byteCount: Int, to shard: Int) {
        send(message, id: id, byteCount: byteCount, to: directory.replica(serving: shard))
    }

    /// Sends a worker a message and charges it with that.
    mutating func send(_ message: Message, id: UInt64, byteCount: Int, to replica: ReplicaID) {
        workers[replica].load.charge(id, byteCount: byteCount, queryCount: 0, now: now)
        sendUncharged(Envelope(requestID: id, message: message), to: replica)
    }

    /// Sends a worker a message that was charged before, or counts for nothing.
    mutating func sendUncharged(_ envelope: Envelope, to replica: ReplicaID) {
        let incarnation = workers[replica].incarnation
        out.append(.sendToWorker(replica: replica, incarnation: incarnation, envelope))
    }

    /// Gives a shard its part of a read, now or when it is the client's turn.
    mutating func sendRead(_ message: Message, index: Int, byteCount: Int, to shard: Int) {
        let replica = directory.replica(serving: shard)
        let id = pending[index].id
        var queryCount = 0
        if case .shardSearch(let order) = message { queryCount = order.request.count }
        workers[replica].load.charge(id, byteCount: byteCount, queryCount: queryCount, now: now)
        let entry = ReadQueue.WaitingRead(id: id, message: message, cost: pending[index].byteCount)
        guard workers[replica].load.reads.count == 0, workers[replica].load.takesReads else {
            let client = pending[index].requester?.client ?? 0
            return workers[replica].load.reads.append(entry, of: client)
        }
        send(entry, index: index, to: replica)
    }

    /// Sends a worker what waits for it, while it takes it.
    mutating func sendWaitingReads(_ replica: ReplicaID) {
        while workers[replica].load.takesReads, let entry = workers[replica].load.reads.next() {
            guard let index = pending.index(of: entry.id),
                pending[index].parts.awaited.contains(replica.shard)
            else {
                // Nobody waits for it any more: it costs nothing.
                workers[replica].load.cancel(entry.id)
                continue
            }
            send(entry, index: index, to: replica)
        }
    }

    /// Sends a worker a read that was charged before.
    private mutating func send(_ entry: ReadQueue.WaitingRead, index: Int, to replica: ReplicaID) {
        workers[replica].load.readSent(entry.id, now: now)
        var message = entry.message
        if case .shardSearch(let order) = message {
            // The worker's clock starts when it reads this; what it has not begun by then is
            // dropped.
            let left = pending.deadline(index) - min(now, pending.deadline(index))
            message = .shardSearch(order.answered(within: Self.milliseconds(left)))
        }
        sendUncharged(Envelope(requestID: entry.id, message: message), to: replica)
    }
}
