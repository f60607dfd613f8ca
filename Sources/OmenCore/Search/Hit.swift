/// A row of one shard and its distance to a query, before ids are looked up.
///
/// Ordered by distance, then row.
package struct Neighbor: Equatable, Comparable, Sendable {
    package var distance: Float
    package var row: UInt32

    package init(distance: Float, row: UInt32) {
        self.distance = distance
        self.row = row
    }

    package static func < (left: Neighbor, right: Neighbor) -> Bool {
        if left.distance != right.distance { return left.distance < right.distance }
        return left.row < right.row
    }
}

/// One search hit.
///
/// Ordered by distance, then by id: equal distances still merge to one answer on every run.
package struct Hit: Equatable, Sendable {
    package var id: RecordID
    package var distance: Float
    /// JSON text of the metadata object, where it was asked for and there is one.
    package var metadata: [UInt8]?
    /// The stored vector in the collection's element type, where it was asked for.
    package var vector: [UInt8]?

    package init(
        id: RecordID,
        distance: Float,
        metadata: [UInt8]? = nil,
        vector: [UInt8]? = nil
    ) {
        self.id = id
        self.distance = distance
        self.metadata = metadata
        self.vector = vector
    }
}

/// Memory of a caller for the hits of one query: numbers and distances, room for `k` of each.
package struct HitColumns {
    package let distances: UnsafeMutablePointer<Float>
    package let numbers: UnsafeMutablePointer<UInt64>

    package init(
        distances: UnsafeMutablePointer<Float>,
        numbers: UnsafeMutablePointer<UInt64>
    ) {
        self.distances = distances
        self.numbers = numbers
    }

    /// Orders equal distances by id: an index knows rows only, and rows order by age.
    ///
    /// - Precondition: `range` is ascending by distance.
    package func orderTies(in range: Range<Int>) {
        var begin = range.lowerBound
        while begin < range.upperBound {
            var end = begin + 1
            while end < range.upperBound, distances[end] == distances[begin] { end += 1 }
            if end - begin > 1 {
                var equal = UnsafeMutableBufferPointer(start: numbers + begin, count: end - begin)
                equal.sort()
            }
            begin = end
        }
    }
}

/// Hits of one or more queries, query after query.
///
/// Nearly every answer is numbers and distances: as two columns they are copied in one piece, where
/// an array of `Hit` costs a reference count or two for each.
package enum HitList: Sendable {
    /// Columns of equal length.
    case numbered(distances: [Float], ids: [UInt64])
    case full([Hit])

    /// The hits of several lists, one list's after the other's.
    package init(joining lists: [HitList]) {
        var allDistances: [Float] = []
        var allNumbers: [UInt64] = []
        for list in lists {
            guard case .numbered(let distances, let ids) = list else {
                self = .full(lists.flatMap(\.array))
                return
            }
            allDistances += distances
            allNumbers += ids
        }
        self = .numbered(distances: allDistances, ids: allNumbers)
    }

    package var count: Int {
        switch self {
        case .numbered(let distances, _): distances.count
        case .full(let hits): hits.count
        }
    }

    /// The hits one by one.
    ///
    /// - Complexity: O(count) with columns.
    package var array: [Hit] {
        switch self {
        case .numbered(let distances, let ids):
            zip(distances, ids).map { Hit(id: .number($1), distance: $0) }
        case .full(let hits): hits
        }
    }
}

extension Hit: Comparable {
    package static func < (left: Hit, right: Hit) -> Bool {
        if left.distance != right.distance { return left.distance < right.distance }
        return left.id < right.id
    }
}

/// Merges the shards' answers to one query into the nearest `k` hits of the whole cluster.
///
/// - Parameters:
///   - answers: One array per shard, each ascending; shape `[shardCount][0...]`.
///   - k: Hits to return; `k > 0`.
/// - Returns: At most `k` hits, ascending; fewer only if the shards together hold fewer.
/// - Precondition: An id lives on one shard only. Routing guarantees it; not checked here.
/// - Complexity: O(k·s) comparisons for `s` shards.
package func mergeNearest(_ answers: [ArraySlice<Hit>], k: Int) -> [Hit] {
    precondition(k > 0, "k must be positive, got \(k)")
    var heads = answers
    var merged: [Hit] = []
    merged.reserveCapacity(min(k, answers.reduce(0) { $0 + $1.count }))
    while merged.count < k {
        var best: Int?
        for (index, answer) in heads.enumerated() {
            guard let head = answer.first else { continue }
            guard let leader = best, let leading = heads[leader].first else {
                best = index
                continue
            }
            if head < leading { best = index }
        }
        guard let winner = best else { break }
        merged.append(heads[winner].removeFirst())
    }
    return merged
}
