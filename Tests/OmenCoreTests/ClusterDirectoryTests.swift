import OmenCore
import Testing

@Suite struct ClusterDirectoryTests {
    /// A directory through its bytes.
    private static func decoded(_ bytes: [UInt8]) throws -> ClusterDirectory {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let directory = try ClusterDirectory(from: &reader)
            try reader.expectEnd()
            return directory
        }
    }

    private static func encoded(_ directory: ClusterDirectory) -> [UInt8] {
        var writer = ByteWriter(reserving: directory.encodedByteCount)
        directory.encode(into: &writer)
        return writer.bytes
    }

    private static func expectBadRequest(_ text: String, _ body: () throws -> some Any) {
        let error = #expect(throws: OmenError.self) { try body() }
        #expect(error?.code == .badRequest)
        #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [1, 2, 3, 63, 64]) func aNewTableDealsTheSlotsInTurn(shards: Int) throws {
        let table = try SlotTable(evenlyOver: shards)
        #expect(table.version == 1)
        #expect(table.shardCount == shards)
        for number in 0..<UInt64(1000) {
            let id = RecordID.number(number)
            #expect(table.shard(of: id) == slot(of: id) % shards)
        }
        let most = (Limits.slotCount + shards - 1) / shards
        #expect(table.largestShare == Double(most) / Double(Limits.slotCount))
    }

    @Test func movingSlotsMakesTheNextVersion() throws {
        let id = RecordID.number(4711)
        let table = try SlotTable(evenlyOver: 2)
        let other = 1 - table.shard(of: id)
        let next = try table.moving([slot(of: id)], to: other)
        #expect(next.version == 2)
        #expect(next.shard(of: id) == other)
        #expect(next.largestShare > table.largestShare)
        Self.expectBadRequest("shard 2 of 2") { try table.moving([0], to: 2) }
    }

    @Test func tablesThatLieAreRefusedByName() {
        let even = [UInt8](repeating: 0, count: Limits.slotCount)
        for count in [-1, 0, 65] {
            Self.expectBadRequest("\(count) shards") { try SlotTable(evenlyOver: count) }
            Self.expectBadRequest("\(count) shards") {
                try SlotTable(version: 1, shards: even, shardCount: count)
            }
        }
        for version in [0, 1 << 62, UInt64.max] {
            Self.expectBadRequest("version \(version)") {
                try SlotTable(version: version, shards: even, shardCount: 1)
            }
        }
        Self.expectBadRequest("16383 entries") {
            try SlotTable(version: 1, shards: Array(even.dropLast()), shardCount: 1)
        }
        var stray = even
        stray[16_000] = 3
        Self.expectBadRequest("slot 16000 belongs to shard 3 of 3") {
            try SlotTable(version: 1, shards: stray, shardCount: 3)
        }
    }

    @Test func eachShardHasOneReplicaThatServesIt() throws {
        var directory = try ClusterDirectory(shardCount: 5)
        #expect(directory.replicas.map(\.id.shard) == [0, 1, 2, 3, 4])
        let replica = directory.replica(serving: 3)
        #expect(replica == ReplicaID(shard: 3))
        let reached = ShardProgress(history: 1, generation: 2, durableLSN: 3)
        directory[progress: replica] = reached
        #expect(directory[progress: replica] == reached)
        #expect(directory.replicas.map(\.progress.history) == [0, 0, 0, 1, 0])
    }

    @Test func aDirectoryComesBackAsItWasEncoded() throws {
        var directory = try ClusterDirectory(shardCount: 3)
        directory[progress: ReplicaID(shard: 2)] = ShardProgress(
            history: 7,
            generation: 8,
            durableLSN: 9
        )
        let bytes = Self.encoded(directory)
        #expect(bytes.count == directory.encodedByteCount)
        #expect(try Self.decoded(bytes) == directory)
        for count in stride(from: 0, to: bytes.count, by: 97) {
            #expect(throws: OmenError.self) { try Self.decoded(Array(bytes[..<count])) }
        }
    }

    @Test func replicasThatThisVersionCannotServeAreRefusedByName() throws {
        let directory = try ClusterDirectory(shardCount: 2)
        let (first, second) = (directory.replicas[0], directory.replicas[1])
        Self.expectBadRequest("1 replicas of 2 shards") {
            try ClusterDirectory(slots: directory.slots, replicas: [first])
        }
        Self.expectBadRequest("shard 1, replica 0 stands where shard 0") {
            try ClusterDirectory(slots: directory.slots, replicas: [second, first])
        }
        // The number of the second replica, the last 28 bytes but 4.
        var bytes = Self.encoded(directory)
        bytes[bytes.count - ShardProgress.byteCount - 4] = 1
        Self.expectBadRequest("shard 1, replica 1 stands where shard 1") {
            try Self.decoded(bytes)
        }
    }
}
