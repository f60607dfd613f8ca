/// How long what a worker has to search will take it, by what it took lately.
///
/// A worker's queue is bounded by time and not only by number: a search that cannot be answered
/// before its client stops waiting only keeps those behind it from being answered.
struct QueueTime: Equatable, Sendable {
    /// Searches that were sent and are not answered.
    private(set) var searchCount = 0
    /// Queries of these searches.
    private(set) var queryCount = 0
    /// The estimate: what a query takes the worker; 0 until something was measured.
    private(set) var nanosecondsPerQuery: Double = 0
    /// When the measurement under way began.
    private var windowStart: UInt64 = 0
    /// Queries that were answered in it.
    private var windowQueryCount = 0

    /// Answers come in bundles: shorter windows would measure the bundles.
    private static let windowNanoseconds: UInt64 = 10_000_000
    /// Part of each new measurement in the estimate.
    private static let weight = 0.25

    /// A search was sent to the worker.
    ///
    /// - Parameters:
    ///   - count: Its queries.
    ///   - now: The core's clock, in nanoseconds.
    mutating func began(queryCount count: Int, now: UInt64) {
        if searchCount == 0 {
            windowStart = now
            windowQueryCount = 0
        }
        searchCount += 1
        queryCount += count
    }

    /// The worker answered a search: once in a while the estimate learns from that.
    ///
    /// - Parameters:
    ///   - count: Its queries.
    ///   - now: The core's clock, in nanoseconds.
    mutating func ended(queryCount count: Int, now: UInt64) {
        searchCount -= 1
        queryCount -= count
        windowQueryCount += count
        let passed = now - min(now, windowStart)
        guard passed >= Self.windowNanoseconds || searchCount == 0 else { return }
        let measured = Double(passed) / Double(windowQueryCount)
        nanosecondsPerQuery +=
            nanosecondsPerQuery == 0
            ? measured : (measured - nanosecondsPerQuery) * Self.weight
        windowStart = now
        windowQueryCount = 0
    }

    /// A search was not sent after all.
    mutating func cancelled(queryCount count: Int) {
        searchCount -= 1
        queryCount -= count
    }

    /// The worker has gone, and what it was to do with it; the estimate stays.
    mutating func forget() {
        searchCount = 0
        queryCount = 0
    }

    /// When a search of `count` queries would be done that has `others` searches before it, in
    /// nanoseconds from now.
    ///
    /// Searches take turns query by query, so that a short one does not wait for all of a long one.
    func nanoseconds(forQueries count: Int, behind others: Int = .max) -> UInt64 {
        let (turns, overflow) = min(others, searchCount).multipliedReportingOverflow(by: count)
        let before = overflow ? queryCount : min(queryCount, turns)
        let time = nanosecondsPerQuery * Double(before + count)
        return time < 1e18 ? UInt64(time) : UInt64(1e18)
    }
}
