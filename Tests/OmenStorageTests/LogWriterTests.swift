import StorageTestSupport
import Glibc
import OmenCore
import Synchronization
import Testing

@testable import OmenStorage

@Suite struct LogWriterTests {
    /// Collects what a writer reports.
    final class Reports: Sendable {
        private let list = Mutex<[LogCompletion]>([])
        var all: [LogCompletion] { list.withLock { $0 } }
        func add(_ completion: LogCompletion) { list.withLock { $0.append(completion) } }
    }

    private static let failure = OmenError(.ioFailure, "the disk is broken")

    private static func open(
        _ storage: Directory,
        nonce: UInt64 = 1,
        found: inout [LogRecord]
    ) throws -> RecoveredLog {
        var records: [LogRecord] = []
        let log = try LogRecovery.open(
            storage,
            identity: testIdentity,
            from: 1,
            mustExist: false,
            nonce: nonce
        ) { _, record in records.append(record) }
        found = records
        return log
    }

    /// Runs a writer on a fresh log to its end and returns its reports.
    private static func write(
        to storage: Directory,
        _ body: (LogWriter) -> Void
    ) throws -> [LogCompletion] {
        let reports = Reports()
        var found: [LogRecord] = []
        let log = try open(storage, found: &found)
        let writer = try LogWriter(
            directory: storage,
            identity: testIdentity,
            continuing: log.continuation
        ) { reports.add($0) }
        body(writer)
        writer.close()
        return reports.all
    }

    @Test func reportsEverySubmissionInOrderAndKeepsItOnDisk() throws {
        let scratch = try Scratch()
        let storage = scratch.directory
        var expected: [LogCompletion] = []
        let reports = try Self.write(to: storage) { writer in
            var next: UInt64 = 1
            for round in UInt64(0)..<30 {
                let count = round % 4 + 1
                writer.submit(batch(next, count, durable: 0), sync: round % 3 == 0)
                next += count
                expected.append(.written(lastLSN: next - 1, synced: round % 3 == 0))
                if round % 7 == 6 {
                    writer.sync()
                    expected.append(.synced(throughLSN: next - 1))
                }
                if round % 10 == 9 {
                    writer.rotate(nonce: round)
                    expected.append(.rotated(firstLSN: next))
                }
            }
        }
        #expect(reports == expected)
        #expect(try scratch.directory.names().count == 4)
        var found: [LogRecord] = []
        let log = try Self.open(storage, nonce: 2, found: &found)
        #expect(log.lastLSN == 73)
        #expect(found == records(1...73))
    }

    @Test func sealedSegmentsAreCutToTheirBytesAndFilesArePrivate() throws {
        let scratch = try Scratch()
        _ = try Self.write(to: scratch.directory) { writer in
            writer.submit(batch(1, 2), sync: true)
            writer.rotate(nonce: 5)
            writer.submit(batch(3, 2), sync: true)
        }
        let names = try scratch.directory.names()
        #expect(names == ["log-0000000000000001.wal", "log-0000000000000003.wal"])
        #expect(try scratch.directory.byteCount(of: names[0]) < 4096)
        // The open one has reserved space, which reads as zeros.
        #expect(try scratch.directory.byteCount(of: names[1]) == LogAppender.allocationStep)
        var status = stat()
        #expect(stat(scratch.directory.path(of: names[0]), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func rotatingAnEmptySegmentKeepsIt() throws {
        let scratch = try Scratch()
        let reports = try Self.write(to: scratch.directory) { writer in
            writer.rotate(nonce: 5)
            writer.submit(batch(1, 1), sync: true)
        }
        #expect(reports == [.rotated(firstLSN: 1), .written(lastLSN: 1, synced: true)])
        #expect(try scratch.directory.names() == ["log-0000000000000001.wal"])
    }

    @Test func countsTheBytesOfTheSegment() throws {
        let scratch = try Scratch()
        let reports = Reports()
        var found: [LogRecord] = []
        let storage = scratch.directory
        let log = try Self.open(storage, found: &found)
        let writer = try LogWriter(
            directory: storage,
            identity: testIdentity,
            continuing: log.continuation
        ) { reports.add($0) }
        #expect(writer.segmentByteCount == LogSegmentHeader.byteCount)
        writer.submit(batch(1, 1, textBytes: 1000), sync: false)
        while reports.all.isEmpty { usleep(100) }
        #expect(writer.segmentByteCount > 1000)
        writer.close()
        writer.close()
    }

    @Test func aFailedSyncIsNeverRetriedAndEverythingLaterFails() throws {
        // "Can Applications Recover from fsync Failures?", ATC 2020: the second sync would succeed.
        let disk = MemoryDisk()
        var found: [LogRecord] = []
        let log = try Self.open(disk.directory, found: &found)
        let appender = try LogAppender(
            directory: disk.directory,
            identity: testIdentity,
            continuing: log.continuation
        )
        #expect(appender.append(batch(1, 1), sync: true) == .written(lastLSN: 1, synced: true))
        let name = "log-0000000000000001.wal"
        // Next: the write, then the sync that fails.
        disk.faults = [
            MemoryDisk.Fault(operation: disk.operationCount + 2, error: Self.failure, isLast: false)
        ]
        #expect(appender.append(batch(2, 1), sync: true) == .failed(Self.failure))
        let count = disk.operationCount
        #expect(disk.history.last == "sync \(name)")
        #expect(appender.append(batch(3, 1), sync: true) == .failed(Self.failure))
        #expect(appender.sync() == .failed(Self.failure))
        #expect(appender.rotate(nonce: 3) == .failed(Self.failure))
        #expect(appender.finish() == nil)
        #expect(disk.operationCount == count)
    }

    @Test func aFailedWriteEndsWritingToo() throws {
        let disk = MemoryDisk()
        let reports = try Self.write(to: disk.directory) { writer in
            writer.submit(batch(1, 1), sync: true)
            writer.submit(batch(2, 1), sync: true)
        }
        #expect(reports.count == 2)
        let broken = MemoryDisk()
        // create, write, sync, rename, sync directory, reserve, then the write.
        broken.faults = [MemoryDisk.Fault(operation: 7, error: Self.failure, isLast: false)]
        let failures = try Self.write(to: broken.directory) { writer in
            for lsn in UInt64(1)...3 { writer.submit(batch(lsn, 1), sync: true) }
        }
        #expect(failures == Array(repeating: .failed(Self.failure), count: 3))
    }

    @Test func shortWritesAreContinued() throws {
        let disk = MemoryDisk()
        disk.writeByteCountMax = 1
        let reports = try Self.write(to: disk.directory) { writer in
            writer.submit(batch(1, 3), sync: true)
        }
        #expect(reports == [.written(lastLSN: 3, synced: true)])
        var found: [LogRecord] = []
        _ = try Self.open(disk.directory, nonce: 2, found: &found)
        #expect(found == records(1...3))
    }

    @Test func withoutSpaceABatchIsRefusedWholeAndTheLogGoesOnLater() throws {
        let disk = MemoryDisk()
        let full = OmenError(.resourceExhausted, "the disk is full")
        var found: [LogRecord] = []
        let log = try Self.open(disk.directory, found: &found)
        let appender = try LogAppender(
            directory: disk.directory,
            identity: testIdentity,
            continuing: log.continuation
        )
        #expect(appender.append(batch(1, 1), sync: true) == .written(lastLSN: 1, synced: true))
        let before = disk.visibleNames["log-0000000000000001.wal"]?.visible.count ?? 0
        disk.faults = [
            MemoryDisk.Fault(operation: disk.operationCount + 1, error: full, isLast: false)
        ]
        #expect(appender.append(batch(2, 2), sync: true) == .refused(firstLSN: 2, full))
        // What was half written is cut off at once.
        let after = disk.visibleNames["log-0000000000000001.wal"]?.visible.count ?? 0
        #expect(after < before)
        #expect(after == appender.offset)
        // It was submitted before the refusal was known: its LSNs would leave a gap.
        #expect(appender.append(batch(4, 1), sync: true) == .refused(firstLSN: 4, full))
        #expect(appender.append(batch(2, 1), sync: true) == .written(lastLSN: 2, synced: true))
        #expect(appender.append(batch(3, 1), sync: true) == .written(lastLSN: 3, synced: true))
        disk.killProcess()
        _ = try Self.open(disk.directory, nonce: 2, found: &found)
        #expect(found == records(1...3))
    }

    @Test func withoutSpaceForASuccessorTheSegmentGoesOn() throws {
        let full = OmenError(.resourceExhausted, "the disk is full")
        // Each step until the successor has its name.
        for step in 2...5 {
            let disk = MemoryDisk()
            var found: [LogRecord] = []
            let log = try Self.open(disk.directory, found: &found)
            let appender = try LogAppender(
                directory: disk.directory,
                identity: testIdentity,
                continuing: log.continuation
            )
            _ = appender.append(batch(1, 1), sync: false)
            disk.faults = [
                MemoryDisk.Fault(operation: disk.operationCount + step, error: full, isLast: false)
            ]
            #expect(appender.rotate(nonce: 9) == .refused(firstLSN: 2, full), "step \(step)")
            #expect(try disk.directory.names() == ["log-0000000000000001.wal"], "step \(step)")
            #expect(appender.append(batch(2, 1), sync: true) == .written(lastLSN: 2, synced: true))
            #expect(appender.rotate(nonce: 10) == .rotated(firstLSN: 3))
            disk.killProcess()
            _ = try Self.open(disk.directory, nonce: 2, found: &found)
            #expect(found == records(1...2))
        }
    }

    @Test func aFileSizeLimitIsARefusalAndNotTheEndOfTheProcess() async {
        // In a child, because the limit holds for a whole process; SIGXFSZ kills by default.
        await #expect(processExitsWith: .success) {
            let scratch = try Scratch()
            let storage = scratch.directory
            let reports = Reports()
            var found: [LogRecord] = []
            let log = try LogWriterTests.open(storage, found: &found)
            let writer = try LogWriter(
                directory: storage,
                identity: testIdentity,
                continuing: log.continuation
            ) { reports.add($0) }
            writer.submit(batch(1, 1), sync: true)
            while reports.all.isEmpty { usleep(100) }
            var limit = rlimit(rlim_cur: 5 << 20, rlim_max: 5 << 20)
            try #require(setrlimit(__rlimit_resource_t(1), &limit) == 0)
            writer.submit(batch(2, 200, textBytes: 60_000), sync: true)
            writer.submit(batch(2, 1), sync: true)
            writer.close()
            let all = reports.all
            try #require(all.count == 3)
            guard case .refused(firstLSN: 2, let error) = all[1] else {
                throw OmenError(.ioFailure, "\(all)")
            }
            try #require(error.code == .resourceExhausted)
            try #require(error.message.contains("log-0000000000000001.wal"))
            try #require(all[2] == .written(lastLSN: 2, synced: true))
            _ = try LogWriterTests.open(storage, nonce: 2, found: &found)
            try #require(found == records(1...2))
        }
    }

    @Test func aGapInTheLSNsIsOurOwnBug() async {
        await #expect(processExitsWith: .failure) {
            _ = try LogWriterTests.write(to: MemoryDisk().directory) { writer in
                writer.submit(batch(1, 1), sync: true)
                writer.submit(batch(3, 1), sync: true)
            }
        }
    }
}
