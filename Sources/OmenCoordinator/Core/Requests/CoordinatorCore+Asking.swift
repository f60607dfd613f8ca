internal import OmenCore
internal import OmenWire

/// Asking shards for their parts of a request, which is admitted first.
extension CoordinatorCore {
    /// Asks shards for their parts of a read; the parts of shards that do not serve are missing.
    ///
    /// - Parameters:
    ///   - messages: What each shard is asked.
    ///   - request: The request, of whose parts none is told yet.
    ///   - entry: The collection that it is about.
    ///   - timeout: How long it may take, in nanoseconds.
    /// - Throws: When no shard can be asked, with the reason, or one of them has no room.
    mutating func ask(
        _ messages: [(shard: Int, message: Message)],
        of request: PendingRequest,
        about entry: CatalogEntry,
        timeout: UInt64
    ) throws(OmenError) {
        var request = request
        for (shard, message) in messages {
            let byteCount = message.chargedByteCount
            try addPart(shard, to: &request, about: entry, byteCount: byteCount)
        }
        let index = try admitRead(request, timeout: timeout)
        for (shard, message) in messages where request.parts.awaited.contains(shard) {
            sendRead(message, index: index, byteCount: message.chargedByteCount, to: shard)
        }
    }

    /// Asks every shard the same; as `ask`, without a list of parts.
    ///
    /// - Parameters:
    ///   - message: What all shards are asked.
    ///   - byteCount: What each shard is charged with for it.
    ///   - request: As for `ask`.
    ///   - entry: As for `ask`.
    ///   - timeout: As for `ask`.
    /// - Throws: As `ask`.
    mutating func askAll(
        _ message: Message,
        byteCount: Int,
        of request: PendingRequest,
        about entry: CatalogEntry,
        timeout: UInt64
    ) throws(OmenError) {
        var request = request
        for shard in directory.shards {
            try addPart(shard, to: &request, about: entry, byteCount: byteCount)
        }
        let index = try admitRead(request, timeout: timeout)
        for shard in request.parts.awaited {
            sendRead(message, index: index, byteCount: byteCount, to: shard)
        }
    }

    /// Takes in a read whose parts are told, unless it is known already that it will fail.
    private mutating func admitRead(
        _ request: PendingRequest,
        timeout: UInt64
    ) throws(OmenError) -> Int {
        if let error = request.gather.failure(of: request.parts) { throw error }
        return try admit(request, deadline: now.saturatingAdd(timeout))
    }

    /// Notes a shard's part of a read: awaited, or missing when it cannot be asked now.
    ///
    /// - Throws: `.resourceExhausted` when the shard has no room. A client that asks again later
    ///   gets the whole answer; a partial one now would cost the other shards as much.
    private func addPart(
        _ shard: Int,
        to request: inout PendingRequest,
        about entry: CatalogEntry,
        byteCount: Int
    ) throws(OmenError) {
        guard entry.serving.contains(shard) else {
            return request.parts.miss(shard, unavailable(shard))
        }
        guard hasRoom(shard, byteCount: byteCount, forRead: true) else { throw overloaded(shard) }
        request.parts.expect(shard)
    }

    /// Sends the parts of shards that serve; the others' fail at once and are never re-routed.
    ///
    /// - Throws: `.resourceExhausted` where a shard has no room for its part, so that nothing is
    ///   applied by halves for want of memory; `.unavailable` when no shard can take its part.
    mutating func forward(
        _ parts: [WritePart],
        of request: PendingRequest,
        to serving: ShardSet
    ) throws(OmenError) {
        var request = request
        var sendable: [WritePart] = []
        for part in parts {
            if serving.contains(part.shard) {
                sendable.append(part)
            } else {
                request.parts.miss(part.shard, unavailable(part.shard))
            }
        }
        if sendable.isEmpty, let error = request.parts.commonFailure { throw error }
        try checkRoom(for: sendable.map { ($0.shard, $0.write.chargedByteCount) })
        let index = try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
        sendParts(sendable, index: index)
    }

    /// Takes in a request for a write that every shard is to do, and sends nothing yet.
    mutating func admitEverywhere(
        _ gather: Gather,
        of write: ShardWrite,
        for requester: Requester
    ) throws(OmenError) -> Int {
        let byteCount = write.chargedByteCount
        try checkAllReady("this needs all shards, nothing was changed")
        try checkRoom(for: directory.shards.map { (shard: $0, byteCount: byteCount) })
        let request = PendingRequest(
            requester,
            gather,
            parts: ShardParts(awaitingAllOf: directory.shardCount),
            byteCount: byteCount
        )
        return try admit(request, deadline: now.saturatingAdd(timing.writeTimeout))
    }
}
