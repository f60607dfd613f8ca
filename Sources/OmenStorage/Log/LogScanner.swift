package import OmenCore

/// One segment's name and bytes, borrowed.
package struct LogSegmentBytes {
    /// As `LogSegment.name(firstLSN:)` makes it.
    package var name: String
    package var bytes: UnsafeRawBufferPointer

    package init(name: String, bytes: UnsafeRawBufferPointer) {
        self.name = name
        self.bytes = bytes
    }
}

/// What reading a log found.
package struct LogScan {
    package var end: LogEnd
    /// Last LSN that can be trusted; one below the first wanted when there is none.
    package var lastLSN: UInt64
    /// Records that were visited.
    package var recordCount = 0
    /// The times that the first and the last batch with records tell, of the segments that were
    /// read; nil when these hold no record.
    package var wallMicroseconds: ClosedRange<UInt64>?
    /// Marks in the last segment that are damaged but whose successor is there, so that nothing is
    /// lost; the tail's rewriting removes them.
    package var damagedMarks: [Int] = []
    /// Where writing can go on; nil when the log is corrupt or there is none.
    var tail: LogTail?
}

extension LogScan {
    /// Notes the time that a batch with records tells.
    mutating func note(wallMicroseconds time: UInt64) {
        let first = min(wallMicroseconds?.lowerBound ?? time, time)
        wallMicroseconds = first...max(wallMicroseconds?.upperBound ?? time, time)
    }
}

/// The last segments of a readable log, as recovery needs them.
struct LogTail {
    /// A segment that has no footer yet.
    struct Open {
        var header: LogSegmentHeader
        var source: LogSegmentBytes
        /// Places of the batches that hold records.
        var batchOffsets: [Int]
        /// Just behind the last batch with records; only marks follow.
        var dataEndOffset: Int
        /// Checksum of that batch.
        var dataChecksum: UInt32
        var nextLSN: UInt64
        /// Highest LSN that some frame proves to have been synced.
        var durableLSN: UInt64
        /// The time that the last frame tells.
        var wallMicroseconds: UInt64
    }
    /// The segment before an empty last one: a crash came before its footer was certainly durable.
    ///
    /// Once something is written to a segment, the footer before it is durable.
    var predecessor: Open?
    var last: Open
}

/// Reads logs, segment after segment, and tells how they end.
///
/// Anything bad in a segment before the last one is damage: segments are synced before their
/// successor is made. In the last one `LogWalk.judgeBadFrame` tells a torn tail from damage.
///
/// Decoding never traps: every length is checked against the bytes that are there.
package enum LogScanner {
    /// Reads `segments`, ascending, and calls `visit` with every record from `lsn` on.
    ///
    /// Segments that lie wholly below `lsn` are not read. Visited records of a corrupt log must be
    /// thrown away by the caller.
    /// - Throws: What `visit` throws; `.corrupt` for a segment of another shard or a record that
    ///   cannot be decoded although its checksum holds; `.unsupportedVersion`.
    package static func scan(
        _ segments: [LogSegmentBytes],
        identity: ShardIdentity,
        from lsn: UInt64,
        visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) -> LogEnd {
        try examine(segments, identity: identity, from: lsn, visit: visit).end
    }

    /// `scan` with everything it found.
    package static func examine(
        _ segments: [LogSegmentBytes],
        identity: ShardIdentity,
        from lsn: UInt64,
        visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) -> LogScan {
        precondition(lsn > 0, "LSNs start at 1")
        guard !segments.isEmpty else {
            return LogScan(end: .clean(lastLSN: lsn - 1), lastLSN: lsn - 1)
        }
        let first = segments.lastIndex { (LogSegment.firstLSN(of: $0.name) ?? .max) <= lsn }
        var scan = LogScan(end: .clean(lastLSN: lsn - 1), lastLSN: lsn - 1)
        guard let first else {
            scan.end = .corrupt(segment: LogSegment.name(firstLSN: lsn), offset: 0, lsn: lsn)
            return scan
        }
        var walks: [LogWalk] = []
        for segment in segments[first...] {
            guard let walk = try LogWalk(segment, identity: identity) else {
                let expected = LogSegment.firstLSN(of: segment.name) ?? lsn
                scan.end = .corrupt(segment: segment.name, offset: 0, lsn: expected)
                return scan
            }
            walks.append(walk)
        }
        try read(&walks, from: lsn, into: &scan, visit: visit)
        guard scan.tail != nil, let last = walks.last else { return scan }
        // A segment without a frame, or whose first frame was torn, tells no time of its own.
        guard last.isEmpty || last.wallMicroseconds == 0 else { return scan }
        let before =
            walks.count > 1
            ? walks[walks.count - 2].tail
            : readUnneeded(segments[..<first].last, before: last)
        if last.isEmpty { scan.tail?.predecessor = before }
        let time = max(last.wallMicroseconds, before?.wallMicroseconds ?? 0)
        scan.tail?.last.wallMicroseconds = time
        return scan
    }

    private static func read(
        _ walks: inout [LogWalk],
        from lsn: UInt64,
        into scan: inout LogScan,
        visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) {
        let lastIndex = walks.count - 1
        for index in walks.indices {
            if index > 0 { walks[index].follow(walks[index - 1].wallMicroseconds) }
            let stop = try walks[index].run(from: lsn, isLast: index == lastIndex, &scan, visit)
            let walk = walks[index]
            scan.lastLSN = walk.nextLSN - 1
            switch stop {
            case .corrupt(let offset):
                return scan.end = walk.corrupt(at: offset)
            case .sealed:
                // The successor is made before the footer is written, so it must be there.
                guard index < lastIndex, walks[index + 1].header.firstLSN == walk.nextLSN else {
                    let missing = LogSegment.name(firstLSN: walk.nextLSN)
                    return scan.end = .corrupt(segment: missing, offset: 0, lsn: walk.nextLSN)
                }
            case .end, .torn:
                if index == lastIndex { break }
                // The state between making the successor and sealing this segment.
                guard index + 1 == lastIndex, walks[lastIndex].isEmpty,
                    walks[lastIndex].header.firstLSN == walk.nextLSN
                else { return scan.end = walk.corrupt(at: walk.offset) }
                continue
            }
            guard index == lastIndex else { continue }
            // The checkpoint holds more than the log: durable log records are gone.
            guard walk.nextLSN >= lsn else { return scan.end = walk.corrupt(at: walk.offset) }
            scan.tail = LogTail(last: walk.tail)
            scan.end =
                if case .torn = stop {
                    .torn(segment: walk.segment.name, offset: walk.offset, lastLSN: scan.lastLSN)
                } else {
                    .clean(lastLSN: scan.lastLSN)
                }
        }
    }

    /// Reads a segment of which no record is wanted.
    ///
    /// - Returns: Nil when it is damaged: that must not stop a shard whose checkpoint covers it.
    ///   `verifyShardDirectory` reports it.
    private static func readUnneeded(
        _ segment: LogSegmentBytes?,
        before next: LogWalk
    ) -> LogTail.Open? {
        guard let segment else { return nil }
        do {
            guard var walk = try LogWalk(segment, identity: next.header.identity) else {
                return nil
            }
            var scan = LogScan(end: .clean(lastLSN: 0), lastLSN: 0)
            let stop = try walk.run(from: .max, isLast: false, &scan) { _, _ in }
            if case .corrupt = stop { return nil }
            return walk.nextLSN == next.header.firstLSN ? walk.tail : nil
        } catch {
            return nil
        }
    }
}
