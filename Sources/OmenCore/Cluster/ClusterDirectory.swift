/// Who has which part of a cluster's records: the slot table, and the replicas of each shard.
///
/// It is what a coordinator routes by, and part of the cluster's manifest: the coordinator's core
/// owns it while a cluster runs, and has every change of it stored.
///
/// Invariants: replicas ascend by id, and each shard has at least one.
package struct ClusterDirectory: Equatable, Sendable {
    /// What is known of one replica.
    package struct Replica: Equatable, Sendable {
        /// Its name.
        package let id: ReplicaID
        /// How far it had come, apart from what its own files say.
        package var progress: ShardProgress
    }

    /// Which shard has each hash slot.
    package let slots: SlotTable
    /// All replicas, ascending by id.
    package private(set) var replicas: [Replica]
    /// The replica that serves each shard; shape `[shardCount]`.
    @usableFromInline let serving: [ReplicaID]

    /// The directory of a new cluster, in which each shard has one replica that has not begun.
    ///
    /// - Parameter shardCount: `1...Limits.shardCountMax`.
    /// - Throws: `.badRequest` for another number of shards.
    package init(shardCount: Int) throws(OmenError) {
        let slots = try SlotTable(evenlyOver: shardCount)
        let replicas = (0..<shardCount).map {
            Replica(id: ReplicaID(shard: $0), progress: .notBegun)
        }
        try self.init(slots: slots, replicas: replicas)
    }

    /// A directory.
    ///
    /// - Parameters:
    ///   - slots: Which shard has each hash slot.
    ///   - replicas: Ascending by id. This version serves one replica of each shard, number 0.
    /// - Throws: `.badRequest` when the replicas are not those of the shards.
    package init(slots: SlotTable, replicas: [Replica]) throws(OmenError) {
        guard replicas.count == slots.shardCount else {
            throw OmenError(
                .badRequest,
                "\(replicas.count) replicas of \(slots.shardCount) shards, this version serves one of each"
            )
        }
        for (shard, replica) in replicas.enumerated() where replica.id != ReplicaID(shard: shard) {
            throw OmenError(
                .badRequest,
                "\(replica.id) stands where shard \(shard), replica 0 is expected"
            )
        }
        self.slots = slots
        self.replicas = replicas
        serving = replicas.map(\.id)
    }

    /// Shards of the cluster.
    package var shardCount: Int { slots.shardCount }

    /// The numbers of all shards.
    package var shards: Range<Int> { 0..<slots.shardCount }

    /// The replica that is asked for a shard's part of a request.
    ///
    /// - Parameter shard: Below `shardCount`.
    /// - Returns: One of the shard's replicas.
    @inlinable package func replica(serving shard: Int) -> ReplicaID { serving[shard] }

    /// How far a replica had come.
    ///
    /// - Precondition: The replica is in the directory.
    package subscript(progress replica: ReplicaID) -> ShardProgress {
        get { replicas[position(replica)].progress }
        set { replicas[position(replica)].progress = newValue }
    }

    /// Index of a replica that must be in the directory.
    private func position(_ replica: ReplicaID) -> Int {
        guard let index = replicas.firstIndex(where: { $0.id == replica }) else {
            preconditionFailure("no \(replica)")
        }
        return index
    }
}

// MARK: Encoding

extension ClusterDirectory: ByteEncodable {
    /// Bytes of one encoded replica.
    private static let replicaByteCount = 8 + ShardProgress.byteCount

    /// Appends the directory to a manifest.
    ///
    /// Layout: shard count `u32`, slot table, replica count `u32`, then of each replica: shard
    /// `u32`, number `u32`, progress.
    /// - Parameter writer: What is appended to.
    package func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(shardCount))
        slots.encode(into: &writer)
        writer.write(UInt32(replicas.count))
        for replica in replicas {
            writer.write(UInt32(replica.id.shard))
            writer.write(UInt32(replica.id.number))
            replica.progress.encode(into: &writer)
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// - Parameter reader: Stands at the directory.
    /// - Throws: `.badRequest` or `.corrupt` naming what is out of range, or as `reader` for too
    ///   few bytes.
    package init(from reader: inout ByteReader) throws(OmenError) {
        let shardCount = Int(try reader.read(UInt32.self))
        let slots = try SlotTable(from: &reader, shardCount: shardCount)
        let count = Int(try reader.read(UInt32.self))
        guard count == reader.remaining / Self.replicaByteCount else {
            throw OmenError(.corrupt, "\(count) replicas in \(reader.remaining) bytes")
        }
        var replicas: [Replica] = []
        replicas.reserveCapacity(count)
        for _ in 0..<count {
            let shard = Int(try reader.read(UInt32.self))
            let id = ReplicaID(shard: shard, number: Int(try reader.read(UInt32.self)))
            replicas.append(Replica(id: id, progress: try ShardProgress(from: &reader)))
        }
        try self.init(slots: slots, replicas: replicas)
    }
}
