internal import OmenSystem
package import OmenCore
internal import OmenIndex

/// A search under way, one query at a time: whoever runs it can do other things in between.
///
/// Each query sees what is applied when it runs. A collection that is dropped or cleared meanwhile
/// answers the remaining queries from what it held.
package struct ShardSearch {
    private let collection: ShardCollection
    private let query: SearchQuery
    /// Told of each query, for builds to give way.
    private let searches: BuildBrake.Searches
    /// Hits of each query so far.
    private var counts: [UInt32] = []
    /// Hits of all queries one after the other, each query's ascending: columns while all of them
    /// are numbers and distances.
    private var distances: [Float] = []
    private var numbers: [UInt64] = []
    /// Takes the columns' place for good once a hit has more to it.
    private var hits: [Hit] = []
    private var hasColumns: Bool
    private var byteCount = 0

    init(
        _ query: SearchQuery,
        in collection: ShardCollection,
        counting searches: BuildBrake.Searches
    ) {
        var query = collection.planned(query)
        if !collection.hasMetadata { query.withMetadata = false }
        self.query = query
        self.searches = searches
        self.collection = collection
        hasColumns = !query.withMetadata && !query.withVector
        counts.reserveCapacity(query.count)
        guard hasColumns, query.count == 1 else { return }
        distances.reserveCapacity(min(query.k, collection.vectorCount))
        numbers.reserveCapacity(min(query.k, collection.vectorCount))
    }

    /// Whether every query was answered.
    package var isFinished: Bool { counts.count == query.count }

    /// The answer, with the shape of `SearchReply`.
    package var answer: (element: ElementType, counts: [UInt32], hits: HitList) {
        let list = hasColumns ? HitList.numbered(distances: distances, ids: numbers) : .full(hits)
        return (collection.schema.element, counts, list)
    }

    /// Answers the next query.
    ///
    /// - Throws: `.resourceExhausted` when the answer outgrows a frame.
    package mutating func step() throws(OmenError) { try step(collection.index.scratch) }

    /// Answers all queries, while other threads may do the same and nothing changes the shard.
    ///
    /// - Parameter pause: Called between two queries; there the shard may change.
    /// - Throws: As `step`; `.resourceExhausted` without address space for one more search;
    ///   `.stopped`; what `pause` throws.
    package mutating func runBesideOthers(
        _ pause: () throws(OmenError) -> Void
    ) throws(OmenError) {
        let scratches = collection.scratches
        let stop = Stop.current
        try scratches.withScratch { scratch throws(OmenError) in
            while true {
                try step(scratch)
                if isFinished { return }
                try stop?.check()
                try pause()
            }
        }
    }

    private mutating func step(_ scratch: Scratch) throws(OmenError) {
        precondition(!isFinished, "a step behind the last query")
        searches.add()
        try collection.findNeighbors(of: counts.count, in: query, scratch)
        let count = scratch.hits.count
        if hasColumns, collection.append(scratch.hits, to: &distances, &numbers) {
            byteCount += 12 * count
            try ReplyBudget.check(byteCount)
            orderColumnTies(from: numbers.count - count)
        } else {
            if hasColumns { leaveColumns() }
            try appendHits(scratch.hits)
        }
        counts.append(UInt32(count))
    }

    private mutating func leaveColumns() {
        hasColumns = false
        hits = zip(distances, numbers).map { Hit(id: .number($1), distance: $0) }
        distances = []
        numbers = []
    }

    private mutating func appendHits(_ neighbors: [Neighbor]) throws(OmenError) {
        let start = hits.count
        for neighbor in neighbors {
            let hit = collection.hit(neighbor, query)
            byteCount += ReplyBudget.byteCount(metadata: hit.metadata, vector: hit.vector)
            try ReplyBudget.check(byteCount)
            hits.append(hit)
        }
        orderTies(from: start)
    }

    /// Orders equal distances by id: the index knows rows only, and rows order by age.
    private mutating func orderTies(from start: Int) {
        var begin = start
        while begin < hits.count {
            var end = begin + 1
            while end < hits.count, hits[end].distance == hits[begin].distance { end += 1 }
            if end - begin > 1 { hits[begin..<end].sort() }
            begin = end
        }
    }

    private mutating func orderColumnTies(from start: Int) {
        let range = start..<numbers.count
        distances.withUnsafeMutableBufferPointer { distances in
            numbers.withUnsafeMutableBufferPointer { numbers in
                guard let left = distances.baseAddress, let right = numbers.baseAddress
                else { return }
                HitColumns(distances: left, numbers: right).orderTies(in: range)
            }
        }
    }
}

/// Stops gathering what no frame could carry: a few requests for large metadata would otherwise
/// take gigabytes before they fail.
enum ReplyBudget {
    /// Least bytes of one hit or record in a reply, with what was asked for.
    static func byteCount(metadata: [UInt8]?, vector: [UInt8]?) -> Int {
        12 + (metadata?.count ?? 0) + (vector?.count ?? 0)
    }

    static func check(_ byteCount: Int) throws(OmenError) {
        guard byteCount <= Limits.frameBodyByteCountMax else {
            throw OmenError(
                .resourceExhausted,
                "the answer takes over \(Limits.frameBodyByteCountMax) bytes: ask for less at once"
            )
        }
    }
}
