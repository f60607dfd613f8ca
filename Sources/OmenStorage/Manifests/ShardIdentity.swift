package import OmenCore

/// Which shard of which cluster some bytes belong to; seeds their checksums, so that a file of
/// another shard never passes for ours.
package struct ShardIdentity: Hashable, Sendable {
    package var cluster: ClusterUUID
    package var shard: UInt32

    package static let encodedByteCount = 20

    package init(cluster: ClusterUUID, shard: UInt32) {
        self.cluster = cluster
        self.shard = shard
    }

    /// Layout: `UInt32` shard, `UInt64` high and low half of the cluster's UUID.
    func encode(into writer: inout ByteWriter) {
        writer.write(shard)
        writer.write(cluster.high)
        writer.write(cluster.low)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        shard = try reader.read(UInt32.self)
        let high = try reader.read(UInt64.self)
        cluster = ClusterUUID(high: high, low: try reader.read(UInt64.self))
    }

    /// CRC-32C of the identity and then of `extra`: where other checksums start.
    func checksumSeed(_ extra: UInt64...) -> UInt32 {
        var writer = ByteWriter(reserving: Self.encodedByteCount + extra.count * 8)
        encode(into: &writer)
        for value in extra { writer.write(value) }
        return crc32c(writer.bytes)
    }
}

extension ShardIdentity: CustomStringConvertible {
    package var description: String { "shard \(shard) of cluster \(cluster)" }
}
