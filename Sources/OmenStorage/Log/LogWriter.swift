package import OmenSystem
package import OmenCore
internal import Synchronization

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

/// The log's own thread: takes batches in order, writes and syncs them, reports each.
///
/// All methods belong to the thread that owns the shard, and none may be called after `close`; the
/// completion runs on the log's thread.
package final class LogWriter: Sendable {
    private let work: LogWork
    private let queue: any JobQueue
    private let isClosed = Atomic<Bool>(false)

    /// Starts the thread behind the place that `LogRecovery.open` gave.
    ///
    /// - Parameters:
    ///   - directory: The shard's files.
    ///   - identity: Whose log it is.
    ///   - place: Where the log goes on.
    ///   - executor: What runs the thread.
    ///   - completion: Is told what became of each submission.
    /// - Throws: `.ioFailure`; `.resourceExhausted` when the system refuses a thread.
    package init(
        directory: Directory,
        identity: ShardIdentity,
        continuing place: LogContinuation,
        on executor: any Executor = Threads.shared,
        completion: @escaping @Sendable (LogCompletion) -> Void
    ) throws(OmenError) {
        let appender = try LogAppender(directory: directory, identity: identity, continuing: place)
        work = LogWork(appender, completion)
        queue = try executor.makeQueue()
    }

    deinit { close() }

    /// Bytes of the segment that is being written, without reserved space.
    package var segmentByteCount: Int { work.byteCount.load(ordering: .relaxed) }

    /// Writes a batch, and syncs it where `sync` is true.
    ///
    /// The durable LSN written is the batch's or what this writer has synced, whichever is higher.
    /// - Precondition: The batch's first LSN continues the log.
    package func submit(_ batch: LogBatch, sync: Bool) {
        enqueue { $0.append(batch, sync: sync) }
    }

    /// Syncs all that was submitted before.
    package func sync() { enqueue { $0.sync() } }

    /// Seals the current segment and begins a new one at the next LSN; an empty one is kept.
    package func rotate(nonce: UInt64) { enqueue { $0.rotate(nonce: nonce) } }

    /// Finishes what is queued, syncs, writes a mark and ends the thread; the second call is empty.
    ///
    /// - Precondition: Not called from the completion.
    package func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        let work = work
        queue.submit { work.finish() }
        queue.close()
    }

    private func enqueue(_ step: @escaping @Sendable (LogAppender) -> LogCompletion) {
        let work = work
        queue.submit { work.run(step) }
    }
}

/// What the log's jobs share.
///
/// Safety: `appender` is touched by the jobs alone, which run one after the other.
private final class LogWork: @unchecked Sendable {
    let byteCount: Atomic<Int>
    private let appender: LogAppender
    private let completion: @Sendable (LogCompletion) -> Void

    init(_ appender: LogAppender, _ completion: @escaping @Sendable (LogCompletion) -> Void) {
        self.appender = appender
        self.completion = completion
        byteCount = Atomic(appender.offset)
    }

    func run(_ step: (LogAppender) -> LogCompletion) {
        let result = step(appender)
        byteCount.store(appender.offset, ordering: .relaxed)
        completion(result)
    }

    func finish() {
        if let failed = appender.finish() { completion(failed) }
    }
}
