internal import OmenCore

/// A set of shards as one bit each; iterates in ascending order.
package struct ShardSet: Equatable, Sendable {
    private(set) var bits: UInt64 = 0

    init() {}

    init(bits: UInt64) { self.bits = bits }

    /// Shards `0..<count`.
    init(count: Int) {
        precondition((0...Limits.shardCountMax).contains(count), "\(count) shards")
        bits = count == 64 ? .max : (1 << UInt64(count)) - 1
    }

    init(_ shard: Int) { insert(shard) }

    package var isEmpty: Bool { bits == 0 }
    package var count: Int { bits.nonzeroBitCount }

    package func contains(_ shard: Int) -> Bool { bits & bit(shard) != 0 }

    mutating func insert(_ shard: Int) { bits |= bit(shard) }

    mutating func remove(_ shard: Int) { bits &= ~bit(shard) }

    func union(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits | other.bits) }

    func intersection(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits & other.bits) }

    func subtracting(_ other: ShardSet) -> ShardSet { ShardSet(bits: bits & ~other.bits) }

    private func bit(_ shard: Int) -> UInt64 {
        precondition((0..<Limits.shardCountMax).contains(shard), "shard \(shard)")
        return 1 << UInt64(shard)
    }
}

extension ShardSet: Sequence {
    package struct Iterator: IteratorProtocol {
        private var bits: UInt64

        init(bits: UInt64) { self.bits = bits }

        package mutating func next() -> Int? {
            guard bits != 0 else { return nil }
            let shard = bits.trailingZeroBitCount
            bits &= bits - 1
            return shard
        }
    }

    package func makeIterator() -> Iterator { Iterator(bits: bits) }
}

extension ShardSet: CustomStringConvertible {
    package var description: String { Array(self).description }
}
