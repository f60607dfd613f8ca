internal import Glibc

/// What a coordinator orders of one shard: a client's request, and the shard's part of it.
///
/// The shard decides how it searches; the order is the same for all shards of a collection.
package struct ShardOrder: Equatable, Sendable {
    /// What the client asked, with the schema that it was found right for.
    package private(set) var search: CheckedSearch
    /// Hits that the shard returns for each query, `1...request.limit`.
    package let limit: Int
    /// Shards that the collection is divided among evenly, `1...Limits.shardCountMax`.
    package let shardCount: Int

    /// What the client asked.
    package var request: SearchRequest { search.request }

    private init(_ search: CheckedSearch, limit: Int, shardCount: Int) {
        self.search = search
        self.limit = limit
        self.shardCount = shardCount
    }

    /// The order to a shard that is the only one.
    ///
    /// - Parameter search: What is asked of it.
    package init(alone search: CheckedSearch) {
        self.init(search, limit: search.request.limit, shardCount: 1)
    }

    /// The order to each of several shards.
    ///
    /// - Parameters:
    ///   - search: What the client asks of all of them.
    ///   - shardCount: How many there are.
    ///   - largestShare: The part of the hash slots on the largest of them: `1 / shardCount` where
    ///     slots are dealt evenly.
    package init(_ search: CheckedSearch, shardCount: Int, largestShare: Double) {
        let request = search.request
        let limit =
            request.effort == .exact
            ? request.limit
            : Self.shardLimit(k: request.limit, shardCount: shardCount, share: largestShare)
        self.init(search, limit: limit, shardCount: shardCount)
    }

    /// Takes over an order that a coordinator has given; checks what is the order's own, and not
    /// the request again.
    ///
    /// - Parameters:
    ///   - request: As it was decoded, which has checked its shape.
    ///   - schema: What the coordinator checked it against.
    ///   - limit: As the property.
    ///   - shardCount: As the property.
    /// - Throws: `.badRequest` or `.protocolViolation` naming what is out of range.
    package init(
        ordered request: SearchRequest,
        _ schema: CollectionSchema,
        limit: Int,
        shardCount: Int
    ) throws(OmenError) {
        guard limit >= 1, limit <= request.limit else {
            throw OmenError(
                .badRequest,
                "limit of the shard is \(limit), expected 1...\(request.limit)"
            )
        }
        guard (1...Limits.shardCountMax).contains(shardCount) else {
            throw OmenError(
                .badRequest,
                "\(shardCount) shards, expected 1...\(Limits.shardCountMax)"
            )
        }
        self.init(
            try CheckedSearch(ordered: request, schema),
            limit: limit,
            shardCount: shardCount
        )
    }

    /// Shortens or lengthens the wait for the answer.
    ///
    /// - Parameter milliseconds: As `SearchRequest.timeoutMilliseconds`.
    /// - Returns: The order with that wait.
    package func answered(within milliseconds: UInt32) -> ShardOrder {
        var order = self
        order.search = search.answered(within: milliseconds)
        return order
    }

    /// Chance that some shard held more of the true nearest than it was asked for.
    static let truncationRisk = 1e-9

    /// Hits to ask of each shard so that none of the nearest `k` is cut off.
    ///
    /// Each of the nearest `k` lies on a given shard with probability `p`, so that a shard holds
    /// Binomial(k, p) of them. Bernstein's inequality bounds the tail:
    /// `P(X >= kp + t) <= exp(-t^2 / (2(kp(1-p) + t/3)))`. Solved for the `t` at which all shards
    /// together exceed it with probability `truncationRisk`: for 8 shards 44 of 100 and 204 of
    /// 1,000; below about 25 the bound is no help and every shard returns `k`.
    package static func shardLimit(k: Int, shardCount: Int, share: Double) -> Int {
        guard shardCount > 1 else { return k }
        let exponent = log(Double(shardCount) / truncationRisk)
        let mean = Double(k) * share
        let variance = mean * max(0, 1 - share)
        let excess = exponent / 3 + sqrt(exponent * exponent / 9 + 2 * exponent * variance)
        let bound = (mean + excess).rounded(.up)
        guard bound < Double(k) else { return k }
        return max(Int(bound), 1)
    }
}
