internal import OmenCore
internal import OmenWire

/// A client's request that is not answered yet.
struct Pending: Sendable {
    enum Kind: Sendable {
        case write
        case create(String)
        case drop(String, RequestKey)
        /// `shards[i]` holds `ids[i]`.
        case get(ids: [RecordID], shards: [UInt8], element: ElementType)
        case count
        case list
        case search(SearchShape)
        case status
        case checkpoint
    }

    /// Unique for the life of the core; also the request id towards the workers.
    var id: UInt64 = 0
    /// The client, nil once it is gone, and its own number for the request.
    var client: UInt64?
    var requestID: UInt64 = 0
    var kind: Kind = .write
    /// What a read is about.
    var collection = ""
    /// Of a checkpoint: when the shards were told.
    var begunAt: UInt64?
    /// Its answers tell what the collection's metadata takes.
    var teachesMetadata = false
    /// Bytes charged to the cluster's budget.
    var byteCount = 0
    /// Memory for the shards' answers that is part of `byteCount`, and what they took so far.
    var expectedAnswerByteCount = 0
    var answerByteCount = 0
    /// Why it ends without its answers, which did not fit.
    var answerError: OmenError?
    /// Shards that have a part in it.
    var targets = ShardSet()
    /// Shards whose answer is outstanding.
    var awaited = ShardSet()
    /// Shards whose creation of the collection is outstanding.
    var createsAwaited = ShardSet()
    /// Shards that did their part.
    var answered = ShardSet()
    /// Shards that were creating the collection when asked: "not found" there means empty.
    var emptyIfMissing = ShardSet()
    /// Of a drop: shards that had the collection when it was sent, and that no longer have it.
    var heldBefore = ShardSet()
    var dropConfirmed = ShardSet()
    /// Of a drop: it is counted in the catalog entry's `dropRequests`.
    var blocksCollection = false
    var failures: [ShardFailure] = []
    var createFailures: [ShardFailure] = []

    var counts = WriteCounts()
    var total: UInt64 = 0
    var searchAnswers = SearchAnswers()
    /// Of a list: the shard's answer.
    var page: ListReply?
    var recordReplies: [(shard: Int, reply: RecordsReply)] = []
    var statuses: [(shard: Int, status: ShardStatus)] = []

    /// Ends the waiting: what else arrives is not kept.
    mutating func dropAnswers() {
        searchAnswers = SearchAnswers()
        recordReplies = []
        page = nil
        awaited = ShardSet()
    }

    var isComplete: Bool { awaited.isEmpty && createsAwaited.isEmpty }

    var isAdmin: Bool {
        switch kind {
        case .status, .checkpoint: true
        case .write, .create, .drop, .get, .count, .list, .search: false
        }
    }

    var isWrite: Bool {
        switch kind {
        case .write, .create, .drop: true
        case .get, .count, .list, .search, .status, .checkpoint: false
        }
    }
}

/// What the answer to a search has to look like.
struct SearchShape: Equatable, Sendable {
    var k: Int
    var queryCount: Int
    var allowPartial: Bool
    var element: ElementType
}

/// The requests in flight, in a fixed number of places.
///
/// An id is `sequence << indexBitCount | index`: finding it is one look, ids never repeat, and
/// sweeps go in order of place, the same on every run.
struct PendingTable: Sendable {
    static let indexBitCount: UInt64 = 13
    static let capacity = Limits.requestsInFlightMax + Limits.adminRequestsInFlightMax

    private var places: [Pending] = []
    /// Deadline of each place; `.max` where it is free or waits for ever.
    ///
    /// Apart from the places, so that a sweep reads little.
    private var deadlines: [UInt64] = []
    private var free: [Int] = []
    private var sequence: UInt64 = 0

    private(set) var count = 0

    init() { precondition(Self.capacity <= 1 << Self.indexBitCount, "index does not fit") }

    var indices: Range<Int> { places.indices }

    /// Puts a request in and gives it its id; nil when all places are taken.
    mutating func insert(_ pending: Pending, deadline: UInt64) -> Int? {
        guard count < Self.capacity else { return nil }
        sequence += 1
        let index: Int
        if let reused = free.popLast() {
            index = reused
            places[index] = pending
            deadlines[index] = deadline
        } else {
            index = places.count
            places.append(pending)
            deadlines.append(deadline)
        }
        places[index].id = sequence << Self.indexBitCount | UInt64(index)
        count += 1
        return index
    }

    func index(of id: UInt64) -> Int? {
        let index = Int(id & (1 << Self.indexBitCount - 1))
        guard id != 0, index < places.count, places[index].id == id else { return nil }
        return index
    }

    func isTaken(_ index: Int) -> Bool { places[index].id != 0 }

    func deadline(_ index: Int) -> UInt64 { deadlines[index] }

    func isDue(_ index: Int, now: UInt64) -> Bool { isTaken(index) && deadlines[index] <= now }

    subscript(index: Int) -> Pending {
        get { places[index] }
        _modify { yield &places[index] }
    }

    mutating func remove(_ index: Int) -> Pending {
        precondition(places[index].id != 0, "place \(index) is free")
        let pending = places[index]
        places[index] = Pending()
        deadlines[index] = .max
        free.append(index)
        count -= 1
        return pending
    }
}
