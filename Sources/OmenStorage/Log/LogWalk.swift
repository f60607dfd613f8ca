internal import OmenSystem
internal import OmenCore

/// Steps through the frames of one segment.
struct LogWalk {
    enum WalkEnd {
        /// A footer, and nothing but zeros behind it.
        case sealed
        /// Nothing but zeros follows.
        case end
        /// An unfinished write starts at `offset`; in the last segment nothing durable follows.
        case torn
        /// Durable bytes are damaged at this offset.
        case corrupt(Int)
    }

    let segment: LogSegmentBytes
    let header: LogSegmentHeader
    let seed: UInt32
    /// Just behind the last good frame.
    private(set) var offset = LogSegmentHeader.byteCount
    private(set) var nextLSN: UInt64
    private var previousChecksum: UInt32 = 0
    private var durableLSN: UInt64
    /// The latest time that a frame of this segment, or of one before it, tells; 0 for none.
    private(set) var wallMicroseconds: UInt64 = 0
    private var batchOffsets: [Int] = []
    private var dataEndOffset = LogSegmentHeader.byteCount
    private var dataChecksum: UInt32 = 0

    /// Nil when the header is damaged or belongs under another name.
    init?(_ segment: LogSegmentBytes, identity: ShardIdentity) throws(OmenError) {
        guard let header = try LogSegmentHeader(segment.bytes, of: segment.name) else { return nil }
        guard header.identity == identity else {
            throw OmenError(
                .corrupt,
                "\(segment.name) belongs to \(header.identity), expected \(identity)"
            )
        }
        guard (1...LogSegment.firstLSNMax).contains(header.firstLSN),
            LogSegment.name(firstLSN: header.firstLSN) == segment.name
        else { return nil }
        self.segment = segment
        self.header = header
        seed = header.seed
        nextLSN = header.firstLSN
        // A segment is made only when everything before it is synced.
        durableLSN = header.firstLSN - 1
    }

    /// Takes over the time that an earlier segment told: it never goes back.
    mutating func follow(_ wallMicroseconds: UInt64) {
        self.wallMicroseconds = max(self.wallMicroseconds, wallMicroseconds)
    }

    /// True when nothing was ever written behind the header.
    var isEmpty: Bool { isZero(from: LogSegmentHeader.byteCount) }

    var tail: LogTail.Open {
        LogTail.Open(
            header: header,
            source: segment,
            batchOffsets: batchOffsets,
            dataEndOffset: dataEndOffset,
            dataChecksum: dataChecksum,
            nextLSN: nextLSN,
            durableLSN: durableLSN,
            wallMicroseconds: wallMicroseconds
        )
    }

    func corrupt(at offset: Int) -> LogEnd {
        .corrupt(segment: segment.name, offset: offset, lsn: nextLSN)
    }

    /// Reads frames until the segment ends or something is wrong.
    mutating func run(
        from lsn: UInt64,
        isLast: Bool,
        _ scan: inout LogScan,
        _ visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) -> WalkEnd {
        while true {
            guard let frame = goodFrame(at: offset, previous: previousChecksum) else {
                if isZero(from: offset) { return .end }
                if !isLast { return .torn }
                switch judgeBadFrame() {
                case .damage: return .corrupt(offset)
                case .tornTail: return .torn
                case .lostMark(let place):
                    scan.damagedMarks.append(offset)
                    offset = place
                    // The mark between the two is unreadable, so its checksum is unknown.
                    previousChecksum =
                        LogFrame(segment.bytes, at: place, seed: seed)?
                        .previousChecksum ?? 0
                }
                continue
            }
            let start = offset
            offset += frame.totalByteCount
            previousChecksum = frame.checksum
            durableLSN = max(durableLSN, frame.durableLSN)
            wallMicroseconds = max(wallMicroseconds, frame.wallMicroseconds)
            switch frame.kind {
            case .footer: return isZero(from: offset) ? .sealed : .corrupt(offset)
            case .batch:
                if frame.recordCount > 0 {
                    batchOffsets.append(start)
                    dataEndOffset = offset
                    dataChecksum = frame.checksum
                    scan.note(wallMicroseconds: wallMicroseconds)
                }
                try visitRecords(of: frame, at: start, from: lsn, &scan, visit)
                nextLSN += UInt64(frame.recordCount)
            }
        }
    }

    /// The frame at `place`, when it is whole and is the expected one.
    func goodFrame(at place: Int, previous: UInt32?) -> LogFrame? {
        guard let frame = LogFrame(segment.bytes, at: place, seed: seed),
            frame.firstLSN == nextLSN,
            previous == nil || frame.previousChecksum == previous,
            frame.payload(in: segment.bytes, at: place, seed: seed) != nil
        else { return nil }
        return frame
    }

    private func visitRecords(
        of frame: LogFrame,
        at start: Int,
        from lsn: UInt64,
        _ scan: inout LogScan,
        _ visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) {
        let payloadStart = start + LogFrame.byteCount
        let payload = segment.bytes[payloadStart..<payloadStart + frame.payloadByteCount]
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: payload))
        for index in 0..<UInt64(frame.recordCount) {
            let current = frame.firstLSN + index
            let record: LogRecord
            do throws(OmenError) {
                if current < lsn {
                    _ = try reader.readCounted(limit: Limits.logBatchByteCountMax)
                    continue
                }
                record = try LogRecord(from: &reader)
            } catch {
                throw damage(OmenError(.corrupt, error.message), at: start, lsn: current)
            }
            do throws(OmenError) {
                try visit(current, record)
            } catch {
                guard error.code == .corrupt else { throw error }
                throw damage(error, at: start, lsn: current)
            }
            scan.recordCount += 1
        }
        guard reader.remaining == 0 else {
            throw OmenError(
                .corrupt,
                "\(segment.name) offset \(start): \(reader.remaining) bytes behind the records"
            )
        }
    }

    private func damage(_ error: OmenError, at offset: Int, lsn: UInt64) -> OmenError {
        OmenError(
            error.code,
            "\(segment.name) offset \(offset): record \(lsn): \(error.message)"
        )
    }

    private func isZero(from place: Int) -> Bool {
        var place = place
        let bytes = segment.bytes
        while bytes.count - place >= 8 {
            if bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) != 0 { return false }
            place += 8
        }
        while place < bytes.count {
            if bytes[place] != 0 { return false }
            place += 1
        }
        return true
    }
}
