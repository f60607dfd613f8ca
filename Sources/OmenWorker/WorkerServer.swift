internal import Glibc
internal import OmenCore
internal import OmenLoop
package import OmenShard
internal import OmenWire

/// One worker process: a shard behind one socket to the coordinator.
///
/// Single-threaded over its shard; between requests it links waiting rows in slices short enough
/// that a search never waits long. It leaves when the coordinator does.
package final class WorkerServer {
    package struct Configuration: Sendable {
        package var shard: ShardEngine.Configuration
        /// Told by the coordinator at spawn, repeated in every announcement.
        package var incarnation: UInt64
        /// The connected socket inherited from the coordinator.
        package var descriptor: Int32

        package init(shard: ShardEngine.Configuration, incarnation: UInt64, descriptor: Int32) {
            self.shard = shard
            self.incarnation = incarnation
            self.descriptor = descriptor
        }
    }

    /// How a worker ends; the numbers are exit statuses.
    package enum Exit: Int32, Sendable {
        case stopped = 0
        /// The log failed or the coordinator broke the protocol: start again from disk.
        case failed = 1
        /// The files are damaged: starting again would not help (EX_DATAERR, sysexits.h).
        case quarantined = 65
        /// The shard could not be opened for another reason (EX_UNAVAILABLE).
        case unavailable = 69
    }

    /// Longest time one slice of linking may take before sockets are looked at again.
    static let linkSlice: UInt64 = 500_000
    /// Longest wait for the lock of a shard whose last worker was killed, in nanoseconds.
    static let lockPatience: UInt64 = 5_000_000_000
    /// Rows linked between two looks at the clock.
    static let linkStep = 4
    /// Marks of what is durable are written this long after the last sync, at most.
    static let markInterval = Duration.milliseconds(100)

    let configuration: Configuration
    let loop: EventLoop
    let engine: ShardEngine
    private let connection: StreamConnection
    private var decoder = FrameDecoder(requiresChecksum: true)
    private var encoder = FrameEncoder()
    private var linking: IdleWork?
    /// The request that asked to stop; its checkpoint carries the same ticket.
    private var stopRequest: UInt64?
    private var exit = Exit.failed

    /// Opens the shard, serves until told to stop or left alone, and returns how it ended.
    package static func run(_ configuration: Configuration) -> Exit {
        // A worker must not outlive its coordinator; EOF on the socket covers the rest.
        EventLoop.endWithParent()
        let who = "shard \(configuration.shard.shard)"
        let announcer = Announcer(configuration)
        do throws(OmenError) {
            let loop = try EventLoop()
            return try open(configuration, loop: loop, announcer: announcer).serve()
        } catch {
            LogLine.write(who, "cannot open: \(error)")
            guard error.code == .corrupt || error.code == .unsupportedVersion else {
                return .unavailable
            }
            announcer.send(.quarantined, reason: error.message)
            return .quarantined
        }
    }

    /// Opens the shard; a predecessor that is still dying gets a moment to let go of the lock.
    private static func open(
        _ configuration: Configuration,
        loop: EventLoop,
        announcer: Announcer
    ) throws(OmenError) -> WorkerServer {
        let deadline = loop.now + lockPatience
        while true {
            do throws(OmenError) {
                return try WorkerServer(configuration, loop: loop, announcer: announcer)
            } catch {
                guard error.code == .locked, loop.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    private init(
        _ configuration: Configuration,
        loop: EventLoop,
        announcer: Announcer
    ) throws(OmenError) {
        self.configuration = configuration
        self.loop = loop
        let relay = Relay()
        let wakeup = try loop.wakeup { relay.run() }
        engine = try ShardEngine(
            configuration.shard,
            progress: { replayed in announcer.send(.recovering, replayed: replayed) },
            wake: { wakeup.signal() }
        )
        connection = try loop.adopt(descriptor: configuration.descriptor)
        relay.body = { [unowned self] in self.engine.drainCompletions() }
    }

    /// Lets the wake-up be made before the engine that it serves.
    private final class Relay {
        var body: () -> Void = {}
        func run() { body() }
    }

    private func serve() -> Exit {
        engine.onOutcome = { [unowned self] outcome in self.handle(outcome) }
        connection.onBytes = { [unowned self] bytes in self.receive(bytes) }
        connection.onClose = { [unowned self] _ in self.coordinatorLeft() }
        linking = loop.idleWork { [unowned self] in self.linkSlice() }
        loop.onTurnEnd { [unowned self] in self.endTurn() }
        var interval = Self.markInterval
        if case .interval(let milliseconds) = configuration.shard.durability {
            interval = .milliseconds(milliseconds)
        }
        let timer = loop.timer(after: interval, repeating: interval) { [unowned self] in
            self.engine.syncDue()
        }
        connection.startReading()
        announceReady()
        loop.run()
        timer.cancel()
        engine.close()
        return exit
    }

    private func announceReady() {
        let shard = configuration.shard.shard
        send(
            0,
            .announcement(
                WorkerAnnouncement(
                    shard: shard,
                    incarnation: configuration.incarnation,
                    state: .ready,
                    collections: collectionInfos
                )
            )
        )
        LogLine.write(
            "shard \(shard)",
            "ready: kernels \(ShardEngine.kernelVariant), LSN \(engine.core.appliedLSN), replayed \(engine.replayedCount) records"
        )
    }

    private var collectionInfos: [CollectionInfo] {
        engine.store.ordered.map { CollectionInfo(name: $0.name, schema: $0.schema) }
    }
}

// MARK: - The loop's events

extension WorkerServer {
    private func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(OmenError) {
            decoder.append(bytes)
            while let envelopes = try decoder.next() {
                for envelope in envelopes { handle(envelope) }
            }
        } catch {
            // Peers of one build that disagree about bytes: nothing they say can be trusted.
            LogLine.write("shard \(configuration.shard.shard)", "\(error)")
            leave(.failed)
        }
    }

    private func coordinatorLeft() { leave(.stopped) }

    private func leave(_ how: Exit) {
        exit = how
        loop.stop()
    }

    /// Once per turn: one log batch and one frame carry all that came together.
    private func endTurn() {
        engine.turnEnded()
        if !encoder.isEmpty { connection.write(encoder.finish()) }
        if engine.store.hasRowsToLink { linking?.start() }
    }

    /// - Returns: Whether there is more to link.
    private func linkSlice() -> Bool {
        let start = monotonicNanoseconds()
        repeat {
            if engine.link(atMost: Self.linkStep) == 0 { return false }
        } while monotonicNanoseconds() - start < Self.linkSlice
        return true
    }

    private func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private func send(_ requestID: UInt64, _ message: Message) {
        encoder.append(Envelope(requestID: requestID, message: message))
    }

    private func handle(_ outcome: ShardEngine.Outcome) {
        switch outcome {
        case .written(let ticket, let counts):
            send(ticket, .written(WriteReply(counts: counts, coverage: Self.alone)))
        case .refused(let ticket, let error): send(ticket, .failure(error))
        case .checkpointed(let ticket, let error): finishCheckpoint(ticket, error)
        case .failed(let error):
            LogLine.write("shard \(configuration.shard.shard)", "stops: \(error)")
            // What was refused must still reach the coordinator.
            if !encoder.isEmpty { connection.write(encoder.finish()) }
            connection.close()
            leave(.failed)
        }
    }

    private func finishCheckpoint(_ ticket: UInt64, _ error: OmenError?) {
        send(ticket, error.map { .failure($0) } ?? .done)
        guard ticket == stopRequest else { return }
        // Everything acknowledged is in the log, with or without this checkpoint.
        connection.write(encoder.finish())
        connection.close()
        leave(.stopped)
    }
}

// MARK: - Requests

extension WorkerServer {
    /// A worker speaks for its own shard only.
    private static let alone = Coverage(shardsTotal: 1)

    private func handle(_ envelope: Envelope) {
        let id = envelope.requestID
        switch envelope.message {
        case .write(let request): engine.write(request, ticket: id)
        case .search(let query): answer(id) { () throws(OmenError) in try search(query) }
        case .get(let request): answer(id) { () throws(OmenError) in try get(request) }
        case .count(let collection):
            answer(id) { () throws(OmenError) in
                let count = try engine.store.collection(collection).vectorCount
                return .counted(CountReply(count: UInt64(count), coverage: Self.alone))
            }
        case .listCollections: send(id, .collections(collectionInfos))
        case .status: answer(id) { () throws(OmenError) in .shardStatus(try status()) }
        case .checkpoint: engine.checkpoint(ticket: id)
        case .ping: send(id, .done)
        case .stop:
            stopRequest = id
            engine.checkpoint(ticket: id)
        case .failure(let error):
            // A request whose values the decoder refused; this is its answer.
            send(id, .failure(error))
        case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus, .done,
            .announcement:
            send(id, .failure(OmenError(.protocolViolation, "a reply came as a request")))
        }
    }

    private func answer(_ id: UInt64, _ body: () throws(OmenError) -> Message) {
        do throws(OmenError) { send(id, try body()) } catch { send(id, .failure(error)) }
    }

    private func search(_ query: SearchQuery) throws(OmenError) -> Message {
        let found = try engine.store.search(query)
        return .hits(
            SearchReply(
                element: found.element,
                hitCounts: found.counts,
                hits: found.hits,
                coverage: Self.alone
            )
        )
    }

    private func get(_ request: GetRequest) throws(OmenError) -> Message {
        let collection = try engine.store.collection(request.collection)
        let records = try engine.store.records(
            request.ids,
            in: request.collection,
            withVector: request.withVector
        )
        return .records(
            RecordsReply(
                element: collection.schema.element,
                records: records.map {
                    StoredRecord(id: $0.id, metadata: $0.metadata, vector: $0.vector)
                },
                coverage: Self.alone
            )
        )
    }

    private func status() throws(OmenError) -> ShardStatus {
        ShardStatus(
            residentByteCount: UInt64(try ShardEngine.residentByteCount()),
            logByteCount: UInt64(engine.logByteCount),
            appliedLSN: engine.core.appliedLSN,
            durableLSN: engine.core.durableLSN,
            checkpointLSN: engine.core.checkpointLSN,
            collections: engine.store.ordered.map { collection in
                CollectionStatus(
                    name: collection.name,
                    schema: collection.schema,
                    vectors: UInt64(collection.vectorCount),
                    linked: UInt64(collection.linkedCount),
                    rows: UInt64(collection.rowCount),
                    deleted: UInt64(collection.deletedCount),
                    fileByteCount: UInt64(collection.fileByteCount)
                )
            }
        )
    }
}
