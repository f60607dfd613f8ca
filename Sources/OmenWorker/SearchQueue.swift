internal import OmenCore
internal import OmenShard
internal import OmenWire

/// Searches under way, which take turns query by query: a short one never waits for a long one.
///
/// Bounded by what the coordinator keeps in flight towards one worker.
struct SearchQueue {
    private struct QueuedSearch {
        var requestID: UInt64
        var search: ShardSearch
        /// When nobody waits for the answer any more.
        var deadline: UInt64
    }

    /// Those whose turn is still to come in this round, last first.
    private var round: [QueuedSearch] = []
    /// Searches that wait for the next round, in order.
    private var next: [QueuedSearch] = []

    var isEmpty: Bool { round.isEmpty && next.isEmpty }

    mutating func append(_ requestID: UInt64, _ search: ShardSearch, deadline: UInt64) {
        next.append(QueuedSearch(requestID: requestID, search: search, deadline: deadline))
    }

    /// Runs one query of the search whose turn it is, unless its deadline has passed.
    ///
    /// - Returns: The answer, when that was the last one.
    mutating func step(now: UInt64) -> (requestID: UInt64, answer: Message)? {
        if round.isEmpty {
            round = next.reversed()
            next = []
        }
        guard var entry = round.popLast() else { return nil }
        guard now < entry.deadline else {
            return (entry.requestID, .failure(OmenError(.unavailable, "its time was over")))
        }
        do throws(OmenError) {
            try entry.search.step()
        } catch {
            return (entry.requestID, .failure(error))
        }
        guard entry.search.isFinished else {
            next.append(entry)
            return nil
        }
        let answer = entry.search.answer
        var reply = SearchReply(
            element: answer.element,
            hitCounts: answer.counts,
            list: answer.list,
            coverage: answer.coverage
        )
        reply.explanations = answer.explanations
        return (entry.requestID, .hits(reply))
    }
}
