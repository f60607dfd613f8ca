import OmenCore
import Testing

@testable import OmenStorage

/// Bytes that lie although their checksums hold: decoding may refuse them but never trap.
@Suite struct LogHostileTests {
    @Test(arguments: [UInt64(1), 2, 3])
    func randomBytesBehindAGoodHeaderAreTorn(seed: UInt64) {
        print("seed \(seed)")
        var generator = SplitMix64(seed: seed)
        var log = LogFixture()
        log.append(1)
        let start = log.segments[0].bytes
        for _ in 0..<200 {
            let count = Int.random(in: 1...300, using: &generator)
            log.segments[0].bytes = start
            for _ in 0..<count {
                log.segments[0].bytes.append(.random(in: .min ... .max, using: &generator))
            }
            let (end, lsns, _) = log.scan()
            #expect(!isCorrupt(end))
            #expect(lsns == [1])
        }
    }

    @Test(arguments: [UInt64(11), 12])
    func checksummedLiesAreRefused(seed: UInt64) {
        print("seed \(seed)")
        var generator = SplitMix64(seed: seed)
        let extremes: [UInt64] = [0, 1, 2, 3, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 62, .max - 1, .max]
        let header = LogSegmentHeader(identity: testIdentity, nonce: 99, firstLSN: 1)
        for _ in 0..<3000 {
            var log = LogFixture()
            var payload = ByteWriter()
            for lsn in UInt64(1)...2 { record(lsn).encode(into: &payload) }
            var body = payload.bytes
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let place = Int.random(in: 0..<body.count, using: &generator)
                body[place] = .random(in: .min ... .max, using: &generator)
            }
            func pick(_ honest: UInt64) -> UInt64 {
                if Bool.random(using: &generator) { return honest }
                return extremes.randomElement(using: &generator) ?? 0
            }
            var frame = LogFrame(
                kind: .batch,
                payloadByteCount: Int(UInt32(truncatingIfNeeded: pick(UInt64(body.count)))),
                recordCount: UInt32(truncatingIfNeeded: pick(2)),
                firstLSN: pick(1),
                durableLSN: pick(0),
                wallMicroseconds: pick(1),
                previousChecksum: 0,
                payloadChecksum: crc32c(body, seed: header.seed)
            )
            var writer = ByteWriter()
            writer.write(raw: frame.encode(seed: header.seed))
            log.segments[0].bytes += writer.bytes + body
            let (end, lsns, found) = log.scan()
            if case .success(.clean) = end {
                #expect(lsns.count == found.count)
            }
        }
    }

    @Test func anLSNAtTheEndOfItsRangeIsRefused() {
        var log = LogFixture(firstLSN: .max - 1)
        let header = LogSegmentHeader(identity: testIdentity, nonce: 99, firstLSN: .max - 1)
        var frame = LogFrame(
            kind: .batch,
            payloadByteCount: 0,
            recordCount: 9,
            firstLSN: .max - 1,
            durableLSN: 0,
            wallMicroseconds: 0,
            previousChecksum: 0,
            payloadChecksum: crc32c([], seed: header.seed)
        )
        var writer = ByteWriter()
        writer.write(raw: frame.encode(seed: header.seed))
        log.segments[0].bytes += writer.bytes
        #expect(log.scan(from: .max - 1).lsns.isEmpty)
    }

    @Test func aTailFullOfMagicsIsReadInOnePass() {
        // Each is looked at once; were each followed to its end, this would take hours.
        var log = LogFixture()
        log.append(1)
        let magic: [UInt8] = [0x4F, 0x42, 0x41, 0x54]
        for _ in 0..<100_000 { log.segments[0].bytes += magic }
        #expect(!isCorrupt(log.scan().end))
    }

    @Test func aClientsBytesCannotForgeAFrame() {
        // A record that carries the bytes of a whole log, nonce unknown to the client.
        var forged = LogFixture(nonce: 1)
        forged.append(1)
        forged.append(1)
        forged.appendMark()
        let delete = WriteOperation.delete(
            collection: "default",
            ids: [.number(1)]
        )
        var log = LogFixture(nonce: 2)
        log.append(1)
        let metadata = forged.segments[0].bytes
        let upsert = WriteOperation.upsert(
            UpsertBatch(
                collection: "default",
                element: .u8,
                dim: 1,
                ids: [.number(1)],
                vectors: [1],
                metadata: [metadata]
            )
        )
        let key = RequestKey(client: 1, sequence: 1)
        let records = [
            LogRecord(key: key, versions: WriteVersions(1), operation: upsert),
            LogRecord(key: key, versions: WriteVersions(2), operation: delete),
        ]
        log.append(LogBatch(firstLSN: 2, durableLSN: 0, records: records))
        log.segments[0].bytes.removeLast(4)
        let torn = LogEnd.torn(
            segment: log.segments[0].name,
            offset: log.segments[0].frames[1],
            lastLSN: 1
        )
        #expect(log.scan().end == .success(torn))
    }
}
