internal import OmenSystem
package import OmenCore
internal import OmenIndex

/// A search under way, one query at a time: its caller can do other things between two queries.
///
/// Each query sees what is applied when it runs. A collection that is dropped or cleared meanwhile
/// answers the remaining queries from what it held.
package struct ShardSearch {
    private let collection: ShardCollection
    /// What was asked; without metadata where none is stored.
    private let request: SearchRequest
    /// Hits of each query.
    private let k: Int
    private let effort: ShardEffort
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
    /// What `explain` shows; nil where nobody asked.
    private var explanation: ShardExplanation?

    init(
        _ order: ShardOrder,
        in collection: ShardCollection,
        counting searches: BuildBrake.Searches
    ) {
        var request = order.request
        effort = collection.index.planner.effort(order)
        k = order.limit
        if !collection.hasMetadata { request.withMetadata = false }
        self.request = request
        self.searches = searches
        self.collection = collection
        if request.explain {
            explanation = ShardExplanation(
                shard: 0,
                rowCount: UInt64(collection.rowCount),
                linkedCount: UInt64(collection.linkedCount),
                deletedCount: UInt64(collection.index.deletedCount)
            )
        }
        hasColumns = !request.withMetadata && !request.withVector
        counts.reserveCapacity(request.count)
        guard hasColumns, request.count == 1 else { return }
        distances.reserveCapacity(min(k, collection.vectorCount))
        numbers.reserveCapacity(min(k, collection.vectorCount))
    }

    /// Whether every query was answered.
    package var isFinished: Bool { counts.count == request.count }

    /// The hits of all queries, of this shard alone; the number of the shard is 0.
    package var answer: FoundHits {
        var found = FoundHits(
            element: collection.schema.element,
            counts: counts,
            list: hasColumns ? .numbered(distances: distances, ids: numbers) : .full(hits),
            coverage: Coverage(shardsTotal: 1)
        )
        if let explanation { found.explanations = [explanation] }
        return found
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
        if let explanation {
            try findExplained(explanation, scratch)
        } else {
            try collection.findNeighbors(of: counts.count, in: request, k: k, effort, scratch)
        }
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

    /// Searches, and adds what was decided and counted to the explanation.
    private mutating func findExplained(
        _ sum: ShardExplanation,
        _ scratch: Scratch
    ) throws(OmenError) {
        let (before, start) = (scratch.counts, MonotonicClock.now)
        try collection.findNeighbors(of: counts.count, in: request, k: k, effort, scratch)
        var sum = sum
        sum.nanoseconds += MonotonicClock.now - start
        sum.distanceCount += scratch.counts.distances - before.distances
        sum.queryCount += 1
        guard let plan = scratch.plan, plan.wanted > 0 else {
            explanation = sum
            return
        }
        switch plan.method {
        case .scan(let reason): sum.scanCounts[Int(reason.rawValue)] += 1
        case .walk(let walk):
            sum.walkCount += 1
            let width = scratch.wasStranger ? walk.strangerWidth : walk.width
            sum.width = max(sum.width, UInt32(clamping: width))
            sum.rerankCount = UInt32(clamping: walk.rerankCount)
            sum.strangerCount += scratch.wasStranger ? 1 : 0
        }
        explanation = sum
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
            let hit = collection.hit(neighbor, request)
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
