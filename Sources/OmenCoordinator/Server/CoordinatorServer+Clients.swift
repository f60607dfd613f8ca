internal import OmenCore
internal import OmenLoop
internal import OmenWire

/// A client's connection with what was read of it and what it is still to be sent.
final class ClientPeer {
    /// Number of the client, counted from the coordinator's start.
    let id: UInt64
    /// Our end of its connection.
    let connection: StreamConnection
    /// Bytes that came and were not handled yet.
    var decoder: FrameDecoder
    /// Answers that leave at the end of the turn.
    var encoder: FrameEncoder
    /// It stands in the queue of clients with answers to send.
    var isUnflushed = false
    /// It has messages to handle and stands in the queue for that.
    var isQueued = false
    /// It has messages to handle and uses too much memory for that.
    var isDeferred = false
    /// Bytes that it sends are taken from the system.
    var isReading = false
    /// Bytes that its decoder may hold.
    var grantedByteCount = Limits.connectionByteCount
    /// It sends nothing more; what it has sent is still handled.
    var hasEnded = false
    /// How long it has kept memory without moving on: since its frame began, since it last took a
    /// byte of its answers, or since its last message was handled.
    var idleNanoseconds: UInt64 = 0
    /// How long nothing came, while a frame was not whole.
    var silentNanoseconds: UInt64 = 0
    /// It has sent frames that became whole.
    var hasSentMessages = false
    /// Bytes of answers that waited when that was last looked at.
    var waitingByteCount = 0

    /// A client that has just connected, and is not read from yet.
    ///
    /// - Parameters:
    ///   - id: As the property.
    ///   - cluster: The coordinator's cluster, which frames name.
    ///   - connection: As the property.
    init(id: UInt64, cluster: ClusterUUID, connection: StreamConnection) {
        self.id = id
        decoder = FrameDecoder(
            .fromClient(of: cluster),
            keptByteCount: Limits.connectionByteCount
        )
        encoder = FrameEncoder(.clients(of: cluster))
        self.connection = connection
        connection.readByteCountMax = Limits.connectionByteCount
    }

    /// Bytes of answers that it has not taken.
    var replyByteCount: Int { encoder.byteCount + connection.queuedByteCount }
}

extension CoordinatorServer {
    /// Listens to a connection; reading begins apart from that.
    func attach(_ peer: ClientPeer) {
        let id = peer.id
        peer.connection.onBytes = { [unowned self] bytes in read(bytes, from: id) }
        peer.connection.onEnd = { [unowned self] in ended(id) }
        peer.connection.onProgress = { [unowned self] in repliesMoved(id) }
        peer.connection.onDrain = { [unowned self] in repliesMoved(id) }
        peer.connection.onClose = { [unowned self] _ in
            forgetFrames(of: id)
            if clients.removeValue(forKey: id) != nil {
                feed(.clientClosed(client: id))
            } else {
                closingClients[id] = nil
                noteClosingReplies()
            }
            stopWhenAlone()
        }
    }

    /// Queues an answer; it leaves at the end of the turn, with all others of the client.
    ///
    /// - Parameters:
    ///   - envelope: The answer.
    ///   - id: The client; nothing happens when it has gone.
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
        forgetFrames(of: id)
        peer.decoder = FrameDecoder(.fromClient(of: configuration.cluster))
        peer.idleNanoseconds = 0
        closingClients[id] = peer
        flush(peer)
        peer.connection.close()
        noteClosingReplies()
    }

    /// What goes out to connections that end takes memory like all answers.
    func noteClosingReplies() {
        noteClosing(byteCount: closingClients.values.reduce(0) { $0 + $1.replyByteCount })
    }

    /// Says why, and closes.
    func refuse(_ peer: ClientPeer, _ error: OmenError) {
        feed(.clientClosed(client: peer.id))
        send(Envelope(requestID: 0, message: .failure(error)), toClient: peer.id)
        let hasManyReplies = peer.replyByteCount > Limits.connectionByteCount
        closeClient(peer.id)
        // It would have to take those first, and has shown that it does not mean well.
        if hasManyReplies { peer.connection.abort() }
    }

    /// One frame, where one is enough, to every peer that something waits for.
    func flush() {
        let (clients, workers) = (unflushedClients, unflushedWorkers)
        unflushedClients = []
        unflushedWorkers = []
        for peer in clients { flush(peer) }
        for peer in workers { flush(peer) }
    }

    /// Sends a client what is queued for it.
    private func flush(_ peer: ClientPeer) {
        peer.isUnflushed = false
        guard !peer.encoder.isEmpty else { return }
        peer.connection.write(peer.encoder.finish())
        // A request of its own is done.
        reconsider(peer)
    }

    /// The client has taken some of its answers.
    private func repliesMoved(_ id: UInt64) {
        guard let peer = clients[id] else { return }
        reconsider(peer)
    }

    /// Handles a client's messages again, if that was put off.
    func reconsider(_ peer: ClientPeer) {
        noteReplies(of: peer)
        guard peer.isDeferred else { return }
        peer.isDeferred = false
        schedule(peer)
    }
}
