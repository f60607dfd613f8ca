import StorageTestSupport
import OmenCore
import Testing

@testable import OmenStorage

/// What a process that writes a log was told, so that a later reading can be judged.
struct LogHistory {
    /// Every record that was ever accepted, by place; `lsn - 1` is its index.
    private(set) var accepted: [LogRecord] = []
    /// Highest LSN reported written: survives the process.
    private(set) var writtenLSN: UInt64 = 0
    /// Highest LSN reported durable: survives the machine.
    private(set) var durableLSN: UInt64 = 0
    private(set) var hasFailed = false
    /// Since the last opening that succeeded.
    private var powerWasCut = false
    /// Makes records of one LSN differ when it is written a second time.
    private var draw: UInt64 = 0

    var nextLSN: UInt64 { UInt64(accepted.count) + 1 }

    /// The process or the machine ends.
    mutating func end(
        _ disk: MemoryDisk,
        powerCut: Bool,
        using generator: inout SplitMix64
    ) {
        if powerCut {
            disk.cutPower(using: &generator)
            powerWasCut = true
        } else {
            disk.killProcess()
        }
    }

    /// Opens the log and checks that it gives a prefix of what was accepted, with all that must be
    /// there; what it gives is from then on the truth.
    mutating func recover(
        _ disk: MemoryDisk,
        nonce: UInt64
    ) throws -> LogAppender {
        var found: [LogRecord] = []
        let log = try LogRecovery.open(
            disk.directory,
            identity: testIdentity,
            from: 1,
            mustExist: durableLSN > 0,
            nonce: nonce
        ) { lsn, record in
            #expect(lsn == UInt64(found.count) + 1)
            found.append(record)
        }
        #expect(log.lastLSN == UInt64(found.count))
        #expect(log.continuation.nextLSN == log.lastLSN + 1)
        #expect(log.lastLSN >= (powerWasCut ? durableLSN : writtenLSN))
        #expect(found == Array(accepted.prefix(found.count)))
        accepted = found
        writtenLSN = log.lastLSN
        // From here on everything must be durable, whatever the page cache had shown.
        durableLSN = log.lastLSN
        hasFailed = false
        powerWasCut = false
        return try LogAppender(
            directory: disk.directory,
            identity: testIdentity,
            continuing: log.continuation
        )
    }

    /// Does one random thing to the log.
    mutating func act(on appender: LogAppender, using generator: inout SplitMix64) {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: note(appender.sync())
        case 1: note(appender.rotate(nonce: generator.next()))
        case 2:
            let mark = LogBatch(firstLSN: nextLSN, durableLSN: 0, records: [])
            note(appender.append(mark, sync: false))
        default:
            let isSynced = Bool.random(using: &generator)
            let count = UInt64.random(in: 1...3, using: &generator)
            let text = Int.random(in: 0...700, using: &generator)
            draw += 1
            var new = batch(nextLSN, count, durable: 0, textBytes: text)
            for index in new.records.indices { new.records[index].key.client = draw }
            let before = accepted
            // Before it is known: a record may reach the disk although its write failed.
            accepted += new.records
            let completion = appender.append(new, sync: isSynced)
            if case .refused = completion { accepted = before }
            note(completion)
        }
    }

    private mutating func note(_ completion: LogCompletion) {
        switch completion {
        case .written(let lastLSN, let synced):
            #expect(lastLSN == UInt64(accepted.count))
            writtenLSN = lastLSN
            if synced { durableLSN = lastLSN }
        case .synced(let lsn): durableLSN = lsn
        case .rotated(let firstLSN):
            #expect(firstLSN == nextLSN)
            durableLSN = firstLSN - 1
        case .refused(_, let error): #expect(error.code == .resourceExhausted)
        case .failed: hasFailed = true
        }
    }
}
