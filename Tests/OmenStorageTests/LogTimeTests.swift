import OmenCore
import Testing

@testable import OmenStorage

/// The times that the frames of a log tell, and the versions that its records have.
@Suite struct LogTimeTests {
    private static func batch(_ firstLSN: UInt64, at time: UInt64) -> LogBatch {
        LogBatch(
            firstLSN: firstLSN,
            durableLSN: firstLSN - 1,
            wallMicroseconds: time,
            records: [record(firstLSN)]
        )
    }

    /// What each frame of a segment tells.
    private static func times(_ bytes: [UInt8]) throws -> [UInt64] {
        try bytes.withUnsafeBytes { bytes in
            let header = try #require(try LogSegmentHeader(bytes, of: "log"))
            var offset = LogSegmentHeader.byteCount
            var times: [UInt64] = []
            while let frame = LogFrame(bytes, at: offset, seed: header.seed) {
                times.append(frame.wallMicroseconds)
                offset += frame.totalByteCount
            }
            return times
        }
    }

    private static func examine(_ segments: [(name: String, bytes: [UInt8])]) throws -> LogScan {
        let files = segments.map { MappedFile(copying: $0.bytes) }
        defer { withExtendedLifetime(files) {} }
        return try LogScanner.examine(
            zip(segments, files).map { LogSegmentBytes(name: $0.name, bytes: $1.bytes) },
            identity: testIdentity,
            from: 1,
            visit: { _, _ in }
        )
    }

    /// "Everything before this was accepted at 90 or earlier" must stay true.
    @Test func timesInALogDoNotGoBackWithTheClock() throws {
        var log = LogFixture()
        log.append(Self.batch(1, at: 50))
        log.append(Self.batch(2, at: 90))
        log.append(Self.batch(3, at: 40))
        log.appendMark()
        log.append(Self.batch(4, at: 91))
        #expect(try Self.times(log.segments[0].bytes) == [50, 90, 90, 90, 91])
        let scan = try Self.examine([(log.segments[0].name, log.segments[0].bytes)])
        #expect(scan.wallMicroseconds == 50...91)
    }

    @Test func aLogWithoutRecordsCoversNoTime() throws {
        var log = LogFixture(firstLSN: 2)
        log.appendMark()
        #expect(
            try Self.examine([(log.segments[0].name, log.segments[0].bytes)]).wallMicroseconds
                == nil
        )
    }

    /// Opens the log as a shard does whose checkpoint ends before `lsn`.
    private static func open(
        _ directory: Directory,
        from lsn: UInt64 = 1,
        nonce: UInt64
    ) throws -> LogAppender {
        let log = try LogRecovery.open(
            directory,
            identity: testIdentity,
            from: lsn,
            mustExist: false,
            nonce: nonce
        ) { _, _ in }
        return try LogAppender(
            directory: directory,
            identity: testIdentity,
            continuing: log.continuation
        )
    }

    /// Neither a rotation nor a restart, with its rewritten tail, forgets the time.
    @Test func theTimeGoesOnInANewSegmentAndAfterARestart() throws {
        let scratch = try Scratch()
        let storage = scratch.directory
        let first = try Self.open(storage, nonce: 1)
        _ = first.append(Self.batch(1, at: 70), sync: true)
        _ = first.rotate(nonce: 2)
        _ = first.append(Self.batch(2, at: 30), sync: true)
        // Without a mark at the end the tail is written again.
        let second = try Self.open(storage, nonce: 3)
        _ = second.append(Self.batch(3, at: 60), sync: true)
        _ = second.finish()
        // With one, the log goes on behind it.
        let third = try Self.open(storage, nonce: 4)
        _ = third.append(Self.batch(4, at: 0), sync: true)
        _ = third.append(Self.batch(5, at: 71), sync: true)
        let names = try storage.names().filter { LogSegment.firstLSN(of: $0) != nil }
        let segments = try names.map { ($0, try scratch.bytes(of: $0)) }
        let times = try segments.flatMap { try Self.times($0.1) }
        #expect(times.first == 70 && times.last == 71)
        #expect(times.dropLast().allSatisfy { $0 == 70 }, "\(times)")
        #expect(try Self.examine(segments).wallMicroseconds == 70...71)
    }

    /// A crash in a rotation leaves a new segment without a frame, or with half of one.
    @Test(arguments: [1, 2] as [UInt64], [false, true])
    func aSegmentWithoutAWholeFrameTakesTheTimeOfTheOneBefore(from lsn: UInt64, isTorn: Bool) throws
    {
        let scratch = try Scratch()
        let storage = scratch.directory
        let first = try Self.open(storage, nonce: 1)
        _ = first.append(Self.batch(1, at: 70), sync: true)
        _ = first.rotate(nonce: 2)
        let name = LogSegment.name(firstLSN: 2)
        let file = try storage.open(name, .readWrite)
        try file.truncate(byteCount: LogSegmentHeader.byteCount)
        if isTorn { try writeAll([7, 7, 7], to: file, at: LogSegmentHeader.byteCount) }
        let second = try Self.open(storage, from: lsn, nonce: 3)
        _ = second.append(Self.batch(2, at: 30), sync: true)
        let times = try Self.times(try scratch.bytes(of: name))
        #expect(!times.isEmpty && times.allSatisfy { $0 == 70 }, "\(times)")
    }

    // MARK: Versions

    private static func upsert(_ ids: [UInt64]) -> WriteOperation {
        .upsert(
            UpsertBatch(
                collection: "c",
                element: .u8,
                dim: 1,
                ids: ids.map { .number($0) },
                vectors: ids.map { UInt8($0) }
            )
        )
    }

    private static func decoded(_ record: LogRecord) throws -> LogRecord {
        var writer = ByteWriter()
        record.encode(into: &writer)
        #expect(writer.count == record.encodedByteCount)
        return try writer.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try LogRecord(from: &reader)
        }
    }

    @Test func recordsMayBringTheirOwnVersions() throws {
        let key = RequestKey(client: 1, sequence: 2)
        for versions in [
            WriteVersions(9), WriteVersions(9, records: [4, WriteVersions.limit - 1]),
        ] {
            let record = LogRecord(key: key, versions: versions, operation: Self.upsert([1, 2]))
            #expect(try Self.decoded(record) == record)
        }
        #expect(WriteVersions(9)[1] == 9 && WriteVersions(9).newest == 9)
        let brought = WriteVersions(9, records: [4, 12])
        #expect(brought[0] == 4 && brought[1] == 12 && brought.newest == 12)
    }

    @Test func versionsOfOtherRecordsAreDamage() {
        let key = RequestKey(client: 1, sequence: 2)
        let three = WriteVersions(9, records: [1, 2, 3])
        let wrong = [
            LogRecord(key: key, versions: three, operation: Self.upsert([1, 2])),
            LogRecord(key: key, versions: three, operation: .dropCollection(name: "c")),
            LogRecord(
                key: key,
                versions: WriteVersions(WriteVersions.limit),
                operation: Self.upsert([1])
            ),
            LogRecord(
                key: key,
                versions: WriteVersions(1, records: [.max]),
                operation: Self.upsert([1])
            ),
        ]
        for record in wrong {
            let error = #expect(throws: OmenError.self) { try Self.decoded(record) }
            #expect(error?.code == .corrupt)
        }
    }
}
