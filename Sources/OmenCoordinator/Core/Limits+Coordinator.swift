internal import OmenCore

/// Limits only the coordinator applies.
extension Limits {
    /// What the coordinator may hold for its clients, in bytes, where nobody says otherwise: four
    /// clients with full queues beside room for large frames.
    package static let memoryLimitDefault = 1 << 30
    /// The smallest such limit: the largest frame, the request in it, its answer, and the copy that
    /// handling one of them takes, 64 MiB each.
    package static let memoryLimitMin = 256 << 20
    /// The largest: more than a machine has; a typing error is refused.
    package static let memoryLimitMax = 1 << 44
    /// Memory of a request beside its vectors, ids and answers: its places in tables and queues.
    static let requestOverheadByteCount = 512
    /// What a message to a worker counts for in memory, beside its bytes.
    static let messageOverheadByteCount = 128
    /// A request charged with more than this leaves an eighth of the memory to the smaller ones.
    static let smallRequestByteCountMax = 1 << 20
    /// What is read of a connection before anybody is asked whether there is memory for it.
    static let connectionByteCount = 64 << 10
    /// First grant for a frame that is larger than that, in bytes: what senders aim at.
    static let firstFrameGrantByteCount = 1 << 20
    /// Time in which a frame that has begun must become whole.
    ///
    /// Local sockets bring the largest in a tenth of a second.
    package static let frameTimeout = Duration.seconds(30)
    /// The same, and the time in which a client must take some of its answers, while others wait
    /// for the memory.
    static let contendedTimeout = Duration.seconds(2)
    /// Work that a worker is given at once in reads, in nanoseconds of its time as measured.
    static let sentReadNanoseconds = 2_000_000.0
    /// Fewest reads that a worker is given at once, however long they take: it should not wait for
    /// the next one.
    static let sentReadCountMin = 2
    /// Most reads that a worker is given at once, however short they are.
    static let sentReadCountMax = 64
    /// Checkpoints that clients may ask for one after the other without waiting.
    static let checkpointBurst = 2.0
    /// More come after this many times what the last one took, so that searches have their time.
    static let checkpointPause = 20.0
    /// A search of more bytes is encoded once for all workers instead of copied for each.
    static let sharedSearchByteCountMin = 64 << 10
    /// When a refused request may come back where nobody can tell: a few requests' time.
    static let retryAfterMilliseconds: UInt32 = 50
    /// Longest pause of a client in the middle of a frame while others wait for the memory.
    static let contendedSilence = Duration.milliseconds(500)
    /// Messages of one client that are handled before the next client's.
    static let sliceMessageCount = 32
    /// Bytes of messages of one client after which the next client's are handled.
    static let sliceByteCount = 256 << 10
    /// Longest time for handling messages in one turn of the loop: meanwhile nobody is read from.
    static let turnTime = Duration.milliseconds(2)
    /// Most status, checkpoint and stop requests in flight: a share of their own, so that an
    /// overloaded cluster can still be looked at and stopped.
    static let adminRequestsInFlightMax = 64
    /// Most hits one search may ask for over all its queries: with ids of full length such a reply
    /// still fits a frame.
    static let searchHitCountMax = 1 << 20
    /// Queries that share one `readTimeout`; a search gets it once for each group begun.
    static let queriesPerReadTimeout = 256
    /// Time after which a client that reads none of its answers is disconnected.
    static let stalledClientTimeout = Duration.seconds(30)
    /// How often the core is told that time has passed.
    static let tickInterval = Duration.milliseconds(50)
    /// Longest wait for the last bytes of a worker whose process has ended.
    static let lastWordsTimeout = Duration.seconds(1)
    /// Longest wait for clients to take their last answers when the coordinator ends.
    static let farewellTimeout = Duration.seconds(1)
    /// Longest wait for a checkpoint of all shards.
    static let checkpointTimeout = Duration.seconds(600)
    /// Longest wait for requests in flight when the cluster stops.
    static let drainTimeout = Duration.seconds(5)
    /// Longest wait for a stopping worker to checkpoint and exit; then it is killed, which loses
    /// nothing: its log holds everything.
    static let stopTimeout = Duration.seconds(120)
    /// A worker ready for this long starts with a clean record: short back-off, no deaths counted.
    static let stabilityTime = Duration.seconds(60)
    /// How often collections missing on a shard are created there again.
    static let reconcileInterval = Duration.seconds(1)
    /// A longer pause between ticks means that the coordinator itself was stopped, so the silence
    /// of workers proves nothing.
    static let tickGapMax = Duration.seconds(2)
}

extension Duration {
    /// Whole nanoseconds, saturating; negative durations are 0.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let whole = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !whole.overflow else { return .max }
        return whole.partialValue.saturatingAdd(UInt64(attoseconds) / 1_000_000_000)
    }
}

extension UInt64 {
    /// The sum, or the largest value where it would not fit.
    func saturatingAdd(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
