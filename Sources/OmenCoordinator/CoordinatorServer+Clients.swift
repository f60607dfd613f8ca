internal import OmenCore
internal import OmenLoop
internal import OmenWire

/// A client's connection with what was read of it and what it is still to be sent.
final class ClientPeer {
    let id: UInt64
    let connection: StreamConnection
    var decoder = FrameDecoder()
    var encoder = FrameEncoder()
    var isUnflushed = false
    /// Since when it has been paused without taking a byte, and what was queued then.
    var paused: (since: UInt64, queuedByteCount: Int)?

    init(id: UInt64, connection: StreamConnection) {
        self.id = id
        self.connection = connection
    }
}

extension CoordinatorServer {
    func attach(_ peer: ClientPeer) {
        let id = peer.id
        peer.connection.onBytes = { [unowned self] bytes in read(bytes, from: id) }
        // Answers of requests in flight still go out to a client that has only ended its half.
        peer.connection.onEnd = { [unowned self] in feed(.clientEnded(client: id)) }
        peer.connection.onDrain = { [unowned self] in resume(id) }
        peer.connection.onClose = { [unowned self] _ in
            if clients.removeValue(forKey: id) != nil {
                feed(.clientClosed(client: id))
            } else {
                closingClientCount -= 1
            }
            stopWhenAlone()
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer, from id: UInt64) {
        guard let peer = clients[id] else { return }
        peer.decoder.append(bytes)
        do throws(OmenError) {
            while let envelopes = try peer.decoder.next() {
                for envelope in envelopes { feed(.clientMessage(client: id, envelope)) }
            }
        } catch {
            feed(.clientClosed(client: id))
            send(Envelope(requestID: 0, message: .failure(error)), toClient: id)
            closeClient(id)
        }
    }

    func send(_ envelope: Envelope, toClient id: UInt64) {
        guard let peer = clients[id] else { return }
        peer.encoder.append(envelope)
        guard !peer.isUnflushed else { return }
        peer.isUnflushed = true
        unflushedClients.append(peer)
    }

    /// Closes after what is queued; the connection counts as closing until the peer took it.
    func closeClient(_ id: UInt64) {
        guard let peer = clients.removeValue(forKey: id) else { return }
        closingClientCount += 1
        flush(peer)
        peer.connection.close()
        let connection = peer.connection
        loop.timer(after: Limits.stalledClientTimeout) { connection.abort() }
    }

    /// One frame, where one is enough, to every peer that something waits for.
    func flush() {
        let (clients, workers) = (unflushedClients, unflushedWorkers)
        unflushedClients = []
        unflushedWorkers = []
        for peer in clients { flush(peer) }
        for peer in workers { flush(peer) }
    }

    private func flush(_ peer: ClientPeer) {
        peer.isUnflushed = false
        guard !peer.encoder.isEmpty else { return }
        peer.connection.write(peer.encoder.finish())
        let queued = peer.connection.queuedByteCount
        guard queued > Limits.peerQueueByteCountMax, peer.paused == nil else { return }
        // It takes no more requests until it has taken its answers.
        peer.paused = (loop.now, queued)
        peer.connection.pauseReading()
    }

    private func resume(_ id: UInt64) {
        guard let peer = clients[id], peer.paused != nil else { return }
        peer.paused = nil
        peer.connection.startReading()
    }

    /// Disconnects clients that have not taken a byte for long.
    func dropStalledClients() {
        let limit = Limits.stalledClientTimeout.nanoseconds
        for peer in clients.values {
            guard let paused = peer.paused else { continue }
            let queued = peer.connection.queuedByteCount
            if queued < paused.queuedByteCount {
                peer.paused = (loop.now, queued)
            } else if loop.now - paused.since >= limit {
                LogLine.write("coordinator", "client \(peer.id) reads nothing, disconnected")
                peer.connection.abort()
            }
        }
    }
}
