import OmenCore
import Testing

@testable import OmenStorage

@Suite struct ManifestTests {
    private static func checkpoint(_ lsn: UInt64, files: Int = 1) -> ShardCheckpoint {
        ShardCheckpoint(
            appliedLSN: lsn,
            lastVersion: 1_700_000_000_000_000 + lsn,
            collections: (0..<files).map { index in
                ShardCheckpoint.Collection(
                    name: "c\(index)",
                    schema: CollectionSchema(dim: 8 + index),
                    file: ShardFileName.make(lsn: lsn, ordinal: UInt16(index))
                )
            },
            requests: (0..<3).map { index in
                RememberedRequest(
                    key: RequestKey(client: 5, sequence: lsn + index),
                    counts: WriteCounts(upserted: 1, replaced: index, deleted: 2)
                )
            }
        )
    }

    private static let manifest = ShardManifest(identity: testIdentity, history: 7)
        .advanced(to: checkpoint(10, files: 2))
        .advanced(to: checkpoint(25, files: 3))

    @Test func aShardManifestComesBackAsItWasStored() throws {
        let scratch = try Scratch()
        #expect(try ShardManifest.load(scratch.directory, identity: testIdentity) == nil)
        let empty = ShardManifest(identity: testIdentity, history: 7)
        for manifest in [empty, empty.advanced(to: Self.checkpoint(3)), Self.manifest] {
            try manifest.store(scratch.directory)
            let found = try ShardManifest.load(scratch.directory, identity: testIdentity)
            #expect(found == manifest)
        }
        #expect(try scratch.directory.names() == [ShardManifest.fileName])
        #expect(Self.manifest.generation == 2)
        #expect(Self.manifest.previous?.appliedLSN == 10)
    }

    @Test func aClusterManifestComesBackAsItWasStored() throws {
        let scratch = try Scratch()
        #expect(try ClusterManifest.load(scratch.directory) == nil)
        var manifest = try ClusterManifest(uuid: .random(), shardCount: 5)
        manifest[progressOfShard: 3] = ShardProgress(history: 9, generation: 8, durableLSN: 7)
        try manifest.store(scratch.directory)
        #expect(try ClusterManifest.load(scratch.directory) == manifest)
        #expect(manifest.shardCount == 5)
        #expect(manifest.identity(ofShard: 2).shard == 2)
        // What a later version does: slots move, and the table is told by its version.
        let moved = try manifest.cluster.slots.moving([7], to: 4)
        manifest.cluster = try ClusterDirectory(
            slots: moved,
            replicas: manifest.cluster.replicas
        )
        try manifest.store(scratch.directory)
        #expect(try ClusterManifest.load(scratch.directory)?.cluster.slots == moved)
        #expect(moved.version == 2)
        for count in [0, -1, 65] {
            let error = #expect(throws: OmenError.self) {
                try ClusterManifest(uuid: manifest.uuid, shardCount: count)
            }
            #expect(error?.code == .badRequest)
        }
    }

    @Test func everyFlippedBitAndEveryCutOfAManifestIsRefused() throws {
        let cluster = try ClusterManifest(uuid: .random(), shardCount: 2).encode()
        let shard = Self.manifest.encode()
        for place in shard.indices {
            for bit in 0..<8 {
                var bytes = shard
                bytes[place] ^= 1 << bit
                Self.expectCorrupt { try ShardManifest.decode(bytes, path: "MANIFEST") }
            }
            Self.expectCorrupt {
                try ShardManifest.decode(Array(shard[..<place]), path: "MANIFEST")
            }
        }
        for place in stride(from: 0, to: cluster.count, by: 211) {
            var bytes = cluster
            bytes[place] ^= 1 << (place % 8)
            Self.expectCorrupt { try ClusterManifest.decode(bytes, path: "cluster") }
            Self.expectCorrupt {
                try ClusterManifest.decode(Array(cluster[..<place]), path: "cluster")
            }
        }
    }

    @Test func versionsAndHashesOfOtherBuildsAreRefusedByName() throws {
        var payload = ByteWriter()
        payload.write(UInt32(2))
        let magic: UInt64 = 0x5355_4C43_4E45_4D4F
        for (version, text) in [
            (UInt32(3), "slot hash 2"), (1, "manifest format 1"), (2, "manifest format 2"),
            (9, "manifest format 9"),
        ] {
            let bytes = ManifestEnvelope.encode(
                magic: magic,
                version: version,
                payload: payload.bytes
            )
            let error = #expect(throws: OmenError.self) {
                try ClusterManifest.decode(bytes, path: "/data/cluster.manifest")
            }
            #expect(error?.code == .unsupportedVersion)
            #expect(error?.message.contains(text) == true)
            #expect(error?.message.contains("/data/cluster.manifest") == true)
        }
    }

    /// Format 2 had no last version.
    @Test func shardManifestsOfOtherBuildsAreRefusedByName() throws {
        let magic: UInt64 = 0x4D52_4853_4E45_4D4F
        for version in [UInt32(1), 2, 9] {
            let bytes = ManifestEnvelope.encode(magic: magic, version: version, payload: [0])
            let error = #expect(throws: OmenError.self) {
                try ShardManifest.decode(bytes, path: "/data/MANIFEST")
            }
            #expect(error?.code == .unsupportedVersion)
            #expect(error?.message.contains("manifest format \(version)") == true)
        }
    }

    @Test func aVersionThatNoClockMakesIsDamage() throws {
        var checkpoint = Self.checkpoint(3)
        checkpoint.lastVersion = WriteVersions.limit
        let manifest = ShardManifest(identity: testIdentity, history: 7).advanced(to: checkpoint)
        Self.expectCorrupt { try ShardManifest.decode(manifest.encode(), path: "MANIFEST") }
    }

    @Test func anotherShardsManifestIsRefusedByName() throws {
        let scratch = try Scratch()
        try Self.manifest.store(scratch.directory)
        let other = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 3)
        let error = #expect(throws: OmenError.self) {
            try ShardManifest.load(scratch.directory, identity: other)
        }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains(scratch.directory.path) == true)
    }

    /// Checksummed payloads with extreme numbers: refused or read, never a trap.
    @Test(arguments: [UInt64(21), 22])
    func checksummedLiesInManifestsNeverTrap(seed: UInt64) throws {
        print("seed \(seed)")
        var generator = SplitMix64(seed: seed)
        let shard = Self.manifest.encode()
        let cluster = try ClusterManifest(uuid: .random(), shardCount: 2).encode()
        let extremes: [UInt32] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, .max]
        var refused = 0
        for round in 0..<2000 {
            let honest = round.isMultiple(of: 20) ? cluster : shard
            var payload = Array(honest[16..<(honest.count - 4)])
            let bound = min(payload.count - 4, 400)
            let place = Int.random(in: 0..<bound, using: &generator)
            let value = extremes.randomElement(using: &generator) ?? 0
            withUnsafeBytes(of: value.littleEndian) {
                payload.replaceSubrange(place..<place + 4, with: $0)
            }
            var magic: UInt64 = 0
            withUnsafeMutableBytes(of: &magic) { $0.copyBytes(from: honest[..<8]) }
            // Another version would be refused before the payload is read.
            var version: UInt32 = 0
            withUnsafeMutableBytes(of: &version) { $0.copyBytes(from: honest[8..<12]) }
            let bytes = ManifestEnvelope.encode(magic: magic, version: version, payload: payload)
            do {
                if round.isMultiple(of: 20) {
                    _ = try ClusterManifest.decode(bytes, path: "cluster")
                } else {
                    _ = try ShardManifest.decode(bytes, path: "MANIFEST")
                }
            } catch { refused += 1 }
        }
        #expect(refused > 400)
    }

    @Test func onlyWhatNeitherGenerationNeedsIsRemovable() {
        let manifest = Self.manifest
        let needed = manifest.current.collections + (manifest.previous?.collections ?? [])
        let names =
            needed.map(\.file) + [
                ShardFileName.make(lsn: 9, ordinal: 0), "ckpt-junk.omd", "MANIFEST", "lock",
                "MANIFEST.tmp",
                LogSegment.name(firstLSN: 1), LogSegment.name(firstLSN: 8),
                LogSegment.name(firstLSN: 11), LogSegment.name(firstLSN: 20),
            ]
        #expect(manifest.neededLSN == 11)
        #expect(
            manifest.removableFiles(among: names) == [
                "MANIFEST.tmp", ShardFileName.make(lsn: 9, ordinal: 0),
                LogSegment.name(firstLSN: 1), LogSegment.name(firstLSN: 8),
            ]
        )
        // LSN 11 lies in the segment that starts at 8.
        let straddling = [LogSegment.name(firstLSN: 8), LogSegment.name(firstLSN: 12)]
        #expect(manifest.removableFiles(among: straddling).isEmpty)
        // The first checkpoint keeps the whole log: before it there was nothing else.
        let first = ShardManifest(identity: testIdentity, history: 7).advanced(
            to: Self.checkpoint(10)
        )
        #expect(first.neededLSN == 1)
        let segments = [LogSegment.name(firstLSN: 1), LogSegment.name(firstLSN: 11)]
        #expect(first.removableFiles(among: segments).isEmpty)
    }

    @Test func namesFromFilesNeverLeadElsewhere() {
        #expect(ShardFileName.isValid(ShardFileName.make(lsn: .max, ordinal: .max)))
        #expect(ShardFileName.make(lsn: 255, ordinal: 1) == "ckpt-00000000000000ff-0001.omd")
        let good = ShardFileName.make(lsn: 1, ordinal: 2)
        for bad in [
            "", "../../etc/passwd", "ckpt-../../../../etc/pass-0001.omd", good.uppercased(),
            good + "x", "x" + good, "ckpt-00000000000000ff_0001.omd",
        ] {
            #expect(!ShardFileName.isValid(bad), "\(bad)")
        }
        #expect(LogSegment.firstLSN(of: LogSegment.name(firstLSN: 4711)) == 4711)
        for bad in ["log-1.wal", "log-00000000000000FF.wal", "log-+000000000000001.wal", "x"] {
            #expect(LogSegment.firstLSN(of: bad) == nil, "\(bad)")
        }
    }

    private static func expectCorrupt(_ body: () throws -> some Any) {
        let error = #expect(throws: OmenError.self) { try body() }
        #expect(error?.code == .corrupt)
    }
}
