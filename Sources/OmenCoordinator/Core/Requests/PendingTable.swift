internal import OmenCore

/// The requests in flight, in a fixed number of places.
///
/// An id is `sequence << indexBitCount | index`: finding it is one look, ids never repeat, and
/// sweeps go in order of place, the same on every run.
struct PendingTable: Sendable {
    /// Bits of an id that tell its place.
    static let indexBitCount: UInt64 = 13
    /// Most requests at once.
    static let capacity = Limits.requestsInFlightMax + Limits.adminRequestsInFlightMax

    /// What lies in a place that is free.
    private static let free = PendingRequest(
        nil,
        .checkpoint(CheckpointGather()),
        parts: ShardParts(of: 0)
    )

    /// The requests, by place.
    private var places: [PendingRequest] = []
    /// Deadline of each place; `.max` where it is free or waits for ever.
    ///
    /// Apart from the places, so that a sweep reads little.
    private var deadlines: [UInt64] = []
    /// Places that were taken and are free.
    private var freeIndices: [Int] = []
    /// Requests that were ever taken in.
    private var sequence: UInt64 = 0

    /// Places that are taken.
    private(set) var count = 0

    /// A table without requests.
    init() { precondition(Self.capacity <= 1 << Self.indexBitCount, "index does not fit") }

    /// All places that were ever taken.
    var indices: Range<Int> { places.indices }

    /// Puts a request in and gives it its id; nil when all places are taken.
    mutating func insert(_ request: PendingRequest, deadline: UInt64) -> Int? {
        guard count < Self.capacity else { return nil }
        sequence += 1
        let index: Int
        if let reused = freeIndices.popLast() {
            index = reused
            places[index] = request
            deadlines[index] = deadline
        } else {
            index = places.count
            places.append(request)
            deadlines.append(deadline)
        }
        places[index].id = sequence << Self.indexBitCount | UInt64(index)
        count += 1
        return index
    }

    /// The place of a request; nil when it is not in the table any more.
    func index(of id: UInt64) -> Int? {
        let index = Int(id & (1 << Self.indexBitCount - 1))
        guard id != 0, index < places.count, places[index].id == id else { return nil }
        return index
    }

    /// Whether a place has a request.
    func isTaken(_ index: Int) -> Bool { places[index].id != 0 }

    /// When the request in a place is answered at the latest.
    func deadline(_ index: Int) -> UInt64 { deadlines[index] }

    /// Whether a place has a request whose time is up.
    func isDue(_ index: Int, now: UInt64) -> Bool { isTaken(index) && deadlines[index] <= now }

    /// The request in a place.
    subscript(index: Int) -> PendingRequest {
        _read { yield places[index] }
        _modify { yield &places[index] }
    }

    /// Frees a place.
    ///
    /// - Returns: The request that was in it.
    mutating func remove(_ index: Int) -> PendingRequest {
        precondition(places[index].id != 0, "place \(index) is free")
        let request = places[index]
        places[index] = Self.free
        deadlines[index] = .max
        freeIndices.append(index)
        count -= 1
        return request
    }
}
