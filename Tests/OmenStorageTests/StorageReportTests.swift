import OmenCore
import Testing

@testable import OmenStorage

@Suite struct StorageReportTests {
    /// Two shards; the second has two checkpoints, a sealed and an open log segment.
    private static func makeData(_ scratch: Scratch) throws -> ClusterManifest {
        var cluster = try ClusterManifest(
            uuid: ClusterUUID(high: 1, low: 2),
            shardCount: 2
        )
        try cluster.store(scratch.directory)
        for shard in 0..<2 {
            let directory = DataDirectory.shard(shard, in: scratch.directory)
            try directory.create()
            let identity = cluster.identity(ofShard: shard)
            let log = try LogRecovery.open(
                directory,
                identity: identity,
                from: 1,
                mustExist: false,
                nonce: UInt64(shard),
                visit: { _, _ in }
            )
            var manifest = ShardManifest(identity: identity, history: 7)
            let appender = try LogAppender(
                directory: directory,
                identity: identity,
                continuing: log.continuation
            )
            _ = appender.append(batch(1, 3), sync: true)
            if shard == 1 {
                manifest = manifest.advanced(to: try checkpoint(2, directory, identity))
                _ = appender.rotate(nonce: 77)
                _ = appender.append(batch(4, 2), sync: true)
                manifest = manifest.advanced(to: try checkpoint(5, directory, identity))
            }
            try manifest.store(directory)
            _ = appender.finish()
            cluster[progressOfShard: shard] = ShardProgress(
                history: manifest.history,
                generation: manifest.generation,
                durableLSN: manifest.current.appliedLSN
            )
        }
        try cluster.store(scratch.directory)
        return cluster
    }

    private static func checkpoint(
        _ lsn: UInt64,
        _ directory: Directory,
        _ identity: ShardIdentity
    ) throws -> ShardCheckpoint {
        let name = ShardFileName.make(lsn: lsn, ordinal: 0)
        let bytes = MappedFile(copying: [UInt8](repeating: 7, count: 5000))
        let schema = CollectionSchema(dim: 4)
        _ = try ShardFileWriter.write(
            directory: directory,
            name: name,
            identity: identity,
            collection: "default",
            schema: schema,
            lsn: lsn,
            sections: [
                FileSection(
                    kind: 1,
                    base: try #require(bytes.bytes.baseAddress),
                    byteCount: 5000,
                    isLazy: true
                )
            ]
        )
        withExtendedLifetime(bytes) {}
        return ShardCheckpoint(
            appliedLSN: lsn,
            collections: [.init(name: "default", schema: schema, file: name)]
        )
    }

    /// Every file's bytes, to show that verification changes nothing.
    private static func picture(_ directory: Directory) throws -> [String: [UInt8]] {
        var picture: [String: [UInt8]] = [:]
        for name in try directory.names() {
            let path = directory.path(of: name)
            if let bytes = try? directory.read(name, byteCountMax: 1 << 30) {
                picture[path] = bytes
            } else {
                picture.merge(try Self.picture(Directory(path))) { one, _ in one }
            }
        }
        return picture
    }

    private static func flip(_ name: String, at offset: Int, in directory: Directory) throws {
        let bytes = try directory.read(name, byteCountMax: 1 << 30) ?? []
        let file = try File(directory.path(of: name), .readWrite)
        try writeAll([bytes[offset] ^ 1], to: file, at: offset)
    }

    @Test func aSoundDirectoryHasNoFindings() throws {
        let scratch = try Scratch()
        _ = try Self.makeData(scratch)
        let before = try Self.picture(scratch.directory)
        let report = try verifyDataDirectory(scratch.directory) { _, _ in }
        #expect(report.problems == [])
        #expect(report.notes == [])
        #expect(report.shardCount == 2)
        #expect(report.shardFileCount == 2)
        #expect(report.logSegmentCount == 3)
        #expect(report.logRecordCount == 6)
        #expect(report.logTimes.map(\.shard) == [0, 1])
        for times in report.logTimes {
            #expect(times.wallMicroseconds.lowerBound >= 10)
            #expect(times.wallMicroseconds.upperBound <= 60)
        }
        #expect(report.byteCount > 30_000)
        #expect(try Self.picture(scratch.directory) == before)
    }

    @Test func namesFileAndOffsetOfEachDamage() throws {
        let one = "ckpt-0000000000000002-0000.omd"
        let log = "log-0000000000000001.wal"
        // In a lazy section, in a manifest, in a sealed segment, in records that a mark covers.
        for (shard, name, offset) in [
            (1, one, 4096 + 99), (1, "MANIFEST", 30), (1, log, 130), (0, log, 130),
        ] {
            let scratch = try Scratch()
            _ = try Self.makeData(scratch)
            let directory = DataDirectory.shard(shard, in: scratch.directory)
            try Self.flip(name, at: offset, in: directory)
            let report = try verifyDataDirectory(scratch.directory) { _, _ in }
            #expect(report.problems.count == 1, "\(name)")
            let text = report.problems.first?.description ?? ""
            #expect(text.contains(directory.path(of: name)), "\(text)")
            if name == log { #expect(report.problems.first?.offset == 64, "\(text)") }
            if name == one { #expect(text.contains("offset 4096"), "\(text)") }
        }
    }

    @Test func missingFilesAreProblems() throws {
        for (shard, name) in [
            (1, "ckpt-0000000000000002-0000.omd"), (1, "ckpt-0000000000000005-0000.omd"),
            (1, "log-0000000000000001.wal"), (1, "log-0000000000000004.wal"),
            (0, "log-0000000000000001.wal"), (1, "MANIFEST"),
        ] {
            let scratch = try Scratch()
            _ = try Self.makeData(scratch)
            try DataDirectory.shard(shard, in: scratch.directory).remove(name)
            let report = try verifyDataDirectory(scratch.directory) { _, _ in }
            #expect(!report.problems.isEmpty, "\(name)")
        }
        let scratch = try Scratch()
        let report = try verifyDataDirectory(scratch.directory) { _, _ in }
        #expect(report.problems.map(\.what) == ["is missing"])
    }

    @Test func filesOfAnotherShardAreProblems() throws {
        let scratch = try Scratch()
        let cluster = try Self.makeData(scratch)
        var report = StorageReport()
        try verifyShardDirectory(
            DataDirectory.shard(1, in: scratch.directory),
            identity: cluster.identity(ofShard: 0),
            into: &report
        )
        #expect(report.problems.allSatisfy { $0.what.contains("belongs to shard 1") })
        #expect(report.problems.count == 2)
    }

    @Test func unfinishedTailsAndLeftoversAreNotes() throws {
        let scratch = try Scratch()
        _ = try Self.makeData(scratch)
        let directory = DataDirectory.shard(0, in: scratch.directory)
        let name = "log-0000000000000001.wal"
        let bytes = try directory.read(name, byteCountMax: 1 << 30) ?? []
        let end = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
        let file = try File(directory.path(of: name), .readWrite)
        try writeAll([1, 2, 3], to: file, at: end)
        let leftover = try File(directory.path(of: "MANIFEST.tmp"), .create)
        try leftover.close()
        let report = try verifyDataDirectory(scratch.directory) { _, _ in }
        #expect(report.problems == [])
        #expect(report.notes.count == 2)
        #expect(report.notes.contains { $0.offset == end })
    }

    @Test func aRunningClusterIsNotVerified() throws {
        let scratch = try Scratch()
        _ = try Self.makeData(scratch)
        for path in [
            scratch.directory.path(of: "cluster.lock"),
            DataDirectory.shard(1, in: scratch.directory).path(of: "lock"),
        ] {
            let lock = try LockFile.acquire(path)
            let error = #expect(throws: OmenError.self) {
                try verifyDataDirectory(scratch.directory) { _, _ in }
            }
            #expect(error?.code == .locked)
            withExtendedLifetime(lock) {}
        }
    }
}
