internal import OmenCore

/// The shards that have a part in a request, and how far each has come with it.
///
/// Invariants: a target is awaited, or has answered, or has a failure; only the shard of a drop is
/// both awaited and answered, while it is asked what is left.
struct ShardParts: Sendable {
    /// Shards of the cluster, for coverage.
    let shardCount: Int
    /// Shards that have a part in it.
    private(set) var targets = ShardSet()
    /// Shards whose answer is outstanding.
    private(set) var awaited = ShardSet()
    /// Shards that did their part.
    private(set) var answered = ShardSet()
    /// Why the other parts are missing.
    private(set) var failures: [ShardFailure] = []

    /// No part of any shard.
    ///
    /// - Parameter shardCount: Shards of the cluster.
    init(of shardCount: Int) { self.shardCount = shardCount }

    /// A part of every shard, all awaited.
    ///
    /// - Parameter shardCount: Shards of the cluster.
    init(awaitingAllOf shardCount: Int) {
        self.shardCount = shardCount
        targets = ShardSet(count: shardCount)
        awaited = targets
    }

    /// Gives a shard a part, which it is asked for.
    mutating func expect(_ shard: Int) {
        targets.insert(shard)
        awaited.insert(shard)
    }

    /// Gives a shard a part, which it cannot be asked for.
    mutating func miss(_ shard: Int, _ error: OmenError) {
        targets.insert(shard)
        failures.append(ShardFailure(shard: UInt32(shard), error: error))
    }

    /// Ends the waiting for a shard: its part is done, or missing for good because of `error`.
    ///
    /// Does nothing when the shard is not awaited. A drop that was applied and whose confirmation
    /// is missing is no failure of the request.
    mutating func settle(_ shard: Int, _ error: OmenError?) {
        guard awaited.contains(shard) else { return }
        awaited.remove(shard)
        guard !answered.contains(shard) else { return }
        if let error {
            failures.append(ShardFailure(shard: UInt32(shard), error: error))
        } else {
            answered.insert(shard)
        }
    }

    /// Notes the answer of a shard that stays awaited, because it is asked something else.
    mutating func noteAnswer(_ shard: Int, _ error: OmenError?) {
        answered.insert(shard)
        if let error { failures.append(ShardFailure(shard: UInt32(shard), error: error)) }
    }

    /// Ends the waiting for all shards.
    mutating func stopWaiting() { awaited = ShardSet() }

    /// Replaces failures that only follow from others.
    mutating func replaceFailures(_ replacement: (ShardFailure) -> ShardFailure) {
        failures = failures.map(replacement)
    }

    /// Which shards answered, for the client.
    var coverage: Coverage {
        Coverage(
            shardsTotal: UInt32(shardCount),
            failures: failures.sorted { $0.shard < $1.shard }
        )
    }

    /// The error that speaks for the whole request when no shard did its part.
    ///
    /// Any unknown outcome makes the whole unknown; otherwise a code all shards agree on is passed
    /// on, and `.unavailable` sums up the rest.
    var commonFailure: OmenError? {
        guard !failures.isEmpty, failures.count >= targets.count else { return nil }
        let failures = failures.sorted { $0.shard < $1.shard }
        if let unknown = failures.first(where: { $0.error.code == .unknownOutcome }) {
            return unknown.error
        }
        guard failures.allSatisfy({ $0.error.code == failures[0].error.code }) else {
            let reasons = failures.map { "\($0.shard): \($0.error)" }
            return OmenError(
                .unavailable,
                "no shard answered: \(reasons.joined(separator: "; "))"
            )
        }
        return failures[0].error
    }
}
