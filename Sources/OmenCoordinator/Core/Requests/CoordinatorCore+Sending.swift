internal import OmenCore
internal import OmenWire

/// Sending to workers: at once, or when it is the client's turn, and only while there is room.
extension CoordinatorCore {
    /// Sends one shard its part; the caller has checked that the worker is ready.
    mutating func send(_ message: Message, id: UInt64, byteCount: Int, to shard: Int) {
        workers[shard].load.charge(id, byteCount: byteCount, queryCount: 0, now: now)
        sendUncharged(Envelope(requestID: id, message: message), to: shard)
    }

    /// Sends a worker a message that was charged before, or counts for nothing.
    mutating func sendUncharged(_ envelope: Envelope, to shard: Int) {
        let incarnation = workers[shard].incarnation
        out.append(.sendToWorker(shard: UInt32(shard), incarnation: incarnation, envelope))
    }

    /// Gives a shard its part of a read, now or when it is the client's turn.
    mutating func sendRead(_ message: Message, index: Int, byteCount: Int, to shard: Int) {
        let id = pending[index].id
        var queryCount = 0
        if case .search(let query) = message { queryCount = query.count }
        workers[shard].load.charge(id, byteCount: byteCount, queryCount: queryCount, now: now)
        let entry = ReadQueue.Entry(id: id, message: message, cost: pending[index].byteCount)
        guard workers[shard].load.reads.count == 0, workers[shard].load.takesReads else {
            return workers[shard].load.reads.append(
                entry,
                of: pending[index].requester?.client ?? 0
            )
        }
        send(entry, index: index, to: shard)
    }

    /// Sends a shard what waits for it, while it takes it.
    mutating func sendWaitingReads(_ shard: Int) {
        while workers[shard].load.takesReads, let entry = workers[shard].load.reads.next() {
            guard let index = pending.index(of: entry.id),
                pending[index].parts.awaited.contains(shard)
            else {
                // Nobody waits for it any more: it costs nothing.
                workers[shard].load.cancel(entry.id)
                continue
            }
            send(entry, index: index, to: shard)
        }
    }

    private mutating func send(_ entry: ReadQueue.Entry, index: Int, to shard: Int) {
        workers[shard].load.readSent(entry.id, now: now)
        var message = entry.message
        if case .search(var query) = message {
            // The worker's clock starts when it reads this; what it has not begun by then is
            // dropped.
            let left = pending.deadline(index) - min(now, pending.deadline(index))
            query.timeoutMilliseconds = UInt32(clamping: max(1, left / 1_000_000))
            message = .search(query)
        }
        sendUncharged(Envelope(requestID: entry.id, message: message), to: shard)
    }

    /// Whether `byteCount` more may be sent to a worker now; reads (`forRead`) leave an eighth of
    /// the places to writes.
    func hasRoom(_ shard: Int, byteCount: Int, forRead: Bool = false) -> Bool {
        let limit = Limits.workerRequestsInFlightMax
        guard workers[shard].load.requestsInFlight < (forRead ? limit - limit / 8 : limit) else {
            return false
        }
        return workers[shard].load.bytesInFlight == 0
            || workers[shard].load.bytesInFlight + byteCount <= Limits.workerBytesInFlightMax
    }

    func overloaded(_ shard: Int) -> OmenError {
        OmenError(
            .resourceExhausted,
            "shard \(shard) has \(workers[shard].load.requestsInFlight) requests of \(workers[shard].load.bytesInFlight) bytes in flight, retry later",
            retryAfterMilliseconds: max(
                Limits.retryAfterMilliseconds,
                Self.retryAfter(workers[shard].load.searches.nanoseconds(forQueries: 1) / 4)
            )
        )
    }

    /// Why a shard cannot be asked now.
    func unavailable(_ shard: Int) -> OmenError {
        let worker = workers[shard]
        guard worker.state != .ready else {
            return OmenError(.unavailable, "shard \(shard) does not have the collection yet")
        }
        let reason = worker.lastError.isEmpty ? "" : ": \(worker.lastError)"
        return OmenError(.unavailable, "shard \(shard) is \(worker.state)\(reason)")
    }

    /// Makes sure that shards have room for their parts.
    ///
    /// - Throws: `.resourceExhausted` naming the first that has none.
    func checkRoom(for parts: [(shard: Int, byteCount: Int)]) throws(OmenError) {
        for part in parts where !hasRoom(part.shard, byteCount: part.byteCount) {
            throw overloaded(part.shard)
        }
    }
}
