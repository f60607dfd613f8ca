internal import OmenCore

/// A set of shards as one bit each; iterates in ascending order.
package struct ShardSet: Equatable, Sendable {
    /// Bit s is set when shard s is in the set.
    private(set) var bits: UInt64 = 0

    /// No shard.
    init() {}

    /// Shards by their bits.
    init(bits: UInt64) { self.bits = bits }

    /// Shards `0..<count`.
    init(count: Int) {
        precondition((0...Limits.shardCountMax).contains(count), "\(count) shards")
        bits = count == 64 ? .max : (1 << UInt64(count)) - 1
    }

    /// One shard.
    init(_ shard: Int) { insert(shard) }

    /// Whether there is no shard in it.
    package var isEmpty: Bool { bits == 0 }
    /// Shards in it, at most `Limits.shardCountMax`.
    package var count: Int { bits.nonzeroBitCount }

    /// Whether a shard is in it.
    ///
    /// - Parameter shard: Its number.
    /// - Returns: Whether it is.
    /// - Precondition: `shard` is below `Limits.shardCountMax`.
    package func contains(_ shard: Int) -> Bool { bits & bit(shard) != 0 }

    /// Adds a shard; nothing happens when it is there.
    mutating func insert(_ shard: Int) { bits |= bit(shard) }

    /// Takes a shard out; nothing happens when it is not there.
    mutating func remove(_ shard: Int) { bits &= ~bit(shard) }

    /// The shards that are in either set.
    func union(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits | other.bits) }

    /// The shards that are in both sets.
    func intersection(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits & other.bits) }

    /// The shards that are not in `other`.
    func subtracting(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits & ~other.bits) }

    /// The bit of a shard; a number over the limit is an error of ours.
    private func bit(_ shard: Int) -> UInt64 {
        precondition((0..<Limits.shardCountMax).contains(shard), "shard \(shard)")
        return 1 << UInt64(shard)
    }
}

extension ShardSet: Sequence {
    /// Gives the shards of a set one by one.
    package struct Iterator: IteratorProtocol {
        /// The shards that are still to come.
        private var bits: UInt64

        /// Begins with the lowest shard.
        init(bits: UInt64) { self.bits = bits }

        /// The next shard; nil after the last.
        package mutating func next() -> Int? {
            guard bits != 0 else { return nil }
            let shard = bits.trailingZeroBitCount
            bits &= bits - 1
            return shard
        }
    }

    /// Begins to go through the shards, in ascending order.
    package func makeIterator() -> Iterator { Iterator(bits: bits) }
}

extension ShardSet: CustomStringConvertible {
    /// The numbers in brackets, such as `[0, 2]`.
    package var description: String { Array(self).description }
}
