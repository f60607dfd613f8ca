/// Names one replica: a copy of a shard, with files and a worker of its own.
///
/// A shard is a part of the records, a replica is a place where that part lies. Today each shard
/// has one replica, number 0.
package struct ReplicaID: Hashable, Sendable {
    /// The shard whose records it has; counted from 0.
    package let shard: Int
    /// Which of the shard's replicas it is; counted from 0.
    package let number: Int

    /// The name of a replica.
    ///
    /// - Parameters:
    ///   - shard: As the property.
    ///   - number: As the property.
    package init(shard: Int, number: Int = 0) {
        self.shard = shard
        self.number = number
    }
}

extension ReplicaID: Comparable {
    /// By shard, then by number.
    package static func < (left: ReplicaID, right: ReplicaID) -> Bool {
        (left.shard, left.number) < (right.shard, right.number)
    }
}

extension ReplicaID: CustomStringConvertible {
    /// Both numbers, for messages.
    package var description: String { "shard \(shard), replica \(number)" }
}
