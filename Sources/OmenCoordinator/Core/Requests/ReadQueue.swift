internal import OmenWire

/// Reads that wait to be sent to a worker, which is given a little at a time.
///
/// Clients share the worker by what their reads cost (start-time fair queueing): a client that asks
/// little and now and then is next, however much the others have asked.
struct ReadQueue: Sendable {
    /// A read that was not sent yet.
    struct WaitingRead: Sendable {
        /// Of the request in flight.
        var id: UInt64
        /// What the worker is sent.
        var message: Message
        /// About what it takes, in bytes that are moved for it.
        var cost: Int
    }

    /// A client with something in the queue.
    private struct Turn: Sendable {
        /// Whose turn it is.
        var client: UInt64
        /// The virtual time of its next entry: what clients that were always in the queue have cost
        /// by then, each of them.
        var start: UInt64
    }

    /// The reads of each client, oldest first.
    private var lists: [UInt64: [WaitingRead]] = [:]
    /// In the order of their coming, where nothing else decides.
    private var turns: [Turn] = []
    /// The start of what was taken last: nobody who comes now is before it.
    private var virtualTime: UInt64 = 0
    /// Reads in the queue.
    private(set) var count = 0

    /// Clients with reads in the queue.
    var clientCount: Int { turns.count }

    /// Entries that are taken before the next one of a client, about.
    ///
    /// - Complexity: O(clients).
    func countBefore(_ client: UInt64) -> Int {
        if let own = lists[client]?.count { return own * turns.count }
        return turns.count { $0.start <= virtualTime }
    }

    /// Puts a read behind those of its client.
    ///
    /// - Complexity: O(1), amortised.
    mutating func append(_ entry: WaitingRead, of client: UInt64) {
        if lists[client] == nil { turns.append(Turn(client: client, start: virtualTime)) }
        lists[client, default: []].append(entry)
        count += 1
    }

    /// The oldest entry of the client that is to be served next.
    ///
    /// - Complexity: O(clients).
    mutating func next() -> WaitingRead? {
        guard var place = turns.indices.first else { return nil }
        for other in turns.indices where turns[other].start < turns[place].start { place = other }
        var turn = turns.remove(at: place)
        guard let entry = lists[turn.client]?.removeFirst() else { return nil }
        count -= 1
        virtualTime = turn.start
        if lists[turn.client]?.isEmpty == true {
            lists[turn.client] = nil
        } else {
            turn.start &+= UInt64(max(1, entry.cost))
            turns.append(turn)
        }
        return entry
    }

    /// Forgets every read: the worker has gone, and they are answered otherwise.
    mutating func removeAll() {
        lists = [:]
        turns = []
        count = 0
    }
}
