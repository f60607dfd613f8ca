/// Which shards an answer speaks for.
///
/// Every answer that several shards give together carries one; a database in one process has one
/// shard.
package struct Coverage: Equatable, Sendable {
    package var shardsTotal: UInt32
    /// Shards whose part is missing, ascending; empty when the answer is whole.
    package var failures: [ShardFailure]

    package init(shardsTotal: UInt32, failures: [ShardFailure] = []) {
        self.shardsTotal = shardsTotal
        self.failures = failures
    }

    package var isPartial: Bool { !failures.isEmpty }
    package var shardsAnswered: Int { Int(shardsTotal) - failures.count }
}

/// Why a shard's part of a request is missing.
package struct ShardFailure: Equatable, Sendable {
    package var shard: UInt32
    package var error: OmenError

    package init(shard: UInt32, error: OmenError) {
        self.shard = shard
        self.error = error
    }
}
