/// Which shard has each hash slot: the one place that knows how ids are spread over shards.
///
/// An id falls into a slot for ever (`slot(of:)`), and a slot is given to a shard by this table, so
/// that records can move without another hash. Each change makes a table with the next version.
package struct SlotTable: Equatable, Sendable {
    /// Counts the tables of a cluster from 1.
    package let version: UInt64
    /// Shards of the cluster.
    package let shardCount: Int
    /// The largest part of the slots that one shard has, from `1 / shardCount` to 1.
    package let largestShare: Double
    /// Shard of each slot; shape `[Limits.slotCount]`.
    private let shards: [UInt8]

    /// A table.
    ///
    /// - Parameters:
    ///   - version: As the property; not 0.
    ///   - shards: Shard of each slot; shape `[Limits.slotCount]`, each below `shardCount`.
    ///   - shardCount: `1...Limits.shardCountMax`.
    /// - Throws: `.badRequest` naming what is out of range.
    /// - Complexity: O(`Limits.slotCount`).
    package init(version: UInt64, shards: [UInt8], shardCount: Int) throws(OmenError) {
        guard (1...Limits.shardCountMax).contains(shardCount) else {
            throw OmenError(
                .badRequest,
                "\(shardCount) shards, expected 1...\(Limits.shardCountMax)"
            )
        }
        // Versions are counted on: the next one must exist.
        guard (1..<1 << 62).contains(version) else {
            throw OmenError(.badRequest, "slot table of version \(version)")
        }
        guard shards.count == Limits.slotCount else {
            throw OmenError(
                .badRequest,
                "slot table has \(shards.count) entries, expected \(Limits.slotCount)"
            )
        }
        var counts = [Int](repeating: 0, count: shardCount)
        for (slot, shard) in shards.enumerated() {
            guard shard < shardCount else {
                throw OmenError(
                    .badRequest,
                    "slot \(slot) belongs to shard \(shard) of \(shardCount)"
                )
            }
            counts[Int(shard)] += 1
        }
        self.version = version
        self.shardCount = shardCount
        self.shards = shards
        largestShare = Double(counts.max() ?? 0) / Double(Limits.slotCount)
    }

    /// The table of a new cluster, which deals the slots to the shards in turn.
    ///
    /// - Parameter shardCount: `1...Limits.shardCountMax`.
    /// - Throws: `.badRequest` for another number of shards.
    package init(evenlyOver shardCount: Int) throws(OmenError) {
        let divisor = max(1, min(shardCount, Limits.shardCountMax))
        try self.init(
            version: 1,
            shards: (0..<Limits.slotCount).map { UInt8($0 % divisor) },
            shardCount: shardCount
        )
    }

    /// The shard that has the records of an id.
    ///
    /// - Parameter id: Any id, whether or not there is a record.
    /// - Returns: A number below `shardCount`.
    package func shard(of id: RecordID) -> Int { Int(shards[slot(of: id)]) }

    /// The next table, in which some slots belong to another shard.
    ///
    /// - Parameters:
    ///   - slots: Slots that move, each below `Limits.slotCount`.
    ///   - shard: The shard that gets them.
    /// - Returns: A table of the next version.
    /// - Throws: `.badRequest` for a shard that there is not.
    package func moving(
        _ slots: some Sequence<Int>,
        to shard: Int
    ) throws(OmenError) -> SlotTable {
        guard (0..<shardCount).contains(shard) else {
            throw OmenError(.badRequest, "shard \(shard) of \(shardCount)")
        }
        var shards = shards
        for slot in slots { shards[slot] = UInt8(shard) }
        return try SlotTable(version: version + 1, shards: shards, shardCount: shardCount)
    }

    /// Appends the table to a manifest; layout: version `u64`, then the shard of each slot, `u8`.
    ///
    /// - Parameter writer: What is appended to.
    package func encode(into writer: inout ByteWriter) {
        writer.write(version)
        writer.write(raw: shards)
    }

    /// Reads what `encode` wrote.
    ///
    /// - Parameters:
    ///   - reader: Stands at the table.
    ///   - shardCount: Shards of the cluster.
    /// - Throws: `.badRequest` naming what is out of range, or as `reader` for too few bytes.
    package init(from reader: inout ByteReader, shardCount: Int) throws(OmenError) {
        let version = try reader.read(UInt64.self)
        let shards = Array(try reader.read(count: Limits.slotCount))
        try self.init(version: version, shards: shards, shardCount: shardCount)
    }
}
