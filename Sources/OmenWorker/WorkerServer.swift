internal import OmenSystem
internal import Glibc
internal import OmenCore
internal import OmenLoop
package import OmenShard
package import OmenWire

/// One worker process: a shard behind one socket to the coordinator.
///
/// Single-threaded over its shard; between requests it links waiting rows in slices short enough
/// that a search never waits long. It leaves when the coordinator does.
package final class WorkerServer {
    package struct Configuration: Sendable {
        package var shard: ShardEngine.Configuration
        /// Told by the coordinator at spawn, repeated in every announcement.
        package var incarnation: UInt64
        /// What the frames of the worker and its coordinator are about.
        package var scope: FrameScope
        /// The connected socket inherited from the coordinator.
        package var descriptor: Int32

        /// What every worker is told.
        ///
        /// - Parameters:
        ///   - shard: As the property.
        ///   - incarnation: As the property.
        ///   - scope: As the property.
        ///   - descriptor: As the property.
        package init(
            shard: ShardEngine.Configuration,
            incarnation: UInt64,
            scope: FrameScope,
            descriptor: Int32
        ) {
            self.shard = shard
            self.incarnation = incarnation
            self.scope = scope
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

    /// Longest time of one slice of searches: heartbeats and other requests wait no longer than
    /// this, whatever a search asks for, but for a single query of a very large shard.
    static let searchSlice: UInt64 = 1_000_000
    /// Shortest time between two announcements of recovery's progress, in nanoseconds.
    static let announcementInterval: UInt64 = 100_000_000
    /// Longest wait for the lock of a shard whose last worker was killed, in nanoseconds.
    static let lockPatience: UInt64 = 5_000_000_000
    /// Time without requests after which freed memory is given back, in nanoseconds.
    static let restTime: UInt64 = 1_000_000_000

    let configuration: Configuration
    let loop: EventLoop
    let driver: ShardDriver
    var engine: ShardEngine { driver.engine }
    private let connection: StreamConnection
    private var decoder: FrameDecoder
    private var encoder: FrameEncoder
    /// Messages that were received wait until the coordinator has taken answers.
    private var isHolding = false
    private var working: IdleWork?
    var searches = SearchQueue()
    /// What the orders of this process's records are named from.
    let orderBase = UInt64.random(in: 1 ... .max)
    /// Keeps the loop from sleeping while searches wait for their next slice.
    private var wakefulness: IdleWork?
    /// When the last request came that may have left memory behind; nil once it was given back.
    var busyAt: UInt64?
    /// The request that asked to stop; its checkpoint carries the same ticket.
    var stopRequest: UInt64?
    private var exit: Exit?

    /// Runs a worker as this process, which ends at once when its parent does.
    package static func runProcess(_ configuration: Configuration) -> Exit {
        // A worker must not outlive its coordinator; EOF on the socket covers the rest.
        EventLoop.endWithParent()
        AllocatorPolicy.apply()
        return run(configuration)
    }

    /// Opens the shard, serves until told to stop or left alone, and returns how it ended.
    package static func run(_ configuration: Configuration) -> Exit {
        let who = "shard \(configuration.shard.shard)"
        let announcer = Announcer(configuration)
        do throws(OmenError) {
            let loop = try EventLoop()
            return try open(configuration, loop: loop, announcer: announcer).serve()
        } catch {
            LogLine.write(who, "cannot open: \(error)")
            guard error.code == .corrupt || error.code == .unsupportedVersion else {
                announcer.send(.failed, reason: error.message)
                return .unavailable
            }
            announcer.send(.quarantined, reason: error.message)
            return .quarantined
        }
    }

    /// Opens the shard and takes over the socket.
    private static func open(
        _ configuration: Configuration,
        loop: EventLoop,
        announcer: Announcer
    ) throws(OmenError) -> WorkerServer {
        let relay = Relay()
        let wakeup = try loop.wakeup { relay.run() }
        var announcedAt: UInt64 = 0
        let engine = try openEngine(configuration.shard, loop: loop, wakeup: wakeup) { replayed in
            guard loop.now - announcedAt >= announcementInterval else { return }
            announcedAt = loop.now
            announcer.send(.recovering, replayed: replayed)
        }
        let connection = try loop.adopt(descriptor: configuration.descriptor)
        let driver = ShardDriver(engine)
        relay.body = { driver.drain() }
        return WorkerServer(configuration, loop: loop, driver: driver, connection: connection)
    }

    /// Opens the files; a predecessor that is still dying gets a moment to let go of the lock.
    private static func openEngine(
        _ configuration: ShardEngine.Configuration,
        loop: EventLoop,
        wakeup: LoopWakeup,
        progress: (UInt64) -> Void
    ) throws(OmenError) -> ShardEngine {
        let deadline = loop.now + lockPatience
        while true {
            do throws(OmenError) {
                return try ShardEngine(
                    configuration,
                    progress: progress,
                    wake: { wakeup.signal() }
                )
            } catch {
                guard error.code == .locked, loop.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    private init(
        _ configuration: Configuration,
        loop: EventLoop,
        driver: ShardDriver,
        connection: StreamConnection
    ) {
        self.configuration = configuration
        self.loop = loop
        self.driver = driver
        busyAt = loop.now
        self.connection = connection
        decoder = FrameDecoder(.between(configuration.scope))
        encoder = FrameEncoder(configuration.scope)
    }

    /// Lets the wake-up be made before the engine that it serves.
    private final class Relay {
        var body: () -> Void = {}
        func run() { body() }
    }

    private func serve() -> Exit {
        engine.onOutcome = { [unowned self] outcome in self.handle(outcome) }
        connection.onBytes = { [unowned self] bytes in self.receive(bytes) }
        connection.onProgress = { [unowned self] in self.answersMoved() }
        connection.onDrain = { [unowned self] in self.answersMoved() }
        connection.onClose = { [unowned self] _ in self.coordinatorLeft() }
        working = loop.idleWork { [unowned self] in self.driver.work() }
        wakefulness = loop.idleWork { false }
        loop.onTurnEnd { [unowned self] in self.endTurn() }
        let timer = loop.timer(after: driver.tickInterval, repeating: driver.tickInterval) {
            [unowned self] in
            self.driver.tick()
            self.rest()
        }
        connection.startReading()
        announceReady()
        loop.run()
        timer.cancel()
        if let error = engine.close() {
            LogLine.write("shard \(configuration.shard.shard)", "the last sync failed: \(error)")
            return .failed
        }
        return exit ?? .failed
    }

    private func announceReady() {
        let shard = configuration.shard.shard
        announce(.ready)
        LogLine.write(
            "shard \(shard)",
            "ready: kernels \(ShardEngine.kernelVariant), LSN \(engine.core.appliedLSN), replayed \(engine.replayedCount) records"
        )
    }

    private func announce(_ state: WorkerState, reason: String = "") {
        send(
            0,
            .announcement(
                WorkerAnnouncement(
                    shard: configuration.shard.shard,
                    incarnation: configuration.incarnation,
                    state: state,
                    progress: engine.progress,
                    collections: collectionInfos,
                    reason: reason
                )
            )
        )
    }

    var collectionInfos: [CollectionInfo] {
        engine.store.ordered.map { CollectionInfo(name: $0.name, schema: $0.schema) }
    }
}

// MARK: - The loop's events

extension WorkerServer {
    private func receive(_ bytes: UnsafeRawBufferPointer) {
        decoder.append(bytes)
        handleReceived()
    }

    /// Answers wait for the coordinator that would take more memory than requests are worth.
    private var isFull: Bool {
        encoder.byteCount + connection.queuedByteCount > Limits.peerQueueByteCountMax
    }

    /// Handles what was received, unless its answers would only pile up; then the rest waits, and
    /// nothing more is read.
    private func handleReceived() {
        do throws(OmenError) {
            var content = try decoder.look()
            while !isFull, case .message = content {
                handle(try decoder.takeMessage())
                content = try decoder.look()
            }
            if case .message = content {
                isHolding = true
                connection.pauseReading()
            } else if isHolding {
                isHolding = false
                connection.startReading()
            }
        } catch {
            // Peers of one build that disagree about bytes: nothing they say can be trusted.
            LogLine.write("shard \(configuration.shard.shard)", "\(error)")
            leave(.failed)
        }
    }

    private func answersMoved() {
        if isHolding, !isFull { handleReceived() }
    }

    private func coordinatorLeft() { leave(.stopped) }

    private func leave(_ how: Exit) {
        // A failed worker does not end cleanly, also when it is asked to stop.
        if exit != .failed, exit != .quarantined { exit = how }
        loop.stop()
    }

    /// Once per turn: one log batch and one frame carry all that came together.
    private func endTurn() {
        driver.endTurn()
        searchSlice()
        if !encoder.isEmpty { connection.write(encoder.finish()) }
        if driver.hasWork { working?.start() }
        if !searches.isEmpty, !isFull { wakefulness?.start() }
    }

    /// Gives memory back once requests have paused: they would only ask for it again.
    private func rest() {
        guard let busyAt, loop.now - busyAt >= Self.restTime else { return }
        self.busyAt = nil
        AllocatorPolicy.returnFreed()
    }

    private func searchSlice() {
        guard !searches.isEmpty, !isFull else { return }
        let start = loop.now
        var now = start
        repeat {
            if let (requestID, answer) = searches.step(now: now) { send(requestID, answer) }
            now = loop.now
        } while !searches.isEmpty && !isFull && now - start < Self.searchSlice
    }

    func send(_ requestID: UInt64, _ message: Message) {
        encoder.append(Envelope(requestID: requestID, message: message))
    }

    private func handle(_ outcome: ShardEngine.Outcome) {
        switch outcome {
        case .written(let ticket, let counts):
            send(ticket, .written(WriteReply(counts: counts, coverage: Self.alone)))
        case .refused(let ticket, let error): send(ticket, .failure(error))
        case .checkpointed(let ticket, let error): finishCheckpoint(ticket, error)
        // For the cluster's manifest.
        case .advanced: announce(.ready)
        case .failed(let error):
            LogLine.write("shard \(configuration.shard.shard)", "stops: \(error)")
            // Damage is not undone by starting again.
            let isDamaged = error.code == .corrupt
            if isDamaged { announce(.quarantined, reason: error.message) }
            // What was refused must still reach the coordinator.
            if !encoder.isEmpty { connection.write(encoder.finish()) }
            connection.close()
            leave(isDamaged ? .quarantined : .failed)
        }
    }

    private func finishCheckpoint(_ ticket: UInt64, _ error: OmenError?) {
        // A start compares with what the cluster learns last.
        if ticket == stopRequest { engine.tellProgress() }
        send(ticket, error.map { .failure($0) } ?? .done)
        guard ticket == stopRequest else { return }
        // Everything acknowledged is in the log, with or without this checkpoint.
        connection.write(encoder.finish())
        connection.close()
        leave(.stopped)
    }
}
