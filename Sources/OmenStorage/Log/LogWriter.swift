internal import OmenSystem
package import OmenCore

/// What became of something submitted to a `LogWriter`; one for each submission, in order.
package enum LogCompletion: Equatable, Sendable {
    /// The batch is in the file, and durable when `synced`. A mark reports the LSN before it.
    case written(lastLSN: UInt64, synced: Bool)
    /// Everything up to this LSN is durable.
    case synced(throughLSN: UInt64)
    /// The log goes on in a new segment; everything before `firstLSN` is durable.
    case rotated(firstLSN: UInt64)
    /// There is no space: nothing of the batch (or the new segment) is in the log, which is as it
    /// was. Batches behind a refused one are refused too, until one comes that starts at its LSN.
    case refused(firstLSN: UInt64, OmenError)
    /// Writing or syncing failed: what was in flight has an unknown outcome, and nothing is written
    /// ever again. Stop the shard and open it from the disk.
    case failed(OmenError)
}

/// The log's thread: takes batches in order, writes and syncs them, reports each.
///
/// One thread of its own for each shard: a pool shared with others would let a slow sync starve
/// them. All methods may be called from any thread; the completion runs on the log's thread.
package final class LogWriter: Sendable {
    private let worker: LogThread

    /// Starts the thread behind the place that `LogRecovery.open` gave.
    package init(
        storage: any LogStorage,
        identity: ShardIdentity,
        continuing place: LogContinuation,
        completion: @escaping @Sendable (LogCompletion) -> Void
    ) throws(OmenError) {
        let appender = try LogAppender(storage: storage, identity: identity, continuing: place)
        worker = LogThread(appender, completion)
        try worker.start()
    }

    deinit { worker.stop() }

    /// Bytes of the segment that is being written, without reserved space.
    package var segmentByteCount: Int { worker.segmentByteCount }

    /// Writes a batch, and syncs it where `sync` is true.
    ///
    /// The durable LSN written is the batch's or what this writer has synced, whichever is higher.
    /// - Precondition: The batch's first LSN continues the log.
    package func submit(_ batch: LogBatch, sync: Bool) {
        worker.enqueue(.append(batch, sync: sync))
    }

    /// Syncs all that was submitted before.
    package func sync() { worker.enqueue(.sync) }

    /// Seals the current segment and begins a new one at the next LSN; an empty one is kept.
    package func rotate(nonce: UInt64) { worker.enqueue(.rotate(nonce: nonce)) }

    /// Finishes what is queued, syncs, writes a mark and ends the thread; the second call is empty.
    ///
    /// - Precondition: Not called from the completion.
    package func close() { worker.stop() }
}

/// The queue between the submitters and the thread.
///
/// Safety: `queue`, `isClosing`, `thread` and `byteCount` only change under `lock`; `appender` is
/// touched by the thread alone once it runs.
private final class LogThread: @unchecked Sendable {
    enum Command {
        case append(LogBatch, sync: Bool)
        case sync
        case rotate(nonce: UInt64)
    }

    private let appender: LogAppender
    private let completion: @Sendable (LogCompletion) -> Void
    private let lock = ConditionLock()
    private var queue: [Command] = []
    private var isClosing = false
    private var byteCount = 0
    private var thread: BackgroundThread?

    init(_ appender: LogAppender, _ completion: @escaping @Sendable (LogCompletion) -> Void) {
        self.appender = appender
        self.completion = completion
        byteCount = appender.offset
    }

    var segmentByteCount: Int { lock.locked { byteCount } }

    func start() throws(OmenError) {
        thread = try BackgroundThread { self.run() }
    }

    func enqueue(_ command: Command) {
        lock.locked {
            precondition(!isClosing, "the log writer is closed")
            queue.append(command)
            lock.wakeOne()
        }
    }

    func stop() {
        let running: BackgroundThread? = lock.locked {
            isClosing = true
            lock.wakeOne()
            defer { thread = nil }
            return thread
        }
        running?.join()
    }

    private func run() {
        while let commands = nextCommands() {
            for command in commands {
                let result =
                    switch command {
                    case .append(let batch, let sync): appender.append(batch, sync: sync)
                    case .sync: appender.sync()
                    case .rotate(let nonce): appender.rotate(nonce: nonce)
                    }
                let count = appender.offset
                lock.locked { byteCount = count }
                completion(result)
            }
        }
        if let failed = appender.finish() { completion(failed) }
    }

    /// Waits for commands; nil when closing and none is left.
    private func nextCommands() -> [Command]? {
        lock.locked {
            while queue.isEmpty {
                if isClosing { return nil }
                lock.wait()
            }
            defer { queue = [] }
            return queue
        }
    }
}
