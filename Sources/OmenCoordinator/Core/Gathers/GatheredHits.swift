internal import OmenCore
internal import OmenWire

/// The shards' answers to one search until the last is there.
///
/// Answers of numbers are kept as columns in one array, so that an answer costs a copy and nothing
/// on the heap; only what has texts, metadata or vectors is kept as decoded.
struct GatheredHits: Sendable {
    /// Element type of the first answer.
    private(set) var element: ElementType?
    /// One after the other: distances and counts of each answer, 4 bytes each.
    private var words: [UInt32] = []
    /// Ids of each answer, in the same order.
    private var ids: [UInt64] = []
    /// Hits of each answer in the columns.
    private var hitCounts: [Int32] = []
    /// Answers that have more than numbers.
    private var decoded: [SearchReply] = []

    /// Takes one of about `answerCount` answers.
    mutating func append(_ answer: NumberedHits, of answerCount: Int) {
        if element == nil {
            element = answer.element
            words.reserveCapacity((answer.queryCount + answer.hitCount) * answerCount)
            ids.reserveCapacity(answer.hitCount * answerCount)
            hitCounts.reserveCapacity(answerCount)
        }
        Self.append(answer.counts, to: &words)
        Self.append(answer.distances, to: &words)
        Self.append(answer.ids, to: &ids)
        hitCounts.append(Int32(answer.hitCount))
    }

    /// - Precondition: The counts add up to the hits; each query's ascend.
    mutating func append(_ reply: SearchReply) {
        element = element ?? reply.element
        guard case .numbered(let distances, let numbers) = reply.list else {
            return decoded.append(reply)
        }
        reply.hitCounts.withUnsafeBytes { Self.append($0, to: &words) }
        distances.withUnsafeBytes { Self.append($0, to: &words) }
        ids.append(contentsOf: numbers)
        hitCounts.append(Int32(numbers.count))
    }

    /// Appends the values of a column.
    private static func append<Value: BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer,
        to column: inout [Value]
    ) {
        // The frame promises no alignment.
        let count = bytes.count / MemoryLayout<Value>.size
        for index in 0..<count {
            column.append(
                bytes.loadUnaligned(
                    fromByteOffset: index * MemoryLayout<Value>.size,
                    as: Value.self
                )
            )
        }
    }

    /// The nearest `k` of each query, ascending by distance, then by id.
    ///
    /// - Complexity: O(queries * k * shards) comparisons; two arrays on the heap.
    func merged(k: Int, queryCount: Int) -> (counts: [UInt32], hits: HitList) {
        decoded.isEmpty
            ? mergedColumns(k: k, queryCount: queryCount)
            : mergedHits(k: k, queryCount: queryCount)
    }

    /// Where one answer's columns stand, and how far merging has come in them.
    private struct Cursor {
        /// Hits of each query.
        var counts: UnsafePointer<UInt32>
        /// Bits of the distances of all hits.
        var distances: UnsafePointer<UInt32>
        /// Ids of all hits.
        var ids: UnsafePointer<UInt64>
        /// Next hit, and the end of the present query's.
        var next = 0
        /// End of the hits of the present query.
        var end = 0

        /// Distance of the next hit.
        var distance: Float { Float(bitPattern: distances[next]) }
    }

    /// Gives the body a cursor for each answer in the columns.
    private func withCursors<Result>(
        queryCount: Int,
        _ body: (UnsafeMutableBufferPointer<Cursor>) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: Cursor.self, capacity: hitCounts.count) { cursors in
            words.withUnsafeBufferPointer { words in
                ids.withUnsafeBufferPointer { ids in
                    var (word, id) = (0, 0)
                    for (index, count) in hitCounts.enumerated() {
                        guard let words = words.baseAddress, let ids = ids.baseAddress else {
                            // Nothing was found anywhere: not even counts, or no ids.
                            return body(UnsafeMutableBufferPointer(rebasing: cursors[..<index]))
                        }
                        cursors.initializeElement(
                            at: index,
                            to: Cursor(
                                counts: words + word,
                                distances: words + word + queryCount,
                                ids: ids + id
                            )
                        )
                        word += queryCount + Int(count)
                        id += Int(count)
                    }
                    return body(cursors)
                }
            }
        }
    }

    /// Merges answers that all have only numbers.
    private func mergedColumns(k: Int, queryCount: Int) -> (counts: [UInt32], hits: HitList) {
        var counts: [UInt32] = []
        counts.reserveCapacity(queryCount)
        var distances: [Float] = []
        var numbers: [UInt64] = []
        let limit = min(ids.count, k.multipliedReportingOverflow(by: queryCount).partialValue)
        distances.reserveCapacity(limit)
        numbers.reserveCapacity(limit)
        withCursors(queryCount: queryCount) { cursors in
            for query in 0..<queryCount {
                for index in cursors.indices {
                    cursors[index].next = cursors[index].end
                    cursors[index].end += Int(cursors[index].counts[query])
                }
                var count = 0
                while count < k, let best = Self.nearest(cursors) {
                    distances.append(cursors[best].distance)
                    numbers.append(cursors[best].ids[cursors[best].next])
                    cursors[best].next += 1
                    count += 1
                }
                counts.append(UInt32(count))
            }
        }
        return (counts, .numbered(distances: distances, ids: numbers))
    }

    /// The answer with the nearest next hit; nil when all are used up.
    private static func nearest(_ cursors: UnsafeMutableBufferPointer<Cursor>) -> Int? {
        var best = -1
        var distance: Float = 0
        var id: UInt64 = 0
        for index in cursors.indices where cursors[index].next < cursors[index].end {
            let head = cursors[index].distance
            guard best < 0 || head <= distance else { continue }
            let number = cursors[index].ids[cursors[index].next]
            guard best < 0 || head < distance || number < id else { continue }
            (best, distance, id) = (index, head, number)
        }
        return best < 0 ? nil : best
    }

    /// The same where some answers have more than numbers.
    private func mergedHits(k: Int, queryCount: Int) -> (counts: [UInt32], hits: HitList) {
        var lists = decoded.map { (counts: $0.hitCounts, hits: $0.hits, offset: 0) }
        var (word, id) = (0, 0)
        for hitCount in hitCounts.map(Int.init) {
            let end = word + queryCount
            let distances = words[end..<end + hitCount].map { Float(bitPattern: $0) }
            let hits = zip(distances, ids[id..<id + hitCount])
                .map { Hit(id: .number($1), distance: $0) }
            lists.append((Array(words[word..<end]), hits, 0))
            word = end + hitCount
            id += hitCount
        }
        var counts: [UInt32] = []
        counts.reserveCapacity(queryCount)
        var hits: [Hit] = []
        for query in 0..<queryCount {
            var answers: [ArraySlice<Hit>] = []
            answers.reserveCapacity(lists.count)
            for index in lists.indices {
                let end = lists[index].offset + Int(lists[index].counts[query])
                answers.append(lists[index].hits[lists[index].offset..<end])
                lists[index].offset = end
            }
            let nearest = mergeNearest(answers, k: k)
            counts.append(UInt32(nearest.count))
            hits.append(contentsOf: nearest)
        }
        return (counts, .full(hits))
    }
}
