internal import OmenSystem
internal import OmenCore
internal import OmenLoop
internal import OmenWire

/// Reading from clients: frames become whole, and their messages are handled in turns.
///
/// A client is read from while its frame is not whole and has memory, and handled a slice at a
/// time, so that nobody waits for a client that has sent a lot.
extension CoordinatorServer {
    /// Takes bytes as they came; they are handled in the client's turn.
    ///
    /// - Parameters:
    ///   - bytes: Borrowed for the call.
    ///   - id: The client; nothing happens when it has gone.
    func read(_ bytes: UnsafeRawBufferPointer, from id: UInt64) {
        guard let peer = clients[id] else { return }
        if peer.decoder.bufferedByteCount == 0 { peer.idleNanoseconds = 0 }
        peer.silentNanoseconds = 0
        peer.decoder.append(bytes)
        // The loop would go on reading while there is more.
        peer.connection.readByteCountMax -= bytes.count
        if peer.connection.readByteCountMax <= 0 { pause(peer) }
        schedule(peer)
    }

    /// A client has ended its half of the connection; what it has sent is still handled.
    func ended(_ id: UInt64) {
        guard let peer = clients[id] else { return }
        peer.hasEnded = true
        schedule(peer)
    }

    /// Puts a client into the queue of those whose messages are to be looked at.
    func schedule(_ peer: ClientPeer) {
        guard !peer.isQueued, !peer.isDeferred else { return }
        peer.isQueued = true
        turnQueue.append(peer)
        loop.beginNextTurnAtOnce()
    }

    /// Takes nothing more of a client from the system, until that is begun again.
    private func pause(_ peer: ClientPeer) {
        peer.isReading = false
        peer.connection.pauseReading()
    }

    /// Handles what is there, client by client, for a bounded time; the rest waits for the next
    /// turn, in which it has been read from and written to everybody again.
    func handleQueuedClients() {
        guard !turnQueue.isEmpty else { return }
        let end = loop.now + Limits.turnTime.nanoseconds
        var next = 0
        repeat {
            let peer = turnQueue[next]
            next += 1
            peer.isQueued = false
            guard clients[peer.id] === peer else { continue }
            do throws(OmenError) {
                try handleSlice(of: peer)
            } catch { refuse(peer, error) }
        } while next < turnQueue.count && loop.now < end
        turnQueue.removeFirst(next)
        if !turnQueue.isEmpty { loop.beginNextTurnAtOnce() }
    }

    /// Handles some of a client's messages, then decides whether it is read from.
    ///
    /// - Throws: What is wrong with its bytes; the connection is closed then.
    private func handleSlice(of peer: ClientPeer) throws(OmenError) {
        var byteCount = 0
        var content = try peer.decoder.look()
        for _ in 0..<Limits.sliceMessageCount {
            guard case .message(let size) = content else { break }
            guard mayHandle(peer, byteCount: size) else {
                peer.isDeferred = true
                return pause(peer)
            }
            let envelope = try peer.decoder.takeMessage()
            peer.idleNanoseconds = 0
            peer.hasSentMessages = true
            feed(.clientMessage(client: peer.id, envelope))
            guard clients[peer.id] === peer else { return }
            noteReplies(of: peer)
            content = try peer.decoder.look()
            byteCount += size
            if byteCount >= Limits.sliceByteCount { break }
        }
        if case .message = content {
            pause(peer)
            schedule(peer)
        } else {
            try goOnReading(peer, behind: content)
        }
    }

    /// Reads on, once the memory for that is granted; every message that was there is handled, and
    /// `content` is what is behind them.
    private func goOnReading(
        _ peer: ClientPeer,
        behind content: FrameDecoder.Content
    ) throws(OmenError) {
        guard !peer.hasEnded else {
            frames.release(peer.id)
            resumeWaiting()
            // Answers of requests in flight still go out to a client that has only ended its half.
            return feed(.clientEnded(client: peer.id))
        }
        peer.decoder.compact()
        let held = peer.decoder.bufferedByteCount
        var granted = Limits.connectionByteCount
        var frameByteCount = 0
        if case .unfinished(let byteCount?) = content, byteCount > granted {
            frameByteCount = byteCount
            granted = max(granted, peer.grantedByteCount)
            if held == granted { granted = FrameLedger.step(granted: granted, of: byteCount) }
        }
        let wasContended = frames.isContended
        let isGranted = frames.grant(
            peer.id,
            granted,
            of: frameByteCount,
            isProven: peer.hasSentMessages
        )
        guard isGranted else { return pause(peer) }
        if granted != peer.grantedByteCount {
            if granted > peer.grantedByteCount { peer.decoder.reserve(granted) }
            peer.grantedByteCount = granted
            if wasContended { resumeWaiting() }
        }
        peer.connection.readByteCountMax = granted - held
        guard !peer.isReading else { return }
        peer.isReading = true
        peer.connection.startReading()
    }

    /// Gives clients that wait for memory for their frames what has become free.
    private func resumeWaiting() {
        for id in frames.waiting {
            guard let peer = clients[id] else { continue }
            schedule(peer)
        }
    }

    /// Gives back the memory for a client's frames, and lets clients that waited for it go on.
    func forgetFrames(of id: UInt64) {
        frames.release(id)
        resumeWaiting()
    }

    /// Ends connections that keep memory and do not move on.
    ///
    /// Counts what this process has seen pass, so that nobody is blamed for its own pauses.
    func endIdleClients() {
        let passed = min(loop.now - lastIdleCheckAt, 2 * Limits.tickInterval.nanoseconds)
        lastIdleCheckAt = loop.now
        for peer in Array(clients.values) + Array(closingClients.values) {
            let waiting = peer.replyByteCount
            let takes = waiting < peer.waitingByteCount
            peer.waitingByteCount = waiting
            let isClosing = clients[peer.id] == nil
            if peer.isDeferred || isClosing {
                // One that waits for its own requests is not idle.
                peer.idleNanoseconds = waiting == 0 || takes ? 0 : peer.idleNanoseconds + passed
                endIfStalled(peer)
                reconsider(peer)
            } else if peer.isReading, peer.decoder.bufferedByteCount > 0 {
                peer.idleNanoseconds += passed
                peer.silentNanoseconds += passed
                endIfUnfinished(peer)
            }
        }
        noteClosingReplies()
    }

    /// Whether others wait for the memory that a client keeps for what it has sent.
    private func isCrowding(_ peer: ClientPeer) -> Bool {
        frames.isContended && peer.grantedByteCount > Limits.connectionByteCount
    }

    /// Closes the connection of a client that takes none of its answers.
    private func endIfStalled(_ peer: ClientPeer) {
        let isCrowding = isCrowding(peer) || isMemoryContended
        let limit = isCrowding ? Limits.contendedTimeout : Limits.stalledClientTimeout
        guard peer.idleNanoseconds >= limit.nanoseconds else { return }
        LogLine.write("coordinator", "client \(peer.id) reads nothing, disconnected")
        peer.connection.abort()
    }

    /// Closes the connection of a client whose frame does not become whole, and tells it so.
    private func endIfUnfinished(_ peer: ClientPeer) {
        let isCrowding = isCrowding(peer)
        let isSilent = peer.silentNanoseconds >= Limits.contendedSilence.nanoseconds
        var limit = configuration.core.timing.frameTimeout
        if isCrowding { limit = min(limit, Limits.contendedTimeout.nanoseconds) }
        guard peer.idleNanoseconds >= limit || (isCrowding && isSilent) else { return }
        let reason = isCrowding ? ", while others wait for the memory it takes" : ""
        let error = OmenError(
            isCrowding ? .resourceExhausted : .protocolViolation,
            "a frame did not become whole within \(limit / 1_000_000) ms\(reason): \(peer.decoder.bufferedByteCount) bytes of it arrived"
        )
        LogLine.write("coordinator", "client \(peer.id) disconnected: \(error.message)")
        refuse(peer, error)
    }
}
