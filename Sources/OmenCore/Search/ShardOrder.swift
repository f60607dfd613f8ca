internal import Glibc

/// What a coordinator orders of one shard: a client's request, and the shard's part of it.
///
/// The shard decides how it searches; the order is the same for all shards of a collection.
package struct ShardOrder: Equatable, Sendable {
    /// As the client sent it, checked against the collection.
    package var request: SearchRequest
    /// Hits that the shard returns for each query, `1...request.limit`.
    package var limit: Int
    /// Shards that the collection is divided among evenly, `1...Limits.shardCountMax`.
    package var shardCount: Int

    /// - Parameters:
    ///   - request: As the property.
    ///   - limit: As the property.
    ///   - shardCount: As the property.
    package init(_ request: SearchRequest, limit: Int, shardCount: Int) {
        self.request = request
        self.limit = limit
        self.shardCount = shardCount
    }

    /// The order to a shard that is the only one.
    package init(alone request: SearchRequest) {
        self.init(request, limit: request.limit, shardCount: 1)
    }

    /// The order to each of several shards.
    ///
    /// - Parameters:
    ///   - request: What the client asks of all of them.
    ///   - shardCount: How many there are.
    ///   - largestShare: The part of the hash slots on the largest of them: `1 / shardCount` where
    ///     slots are dealt evenly.
    package init(_ request: SearchRequest, shardCount: Int, largestShare: Double) {
        let limit =
            request.effort == .exact
            ? request.limit
            : Self.shardLimit(k: request.limit, shardCount: shardCount, share: largestShare)
        self.init(request, limit: limit, shardCount: shardCount)
    }

    /// Checks what can be checked without the collection.
    ///
    /// - Throws: `.badRequest` naming what is out of range.
    package func validate() throws(OmenError) {
        try request.validate()
        guard (1...request.limit).contains(limit) else {
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
