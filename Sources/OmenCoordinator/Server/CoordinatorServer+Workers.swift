internal import OmenCore
internal import OmenLoop
internal import OmenWire

/// One worker process and the connection to it.
final class WorkerPeer {
    /// The replica that it serves.
    let replica: ReplicaID
    /// The number of the process.
    let incarnation: UInt64
    /// The process.
    let process: ChildProcess
    /// Our end of the socket pair.
    let connection: StreamConnection
    /// Bytes that came and are no whole message yet.
    var decoder: FrameDecoder
    /// Joins replies that come in chunks: one at a time, for a worker ends a reply before it begins
    /// the next, and of little more than a frame, which bounds a shard's part of a reply.
    var chunks = ReplyAssembler(byteCountMax: 2 * Limits.frameBodyByteCountMax)
    /// Messages that leave at the end of the turn.
    var encoder: FrameEncoder
    /// It stands in the queue of peers with messages to send.
    var isUnflushed = false
    /// It will say nothing more, and the core knows.
    var hasEnded = false
    /// How the process ended, while its last bytes are not read.
    var exit: (status: Int64, signal: Int32)?

    /// A peer whose process was just started.
    ///
    /// - Parameters:
    ///   - replica: As the property.
    ///   - incarnation: As the property.
    ///   - scope: What the frames of both ends are about.
    ///   - process: As the property.
    ///   - connection: As the property.
    init(
        replica: ReplicaID,
        incarnation: UInt64,
        scope: FrameScope,
        process: ChildProcess,
        connection: StreamConnection
    ) {
        self.replica = replica
        self.incarnation = incarnation
        decoder = FrameDecoder(.between(scope))
        encoder = FrameEncoder(scope)
        self.process = process
        self.connection = connection
    }
}

extension CoordinatorServer {
    /// The peer of one process; nil when another runs, or none.
    func peer(_ replica: ReplicaID, _ incarnation: UInt64) -> WorkerPeer? {
        guard let peer = workers[replica], peer.incarnation == incarnation else { return nil }
        return peer
    }

    /// Starts a worker's process, and tells the core whether it runs.
    func spawn(_ replica: ReplicaID, _ incarnation: UInt64, acceptsLoss: Bool) {
        let scope = FrameScope(
            cluster: configuration.cluster,
            shard: UInt32(replica.shard),
            epoch: FrameScope.drawEpoch()
        )
        do throws(OmenError) {
            let launched = try configuration.launcher.launch(
                replica: replica,
                incarnation: incarnation,
                epoch: scope.epoch,
                acceptsLoss: acceptsLoss,
                on: loop,
                onExit: { [unowned self] status, signal in
                    guard let peer = self.peer(replica, incarnation) else { return }
                    exited(peer, status: status, signal: signal)
                }
            )
            let started = WorkerPeer(
                replica: replica,
                incarnation: incarnation,
                scope: scope,
                process: launched.process,
                connection: launched.connection
            )
            workers[replica] = started
            attach(started)
            let pid = UInt32(clamping: started.process.pid)
            feed(.workerSpawned(replica: replica, incarnation: incarnation, pid: pid))
        } catch {
            feed(
                .workerSpawnFailed(
                    replica: replica,
                    incarnation: incarnation,
                    reason: error.message
                )
            )
        }
    }

    /// Listens to a connection.
    private func attach(_ peer: WorkerPeer) {
        peer.connection.onBytes = { [unowned self, unowned peer] in read($0, from: peer) }
        peer.connection.onEnd = { [unowned self, unowned peer] in
            ended(peer, reason: "its connection ended")
        }
        // Keeps the peer until the connection has let go of it.
        peer.connection.onClose = { [unowned self] error in
            ended(peer, reason: error?.message ?? "its connection was closed")
        }
        peer.connection.startReading()
    }

    /// Gives the core every message that became whole.
    private func read(_ bytes: UnsafeRawBufferPointer, from peer: WorkerPeer) {
        do throws(OmenError) {
            try peer.decoder.take(bytes) { message throws(OmenError) in
                if message.kind == .hits, let hits = try NumberedHits(message) {
                    return feed(hits, requestID: message.requestID, from: peer)
                }
                guard let envelope = try peer.chunks.take(try message.decoded()) else { return }
                feed(
                    .workerMessage(replica: peer.replica, incarnation: peer.incarnation, envelope)
                )
            }
        } catch { ended(peer, reason: "\(error)", isExplained: true) }
    }

    /// Gives the core hits that are still in their frame.
    private func feed(_ hits: NumberedHits, requestID: UInt64, from peer: WorkerPeer) {
        // They are borrowed, so they must be handled before this returns. Bytes arrive from the
        // loop, never while an event is being handled.
        precondition(!isHandling, "hits arrived inside an event")
        feed(
            .workerHits(
                replica: peer.replica,
                incarnation: peer.incarnation,
                requestID: requestID,
                hits
            )
        )
    }

    /// Queues a message; a search that goes to several workers is encoded once.
    func send(_ envelope: Envelope, toWorker replica: ReplicaID, _ incarnation: UInt64) {
        guard let peer = peer(replica, incarnation), !peer.hasEnded else { return }
        if case .shardSearch(let order) = envelope.message {
            if encodedSearch?.requestID != envelope.requestID {
                encodedSearch = EncodedSearch(order, requestID: envelope.requestID)
            }
            guard let encodedSearch else { return }
            if encodedSearch.byteCount > Limits.sharedSearchByteCountMin {
                return sendShared(encodedSearch, to: peer)
            }
            peer.encoder.append(encodedSearch)
        } else {
            peer.encoder.append(envelope)
        }
        guard !peer.isUnflushed else { return }
        peer.isUnflushed = true
        unflushedWorkers.append(peer)
    }

    /// Queues a large search without a copy of its own.
    private func sendShared(_ search: EncodedSearch, to peer: WorkerPeer) {
        if sharedSearch?.requestID != search.requestID {
            sharedSearch = search.sealed()
        }
        flush(peer)
        guard let sharedSearch else { return }
        peer.connection.write(sharedSearch.header(peer.encoder.scope))
        peer.connection.write(sharedSearch.body)
    }

    /// Sends what is queued as one frame.
    func flush(_ peer: WorkerPeer) {
        peer.isUnflushed = false
        if !peer.encoder.isEmpty { peer.connection.write(peer.encoder.finish()) }
    }

    /// The worker will say nothing more.
    private func ended(_ peer: WorkerPeer, reason: String, isExplained: Bool = false) {
        guard !peer.hasEnded else { return }
        peer.hasEnded = true
        peer.connection.abort()
        // How a process has exited says more than that its connection ended.
        if peer.exit == nil || isExplained {
            feed(
                .workerConnectionLost(
                    replica: peer.replica,
                    incarnation: peer.incarnation,
                    reason: reason,
                    isExplained: isExplained
                )
            )
        }
        if let exit = peer.exit { reportExit(peer, exit) }
    }

    /// The process has ended; what it wrote before, such as why, may still be in the socket.
    private func exited(_ peer: WorkerPeer, status: Int64, signal: Int32) {
        peer.exit = (status, signal)
        guard !peer.hasEnded else { return reportExit(peer, (status, signal)) }
        loop.timer(after: Limits.lastWordsTimeout) { [unowned self] in
            ended(peer, reason: "its connection did not end")
        }
    }

    /// Tells the core that a process ended.
    private func reportExit(_ peer: WorkerPeer, _ exit: (status: Int64, signal: Int32)) {
        feed(
            .workerExited(
                replica: peer.replica,
                incarnation: peer.incarnation,
                status: exit.status,
                signal: exit.signal
            )
        )
    }
}
