package import OmenCore

/// Where a writer goes on: an open segment of which every record before `offset` is durable.
package struct LogContinuation: Equatable, Sendable {
    /// First LSN of the segment, which names its file.
    package var segmentFirstLSN: UInt64
    /// What the next batch must start at.
    package var nextLSN: UInt64
    var nonce: UInt64
    var offset: Int
    /// The time that the last frame tells.
    var wallMicroseconds: UInt64
    var previousChecksum: UInt32
    /// True when the last frame already says that everything is durable.
    var isMarked: Bool
}

/// What opening a log gave.
package struct RecoveredLog: Sendable {
    /// The last record's LSN; one below the first wanted when there is none.
    package var lastLSN: UInt64
    /// How the log ended; never `.corrupt`, that is thrown.
    package var end: LogEnd
    /// Whether the tail was written again because it was not proven durable.
    package var wasRewritten: Bool
    /// For `LogWriter`.
    package var continuation: LogContinuation
}

/// Opens a shard's log: replays it, and leaves it so that every byte is durable and a writer can
/// go on behind the last record.
///
/// After a crash the page cache may show bytes that never reached the disk, and a failed sync marks
/// lost pages as clean. So unless the last frame is a mark that covers everything, the last segment
/// is copied under a new nonce to a temporary file, synced, and renamed over the old one. A crash
/// at any step leaves the old segment or the new one under the same name, never both.
package enum LogRecovery {
    /// Replays records from `lsn` on and prepares the log for appending.
    ///
    /// - Parameters:
    ///   - directory: The shard's files; the caller holds the shard's lock.
    ///   - identity: Whose log it must be.
    ///   - lsn: First record wanted: one above the checkpoint's LSN, 1 without a checkpoint.
    ///   - mustExist: Whether having no log at all is damage; true when there is a manifest.
    ///   - nonce: A fresh random number.
    ///   - check: Is told the last LSN before anything is changed, and throws when that cannot be
    ///     all.
    ///   - visit: Gets the records in order. When this function throws they must be thrown away.
    /// - Returns: The end of the log, and where a `LogWriter` goes on.
    /// - Throws: `.corrupt` naming file, offset and LSN; `.unsupportedVersion`;
    ///   `.resourceExhausted` when there is no space to rewrite the tail; what `check` and `visit`
    ///   throw.
    package static func open(
        _ directory: Directory,
        identity: ShardIdentity,
        from lsn: UInt64,
        mustExist: Bool,
        nonce: UInt64,
        check: (_ lastLSN: UInt64) throws(OmenError) -> Void = { _ in },
        visit: (_ lsn: UInt64, LogRecord) throws(OmenError) -> Void
    ) throws(OmenError) -> RecoveredLog {
        let names = try directory.names()
        for name in names where isTemporaryLog(name) { try directory.remove(name) }
        let segmentNames = names.filter { LogSegment.firstLSN(of: $0) != nil }
        guard !segmentNames.isEmpty else {
            guard !mustExist else {
                let name = LogSegment.name(firstLSN: lsn)
                throw OmenError(.corrupt, "the log is missing, expected \(name) or an earlier one")
            }
            try check(lsn - 1)
            let fresh = LogSegmentHeader(identity: identity, nonce: nonce, firstLSN: lsn)
            return RecoveredLog(
                lastLSN: lsn - 1,
                end: .clean(lastLSN: lsn - 1),
                wasRewritten: false,
                continuation: try create(fresh, in: directory)
            )
        }
        var files: [MappedFile] = []
        for name in segmentNames { files.append(try directory.map(name)) }
        defer { withExtendedLifetime(files) {} }
        let segments = zip(segmentNames, files).map { LogSegmentBytes(name: $0, bytes: $1.bytes) }
        let scan = try LogScanner.examine(segments, identity: identity, from: lsn, visit: visit)
        guard let tail = scan.tail else { throw damage(scan.end) }
        try check(scan.lastLSN)
        let (continuation, wasRewritten) = try secure(tail, scan, directory, nonce)
        return RecoveredLog(
            lastLSN: scan.lastLSN,
            end: scan.end,
            wasRewritten: wasRewritten,
            continuation: continuation
        )
    }

    /// Makes the first segment of a shard whose checkpoint ends before `nextLSN`; durable on
    /// return.
    package static func createFirst(
        _ directory: Directory,
        identity: ShardIdentity,
        nextLSN: UInt64,
        nonce: UInt64
    ) throws(OmenError) {
        let header = LogSegmentHeader(identity: identity, nonce: nonce, firstLSN: nextLSN)
        _ = try create(header, in: directory)
    }

    /// The error that a corrupt end is.
    package static func damage(_ end: LogEnd) -> OmenError {
        guard case .corrupt(let segment, let offset, let lsn) = end else {
            preconditionFailure("\(end) is no damage")
        }
        return OmenError(
            .corrupt,
            "\(segment) offset \(offset): durable records from LSN \(lsn) on are damaged or missing"
        )
    }

    static func isTemporaryLog(_ name: String) -> Bool {
        name.hasPrefix(LogSegment.prefix)
            && name.hasSuffix(LogSegment.suffix + Directory.temporarySuffix)
    }

    /// Makes every byte of the tail durable.
    private static func secure(
        _ tail: LogTail,
        _ scan: LogScan,
        _ directory: Directory,
        _ nonce: UInt64
    ) throws(OmenError) -> (LogContinuation, wasRewritten: Bool) {
        if let predecessor = tail.predecessor {
            // Finish the sealing that a crash may have cut short.
            var generator = SplitMix64(seed: nonce)
            _ = try rewrite(predecessor, in: directory, nonce: generator.next(), seal: true)
        }
        let last = tail.last
        if case .clean = scan.end, last.durableLSN == last.nextLSN - 1, scan.damagedMarks.isEmpty {
            // The process before may have died between a rename and this.
            try directory.sync()
            return (try continueAsIs(last, in: directory), tail.predecessor != nil)
        }
        return (try rewrite(last, in: directory, nonce: nonce, seal: false), true)
    }

    /// Goes on in a segment whose records are durable.
    ///
    /// Its marks may be visible without being on the disk, when a sync failed after they were
    /// written, and would become a hole in the middle. So they are written again.
    private static func continueAsIs(
        _ last: LogTail.Open,
        in directory: Directory
    ) throws(OmenError) -> LogContinuation {
        var encoder = LogSegmentEncoder(
            identity: last.header.identity,
            nonce: last.header.nonce,
            firstLSN: last.header.firstLSN,
            nextLSN: last.nextLSN,
            wallMicroseconds: last.wallMicroseconds,
            previousChecksum: last.dataChecksum
        )
        var offset = last.dataEndOffset
        let device = try directory.open(LogSegment.name(firstLSN: last.header.firstLSN), .readWrite)
        try device.truncate(byteCount: offset)
        // The first segment has nothing before it to call durable.
        if last.nextLSN > 1 {
            let bytes = encoder.encode(mark(last.nextLSN))
            try writeAll(bytes, to: device, at: offset)
            offset += bytes.count
        }
        return LogContinuation(
            segmentFirstLSN: last.header.firstLSN,
            nextLSN: last.nextLSN,
            nonce: last.header.nonce,
            offset: offset,
            wallMicroseconds: encoder.wallMicroseconds,
            previousChecksum: encoder.previousChecksum,
            isMarked: true
        )
    }

    /// A mark that calls everything before `lsn` durable.
    private static func mark(_ lsn: UInt64, wallMicroseconds: UInt64 = 0) -> LogBatch {
        LogBatch(
            firstLSN: lsn,
            durableLSN: lsn - 1,
            wallMicroseconds: wallMicroseconds,
            records: []
        )
    }

    /// Makes a new, empty segment whose name and header are durable.
    static func create(
        _ header: LogSegmentHeader,
        in directory: Directory
    ) throws(OmenError) -> LogContinuation {
        let name = LogSegment.name(firstLSN: header.firstLSN)
        try directory.rename(try stage(header, in: directory), to: name)
        try directory.sync()
        return LogContinuation(
            segmentFirstLSN: header.firstLSN,
            nextLSN: header.firstLSN,
            nonce: header.nonce,
            offset: LogSegmentHeader.byteCount,
            wallMicroseconds: 0,
            previousChecksum: 0,
            isMarked: true
        )
    }

    /// Writes and syncs an empty segment under a temporary name, which it returns.
    static func stage(
        _ header: LogSegmentHeader,
        in directory: Directory
    ) throws(OmenError) -> String {
        let temporary = LogSegment.name(firstLSN: header.firstLSN) + Directory.temporarySuffix
        let device = try directory.open(temporary, .create)
        try writeAll(header.encode(), to: device, at: 0)
        try device.sync()
        return temporary
    }

    /// Replaces a segment by a copy of its records under a new nonce, ended by a footer or a mark.
    private static func rewrite(
        _ old: LogTail.Open,
        in directory: Directory,
        nonce: UInt64,
        seal: Bool
    ) throws(OmenError) -> LogContinuation {
        let identity = old.header.identity
        let firstLSN = old.header.firstLSN
        let name = LogSegment.name(firstLSN: firstLSN)
        let temporary = name + Directory.temporarySuffix
        let device = try directory.open(temporary, .create)
        var encoder = LogSegmentEncoder(identity: identity, nonce: nonce, firstLSN: firstLSN)
        var offset = 0
        try writeAll(encoder.header, to: device, at: offset)
        offset += encoder.header.count
        let seed = old.header.seed
        for place in old.batchOffsets {
            // Checked again: the bytes come from a mapping and were last read by the scan.
            guard let frame = LogFrame(old.source.bytes, at: place, seed: seed),
                let payload = frame.payload(in: old.source.bytes, at: place, seed: seed)
            else {
                throw OmenError(.corrupt, "\(name) offset \(place): changed while it was read")
            }
            let bytes = encoder.encode(
                .batch,
                firstLSN: frame.firstLSN,
                durableLSN: frame.firstLSN - 1,
                wallMicroseconds: frame.wallMicroseconds,
                recordCount: frame.recordCount,
                payload: Array(payload)
            )
            try writeAll(bytes, to: device, at: offset)
            offset += bytes.count
        }
        precondition(encoder.nextLSN == old.nextLSN, "\(name): rewriting lost records")
        // True once the file has its name, and nobody reads it before.
        let last =
            seal
            ? encoder.encodeFooter()
            : encoder.encode(mark(old.nextLSN, wallMicroseconds: old.wallMicroseconds))
        try writeAll(last, to: device, at: offset)
        offset += last.count
        try device.sync()
        try directory.rename(temporary, to: name)
        try directory.sync()
        return LogContinuation(
            segmentFirstLSN: firstLSN,
            nextLSN: old.nextLSN,
            nonce: nonce,
            offset: offset,
            wallMicroseconds: encoder.wallMicroseconds,
            previousChecksum: encoder.previousChecksum,
            isMarked: true
        )
    }
}
