internal import OmenCore

/// Limits only the coordinator applies.
extension Limits {
    /// Most bytes of requests in flight, the memory their answers may need included.
    static let requestBytesInFlightMax = 256 << 20
    /// Most status, checkpoint and stop requests in flight: a share of their own, so that an
    /// overloaded cluster can still be looked at and stopped.
    static let adminRequestsInFlightMax = 64
    /// Most hits one search may ask for over all its queries: with ids of full length such a reply
    /// still fits a frame.
    static let searchHitCountMax = 1 << 20
    /// Queries that share one `readTimeout`; a search of more gets it once for each so many begun.
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
