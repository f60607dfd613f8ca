import StorageTestSupport
import Glibc
import OmenCore
import Testing

@testable import OmenStorage

/// Logs written, cut off and read again on a disk that forgets what was not synced.
@Suite struct LogCrashTests {
    /// Seeds each block of random runs tries; `OMEN_CRASH_SEEDS` asks for more.
    private static let seedCount =
        getenv("OMEN_CRASH_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 12

    private static let stop = OmenError(.ioFailure, "stopped here")

    /// The same thirty actions, ended at each operation in turn, then recovered with a second end
    /// at each operation of the recovery.
    @Test(arguments: [false, true])
    func everyEndOfEveryOperationIsSurvived(powerCut: Bool) throws {
        var runs = 0
        var last = 1
        while true {
            var generator = SplitMix64(seed: 5)
            let disk = MemoryDisk()
            var history = LogHistory()
            disk.faults = [MemoryDisk.Fault(operation: last, error: Self.stop, isLast: true)]
            var isCut = false
            do {
                let appender = try history.recover(disk, nonce: 1)
                for _ in 0..<30 where !history.hasFailed {
                    history.act(on: appender, using: &generator)
                }
                isCut = history.hasFailed
            } catch let error as OmenError where error == Self.stop {
                isCut = true
            }
            guard isCut else { break }
            var inRecovery = 1
            while true {
                var trial = generator
                history.end(disk, powerCut: powerCut, using: &trial)
                disk.faults = [
                    MemoryDisk.Fault(operation: inRecovery, error: Self.stop, isLast: true)
                ]
                runs += 1
                do {
                    let appender = try history.recover(disk, nonce: UInt64(runs) + 9)
                    // What is promised from here on must hold whatever was unsynced before.
                    disk.faults = []
                    for _ in 0..<8 { history.act(on: appender, using: &trial) }
                    history.end(disk, powerCut: true, using: &trial)
                    _ = try history.recover(disk, nonce: UInt64(runs) + 100_000)
                    break
                } catch let error as OmenError where error == Self.stop { inRecovery += 1 }
            }
            last += 1
        }
        print("\(last - 1) ends, \(runs) recoveries, power cut: \(powerCut)")
        #expect(last > 40)
        #expect(runs > 2 * last)
    }

    @Test(arguments: 0..<8)
    func randomCrashesLoseNothingThatWasReported(block: UInt64) throws {
        let seeds = block * Self.seedCount..<(block + 1) * Self.seedCount
        print("seeds \(seeds)")
        for seed in seeds {
            var generator = SplitMix64(seed: seed)
            let disk = MemoryDisk()
            disk.writeByteCountMax = Bool.random(using: &generator) ? 100 : .max
            var history = LogHistory()
            for life in UInt64(1)...6 {
                let operation = Int.random(in: 1...80, using: &generator)
                disk.faults = [
                    MemoryDisk.Fault(operation: operation, error: Self.stop, isLast: true)
                ]
                do {
                    let appender = try history.recover(
                        disk,
                        nonce: seed * 100 + life
                    )
                    for _ in 0..<40 where !history.hasFailed {
                        history.act(on: appender, using: &generator)
                    }
                    if Bool.random(using: &generator) { _ = appender.finish() }
                } catch let error as OmenError where error == Self.stop {}
                let powerCut = Bool.random(using: &generator)
                history.end(disk, powerCut: powerCut, using: &generator)
            }
        }
    }

    @Test(arguments: 0..<4)
    func failuresOfTheDiskNeverMakeTheLogLie(block: UInt64) throws {
        let seeds = block * Self.seedCount..<(block + 1) * Self.seedCount
        print("seeds \(seeds)")
        let full = OmenError(.resourceExhausted, "the disk is full")
        for seed in seeds {
            var generator = SplitMix64(seed: seed &+ 7_000)
            let disk = MemoryDisk()
            var history = LogHistory()
            for life in UInt64(1)...6 {
                var appender = try history.recover(
                    disk,
                    nonce: seed * 100 + life
                )
                for _ in 0..<3 {
                    let operation =
                        disk.operationCount + Int.random(in: 1...30, using: &generator)
                    let error = Bool.random(using: &generator) ? full : Self.stop
                    disk.faults.append(
                        MemoryDisk.Fault(operation: operation, error: error, isLast: false)
                    )
                }
                for _ in 0..<30 { history.act(on: appender, using: &generator) }
                // The process starts again while the page cache shows what a failed sync lost.
                disk.killProcess()
                appender = try history.recover(disk, nonce: seed * 100 + life + 50)
                for _ in 0..<3 { history.act(on: appender, using: &generator) }
                let powerCut = Bool.random(using: &generator)
                history.end(disk, powerCut: powerCut, using: &generator)
            }
        }
    }

    @Test func aCleanEndNeedsNoRewriting() throws {
        let disk = MemoryDisk()
        var history = LogHistory()
        let appender = try history.recover(disk, nonce: 1)
        #expect(appender.append(batch(1, 3), sync: false) == .written(lastLSN: 3, synced: false))
        #expect(appender.finish() == nil)
        for isDirty in [false, true] {
            let log = try LogRecovery.open(
                disk.directory,
                identity: testIdentity,
                from: 1,
                mustExist: true,
                nonce: 2,
                visit: { _, _ in }
            )
            #expect(log.wasRewritten == isDirty)
            #expect(log.lastLSN == (isDirty ? 4 : 3))
            let writer = try LogAppender(
                directory: disk.directory,
                identity: testIdentity,
                continuing: log.continuation
            )
            if !isDirty {
                #expect(
                    writer.append(batch(4, 1), sync: true) == .written(lastLSN: 4, synced: true)
                )
            }
        }
    }

    @Test func aSealedSegmentIsWrittenAnewOnlyWhereItsFooterMayBeLost() throws {
        let disk = MemoryDisk()
        var history = LogHistory()
        let appender = try history.recover(disk, nonce: 1)
        #expect(appender.append(batch(1, 3), sync: true) == .written(lastLSN: 3, synced: true))
        #expect(appender.rotate(nonce: 2) == .rotated(firstLSN: 4))
        let sealed = "log-0000000000000001.wal"
        let last = "log-0000000000000004.wal"
        // The mark behind the header says that the footer was synced, the start keeps it, and
        // without it, as a crash before the mark leaves it, the start after the next has it again.
        for isMarked in [true, true, false, true] {
            if !isMarked {
                let header = LogSegmentHeader.byteCount
                try disk.directory.open(last, .readWrite).truncate(byteCount: header)
            }
            let before = disk.history.count
            let log = try LogRecovery.open(
                disk.directory,
                identity: testIdentity,
                from: 4,
                mustExist: true,
                nonce: 3,
                visit: { _, _ in }
            )
            #expect(log.wasRewritten == !isMarked)
            let writes = disk.history[before...].filter { $0.contains(sealed) }
            #expect(writes.isEmpty == isMarked)
        }
    }

    @Test func aMissingLogIsDamageWhereAManifestSaysThereWasOne() throws {
        let error = #expect(throws: OmenError.self) {
            try LogRecovery.open(
                MemoryDisk().directory,
                identity: testIdentity,
                from: 12,
                mustExist: true,
                nonce: 1,
                visit: { _, _ in }
            )
        }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("log-000000000000000c.wal") == true)
    }
}
