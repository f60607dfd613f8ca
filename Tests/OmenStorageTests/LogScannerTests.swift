import OmenCore
import Testing

@testable import OmenStorage

@Suite struct LogScannerTests {
    @Test func readsBackWhatWasEncoded() {
        var log = LogFixture()
        log.append(3)
        log.append(1)
        log.appendMark()
        log.append(2)
        let (end, lsns, found) = log.scan()
        #expect(end == .success(.clean(lastLSN: 6)))
        #expect(lsns == Array(1...6))
        #expect(found == records(1...6))
    }

    @Test func startsInTheMiddleOfABatchAndSkipsOlderSegments() {
        var log = LogFixture()
        log.append(3)
        log.rotate(nonce: 5)
        log.append(4)
        // Not needed, so its rot does no harm at the start.
        log.segments[0].bytes[80] ^= 1
        let (end, lsns, found) = log.scan(from: 6)
        #expect(end == .success(.clean(lastLSN: 7)))
        #expect(lsns == [6, 7])
        #expect(found == records(6...7))
        #expect(isCorrupt(log.scan(from: 3).end))
    }

    @Test func anEmptyLogIsClean() {
        var log = LogFixture(firstLSN: 41)
        #expect(log.scan(from: 41).end == .success(.clean(lastLSN: 40)))
        log.segments = []
        #expect(log.scan(from: 41).end == .success(.clean(lastLSN: 40)))
    }

    @Test func aLogCutAtAnyByteGivesTheRecordsBeforeTheCut() {
        var log = LogFixture()
        log.append(2)
        log.append(1)
        log.appendMark()
        log.append(3, textBytes: 40)
        log.append(1)
        let whole = log.segments[0]
        var ends = Array(zip(whole.frames.dropFirst() + [whole.bytes.count], [2, 3, 3, 6, 7]))
        ends.insert((LogSegmentHeader.byteCount, 0), at: 0)
        for length in 0..<whole.bytes.count {
            log.segments[0].bytes = Array(whole.bytes[..<length])
            let (end, lsns, _) = log.scan()
            guard let kept = ends.last(where: { $0.0 <= length }) else {
                // The header was durable before the file had its name.
                #expect(isCorrupt(end), "length \(length)")
                continue
            }
            let last = UInt64(kept.1)
            #expect(lsns == Array(1..<(last + 1)), "length \(length)")
            let expected: LogEnd =
                kept.0 == length
                ? .clean(lastLSN: last)
                : .torn(segment: whole.name, offset: kept.0, lastLSN: last)
            #expect(end == .success(expected), "length \(length)")
        }
    }

    @Test func aZeroFilledTailGivesTheRecordsBeforeIt() {
        // qdrant#9857: a log whose tail read as zeros crashed the start again and again.
        var log = LogFixture()
        log.append(2)
        log.append(3, textBytes: 100)
        let whole = log.segments[0]
        for length in LogSegmentHeader.byteCount...whole.bytes.count {
            log.segments[0].bytes =
                Array(whole.bytes[..<length]) + [UInt8](repeating: 0, count: 8192)
            // A frame that ends in zeros anyway is whole although it was cut there.
            let cut = whole.frames.dropFirst() + [whole.bytes.count]
            let kept = cut.filter { end in
                whole.bytes[..<end].dropFirst(length).allSatisfy { $0 == 0 }
            }
            let (end, lsns, _) = log.scan()
            #expect(!isCorrupt(end), "length \(length)")
            #expect(lsns.count == [0, 2, 5][kept.count], "length \(length)")
        }
        log.segments[0].bytes = whole.bytes + [UInt8](repeating: 0, count: 4 << 20)
        #expect(log.scan().end == .success(.clean(lastLSN: 5)))
    }

    /// For each byte: the scan refuses, or what it gives is a prefix of the truth that holds every
    /// record that an undamaged frame calls durable.
    @Test func everyFlippedBitIsFoundOrHarmless() {
        var log = LogFixture()
        log.append(2)
        log.append(1, durable: 0)
        log.appendMark()
        log.append(2)
        log.append(1, durable: 3)
        let whole = log.segments[0]
        let durable: [UInt64] = [0, 0, 3, 3, 3]
        var refused = 0
        for place in whole.bytes.indices {
            let bad = whole.frames.lastIndex { $0 <= place }
            for bit in 0..<8 {
                log.segments[0].bytes = whole.bytes
                log.segments[0].bytes[place] ^= 1 << bit
                let (end, lsns, found) = log.scan()
                if isCorrupt(end) {
                    refused += 1
                    continue
                }
                #expect(!found.isEmpty || bad == 0, "byte \(place) bit \(bit)")
                #expect(lsns == Array(1..<UInt64(lsns.count) + 1), "byte \(place) bit \(bit)")
                #expect(found.elementsEqual((1...6).prefix(found.count).map { record($0) }))
                let proven = durable.indices.filter { $0 != bad }.map { durable[$0] }.max() ?? 0
                #expect(UInt64(lsns.count) >= proven, "byte \(place) bit \(bit)")
            }
        }
        #expect(refused > (LogSegmentHeader.byteCount + LogFrame.byteCount) * 8)
    }

    @Test func aDamagedMarkLosesNothing() throws {
        var log = LogFixture()
        log.append(2)
        log.appendMark()
        log.append(2)
        let offset = log.segments[0].frames[1]
        log.segments[0].bytes[offset + 20] ^= 4
        #expect(log.scan().end == .success(.clean(lastLSN: 4)))
        let file = MappedFile(copying: log.segments[0].bytes)
        let scan = try LogScanner.examine(
            [LogSegmentBytes(name: log.segments[0].name, bytes: file.bytes)],
            identity: testIdentity,
            from: 1,
            visit: { _, _ in }
        )
        #expect(scan.damagedMarks == [offset])
        #expect(scan.lastLSN == 4)
    }

    @Test func aHoleBeforeUnsyncedBatchesIsATornTail() {
        // etcd#6378: a later write reached the disk, an earlier one did not; neither was synced.
        var log = LogFixture()
        log.append(2)
        log.append(2, durable: 2)
        log.append(2, durable: 2)
        log.append(2, durable: 2)
        let frames = log.segments[0].frames
        for place in frames[1]..<frames[2] { log.segments[0].bytes[place] = 0 }
        let torn = LogEnd.torn(segment: log.segments[0].name, offset: frames[1], lastLSN: 2)
        #expect(log.scan().end == .success(torn))
        // One later frame that knew better turns the same hole into damage.
        log.append(1, durable: 3)
        let corrupt = LogEnd.corrupt(segment: log.segments[0].name, offset: frames[1], lsn: 3)
        #expect(log.scan().end == .success(corrupt))
    }

    @Test func aHeadWithATornPayloadStillProvesWhatWasDurable() {
        var log = LogFixture()
        log.append(2)
        log.append(2)
        log.append(2, textBytes: 64)
        log.segments[0].bytes.removeLast(10)
        log.segments[0].bytes[log.segments[0].frames[1] + 50] ^= 1
        #expect(isCorrupt(log.scan().end))
    }

    @Test func aMissingSegmentIsDamageWhereverItWas() {
        var log = LogFixture()
        log.append(2)
        log.rotate(nonce: 1)
        log.append(2)
        log.rotate(nonce: 2)
        log.append(2)
        #expect(log.scan().end == .success(.clean(lastLSN: 6)))
        for missing in 0..<3 {
            var damaged = log
            let name = damaged.segments.remove(at: missing).name
            let lsn = LogSegment.firstLSN(of: name) ?? 0
            let expected = LogEnd.corrupt(segment: name, offset: 0, lsn: lsn)
            #expect(damaged.scan().end == .success(expected), "segment \(missing)")
        }
    }

    @Test func everyFlippedBitInASealedSegmentIsDamage() {
        var log = LogFixture()
        log.append(2)
        log.appendMark()
        log.rotate(nonce: 1)
        log.append(1)
        let whole = log.segments[0]
        for place in whole.bytes.indices {
            log.segments[0].bytes[place] ^= 0x10
            #expect(isCorrupt(log.scan().end), "byte \(place)")
            log.segments[0].bytes = whole.bytes
        }
        for length in whole.bytes.indices {
            log.segments[0].bytes = Array(whole.bytes[..<length])
            #expect(isCorrupt(log.scan().end), "length \(length)")
        }
        log.segments[0].bytes = whole.bytes + [0, 0, 1]
        #expect(isCorrupt(log.scan().end))
    }

    @Test func aCrashBeforeTheFooterIsNoDamage() {
        var log = LogFixture()
        log.append(2)
        log.rotate(nonce: 1, sealing: false)
        #expect(log.scan().end == .success(.clean(lastLSN: 2)))
        // Part of a footer was written.
        log.segments[0].bytes += [0x4F, 0x42, 0x41]
        #expect(log.scan().end == .success(.clean(lastLSN: 2)))
        // The successor proves that the records were durable.
        log.segments[0].bytes.removeLast(10)
        #expect(isCorrupt(log.scan().end))
    }

    @Test func aSegmentInUseProvesThatItsPredecessorHadAFooter() {
        var log = LogFixture()
        log.append(2)
        log.rotate(nonce: 1, sealing: false)
        log.append(2)
        #expect(isCorrupt(log.scan().end))
    }

    @Test func aLogThatEndsBeforeTheCheckpointIsDamage() {
        var log = LogFixture()
        log.append(2)
        #expect(log.scan(from: 3).end == .success(.clean(lastLSN: 2)))
        #expect(isCorrupt(log.scan(from: 4).end))
    }

    @Test func refusesAnotherShardsLogByName() {
        let other = ShardIdentity(cluster: testIdentity.cluster, shard: 4)
        var log = LogFixture(identity: other)
        log.append(2)
        guard case .failure(let error) = log.scan().end else {
            Issue.record("read the log of another shard")
            return
        }
        #expect(error.code == .corrupt)
        #expect(error.message.contains("shard 4 of cluster"))
        #expect(error.message.contains("shard 3 of cluster"))
    }

    /// Format 1 had neither versions of records nor times.
    @Test(arguments: [UInt8(1), 3])
    func refusesAnotherFormatByName(format: UInt8) {
        var log = LogFixture()
        log.segments[0].bytes[8] = format
        let checksum = crc32c(Array(log.segments[0].bytes[..<60]))
        withUnsafeBytes(of: checksum.littleEndian) { source in
            for index in 0..<4 { log.segments[0].bytes[60 + index] = source[index] }
        }
        guard case .failure(let error) = log.scan().end else {
            Issue.record("read format \(format)")
            return
        }
        #expect(error.code == .unsupportedVersion)
        #expect(error.message.contains("format \(format)"))
    }

    @Test func refusesASegmentUnderAnotherName() {
        var log = LogFixture(firstLSN: 5)
        log.append(2)
        log.segments[0].name = LogSegment.name(firstLSN: 4)
        #expect(isCorrupt(log.scan(from: 4).end))
    }

    @Test func aFrameThatFollowedAnotherVersionOfItsPredecessorIsNotRead() {
        // A write got lost and left the frame that stood there before: refused for want of space,
        // then written with other records of the same LSN.
        var old = LogFixture()
        old.append(1)
        old.append(batch(2, 1))
        var new = LogFixture()
        new.append(1)
        var other = batch(2, 1)
        other.records[0].key.client = 1234
        new.append(other)
        new.append(1)
        let frames = new.segments[0].frames
        #expect(old.segments[0].bytes.count == frames[2])
        new.segments[0].bytes.replaceSubrange(..<frames[2], with: old.segments[0].bytes)
        let torn = LogEnd.torn(segment: new.segments[0].name, offset: frames[2], lastLSN: 2)
        #expect(new.scan().end == .success(torn))
        new.append(1, durable: 3)
        #expect(isCorrupt(new.scan().end))
    }

    @Test func framesOfAnotherLifeOfTheFileAreNotRead() {
        var old = LogFixture(nonce: 1)
        old.append(2)
        old.append(2)
        var new = LogFixture(nonce: 2)
        new.append(2)
        let offset = new.segments[0].bytes.count
        new.segments[0].bytes += old.segments[0].bytes[old.segments[0].frames[1]...]
        let torn = LogEnd.torn(segment: new.segments[0].name, offset: offset, lastLSN: 2)
        #expect(new.scan().end == .success(torn))
    }
}
