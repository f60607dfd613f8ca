package import OmenCore

/// What a frame is about: the cluster, the shard and the epoch in its header.
///
/// Both ends of a connection name the same ones in every frame, and refuse a frame that names
/// others.
package struct FrameScope: Equatable, Sendable {
    /// The cluster; `.unknown` in frames of a client that has not heard from it yet.
    package var cluster: ClusterUUID
    /// The shard between a coordinator and a worker; `noShard` between clients and a coordinator.
    package var shard: UInt32
    /// Names one process of a shard's worker under one coordinator, between these two; 0 between
    /// clients and a coordinator.
    ///
    /// The coordinator draws a number for each process that it starts, so that no process of
    /// another shard, another replica, another start or another coordinator has the same. Epochs
    /// are compared for being equal; they have no order.
    package var epoch: UInt64

    /// In place of a shard on the connections of clients.
    package static let noShard = UInt32.max
    /// In place of an epoch on the connections of clients.
    package static let noEpoch: UInt64 = 0

    /// A scope.
    ///
    /// - Parameters:
    ///   - cluster: As the property.
    ///   - shard: As the property.
    ///   - epoch: As the property.
    package init(cluster: ClusterUUID, shard: UInt32, epoch: UInt64) {
        self.cluster = cluster
        self.shard = shard
        self.epoch = epoch
    }

    /// The scope of what clients and a coordinator send each other.
    ///
    /// - Parameter cluster: The cluster, as far as the sender knows it.
    /// - Returns: A scope without a shard and an epoch.
    package static func clients(of cluster: ClusterUUID = .unknown) -> FrameScope {
        FrameScope(cluster: cluster, shard: noShard, epoch: noEpoch)
    }

    /// An epoch for a new process.
    package static func drawEpoch() -> UInt64 { .random(in: (noEpoch + 1) ... .max) }

    /// Makes sure that a frame of this scope belongs on a connection of another.
    ///
    /// - Parameter expected: The scope of the connection.
    /// - Throws: `.protocolViolation`, naming what was expected and what was seen.
    func check(_ expected: FrameScope) throws(OmenError) {
        guard cluster == expected.cluster else {
            throw OmenError(
                .protocolViolation,
                "the frame is of cluster \(cluster), expected \(expected.cluster)"
            )
        }
        guard shard == expected.shard else {
            throw OmenError(
                .protocolViolation,
                "the frame is of \(Self.text(shard)), expected \(Self.text(expected.shard))"
            )
        }
        guard epoch == expected.epoch else {
            throw OmenError(
                .protocolViolation,
                "the frame is of epoch \(epoch), expected \(expected.epoch)"
            )
        }
    }

    /// A shard for people.
    private static func text(_ shard: UInt32) -> String {
        shard == noShard ? "no shard" : "shard \(shard)"
    }
}
