internal import OmenCore

/// Appends to the log, one call after the other; `LogWriter` runs it on a thread of its own.
///
/// Invariants: bytes before `offset` are whole frames; after a failed write or sync nothing is ever
/// written again, because the kernel marks pages it could not write as clean and a second sync
/// would succeed without them (Rebello et al., "Can Applications Recover from fsync Failures?",
/// ATC 2020).
final class LogAppender {
    /// Space is reserved in steps: its lack shows before a byte is written, a sync into reserved
    /// space need not extend the file.
    static let allocationStep = 4 << 20

    private let directory: Directory
    private let identity: ShardIdentity
    private var device: any OpenFile
    private var encoder: LogSegmentEncoder
    private var segmentFirstLSN: UInt64
    /// Just behind the last frame.
    private(set) var offset: Int
    private var allocatedByteCount = 0
    private var syncedLSN: UInt64
    /// Whether something was written since the last sync.
    private var isDirty = false
    /// The durable LSN that the segment's last frame tells; 0 when it has none.
    private var markedLSN: UInt64
    /// Set while batches are refused because an earlier one was.
    private var refusal: OmenError?
    /// The failure that ended writing.
    private var failure: OmenError?

    init(
        directory: Directory,
        identity: ShardIdentity,
        continuing place: LogContinuation
    ) throws(OmenError) {
        self.directory = directory
        self.identity = identity
        device = try directory.open(LogSegment.name(firstLSN: place.segmentFirstLSN), .readWrite)
        encoder = LogSegmentEncoder(
            identity: identity,
            nonce: place.nonce,
            firstLSN: place.segmentFirstLSN,
            nextLSN: place.nextLSN,
            wallMicroseconds: place.wallMicroseconds,
            previousChecksum: place.previousChecksum
        )
        segmentFirstLSN = place.segmentFirstLSN
        offset = place.offset
        syncedLSN = place.nextLSN - 1
        markedLSN = place.isMarked ? syncedLSN : 0
    }

    /// Writes one batch, and syncs it where asked for.
    func append(_ batch: LogBatch, sync: Bool) -> LogCompletion {
        if let failure { return .failed(failure) }
        if let refusal, batch.firstLSN > encoder.nextLSN {
            return .refused(firstLSN: batch.firstLSN, refusal)
        }
        var batch = batch
        batch.durableLSN = max(batch.durableLSN, syncedLSN)
        let before = encoder
        let bytes = encoder.encode(batch)
        do {
            let isMark = batch.records.isEmpty
            try reserve(bytes.count + LogFrame.byteCount, inSteps: !isMark)
            try writeAll(bytes, to: device, at: offset)
        } catch  where error.code == .resourceExhausted {
            encoder = before
            return refuse(batch.firstLSN, error)
        } catch {
            return fail(error)
        }
        refusal = nil
        offset += bytes.count
        markedLSN = batch.durableLSN
        isDirty = true
        if sync, let failed = makeDurable() { return failed }
        return .written(lastLSN: encoder.nextLSN - 1, synced: sync)
    }

    /// Syncs what was written.
    func sync() -> LogCompletion {
        if let failure { return .failed(failure) }
        return makeDurable() ?? .synced(throughLSN: syncedLSN)
    }

    /// Seals the segment and goes on in a new one.
    ///
    /// The order is: sync the records, make the successor, write the footer. So a successor proves
    /// that every record before it was durable, and a footer proves that a successor was there.
    func rotate(nonce: UInt64) -> LogCompletion {
        if let failure { return .failed(failure) }
        let firstLSN = encoder.nextLSN
        // An empty segment is as good as a new one, and a new one would have its name.
        if firstLSN == segmentFirstLSN { return .rotated(firstLSN: firstLSN) }
        if let failed = makeDurable() { return failed }
        let name = LogSegment.name(firstLSN: firstLSN)
        do {
            // Once the successor is there, the footer must not fail for want of space.
            try reserve(LogFrame.byteCount, inSteps: true)
            try makeSuccessor(name, nonce: nonce, firstLSN: firstLSN)
        } catch  where error.code == .resourceExhausted {
            guard let failed = rollBack() else { return .refused(firstLSN: firstLSN, error) }
            return failed
        } catch {
            return fail(error)
        }
        do {
            try directory.sync()
            let footer = encoder.encodeFooter()
            try writeAll(footer, to: device, at: offset)
            try device.truncate(byteCount: offset + footer.count)
            try device.sync()
            device = try directory.open(name, .readWrite)
        } catch {
            return fail(error)
        }
        encoder = LogSegmentEncoder(
            identity: identity,
            nonce: nonce,
            firstLSN: firstLSN,
            wallMicroseconds: encoder.wallMicroseconds
        )
        segmentFirstLSN = firstLSN
        offset = LogSegmentHeader.byteCount
        allocatedByteCount = 0
        markedLSN = 0
        return mark() ?? .rotated(firstLSN: firstLSN)
    }

    /// Syncs and leaves a mark last, so that the next start need not rewrite the tail.
    ///
    /// - Returns: A failure, if there is one now.
    func finish() -> LogCompletion? {
        if failure != nil { return nil }
        if let failed = makeDurable() { return failed }
        return mark()
    }

    /// Writes that everything is durable, unless the last frame says so already.
    ///
    /// In a new segment it says that the footer before it is durable: without it the next start
    /// writes the sealed segment again. Unsynced, because a mark only saves work.
    /// - Returns: A failure, if there is one now.
    private func mark() -> LogCompletion? {
        guard markedLSN < syncedLSN else { return nil }
        let mark = LogBatch(firstLSN: encoder.nextLSN, durableLSN: syncedLSN, records: [])
        let completion = append(mark, sync: false)
        if case .failed = completion { return completion }
        return nil
    }

    /// Makes the next segment, its name not yet durable; without space there is none.
    private func makeSuccessor(
        _ name: String,
        nonce: UInt64,
        firstLSN: UInt64
    ) throws(OmenError) {
        let header = LogSegmentHeader(identity: identity, nonce: nonce, firstLSN: firstLSN)
        do {
            try directory.rename(try LogRecovery.stage(header, in: directory), to: name)
        } catch {
            if error.code == .resourceExhausted {
                try directory.remove(name + Directory.temporarySuffix)
            }
            throw error
        }
    }

    private func makeDurable() -> LogCompletion? {
        guard isDirty else { return nil }
        do {
            try device.syncData()
        } catch {
            return fail(error)
        }
        isDirty = false
        syncedLSN = encoder.nextLSN - 1
        return nil
    }

    /// Reserves space behind `offset`, `inSteps` a whole step where the disk has it.
    ///
    /// Marks take what they need: a segment that nothing follows stays small.
    private func reserve(_ byteCount: Int, inSteps: Bool) throws(OmenError) {
        let needed = offset + byteCount
        guard needed > allocatedByteCount else { return }
        let step = inSteps ? Self.allocationStep : 1
        let rounded = (needed + step - 1) / step * step
        do {
            try device.allocate(byteCount: rounded)
            allocatedByteCount = rounded
        } catch  where error.code == .resourceExhausted {
            try device.allocate(byteCount: needed)
            allocatedByteCount = needed
        }
    }

    private func refuse(_ firstLSN: UInt64, _ error: OmenError) -> LogCompletion {
        if let failed = rollBack() { return failed }
        refusal = error
        return .refused(firstLSN: firstLSN, error)
    }

    /// Cuts off what a write without enough space left behind the last frame.
    private func rollBack() -> LogCompletion? {
        do {
            try device.truncate(byteCount: offset)
        } catch {
            return fail(error)
        }
        allocatedByteCount = offset
        return nil
    }

    private func fail(_ error: OmenError) -> LogCompletion {
        failure = error
        return .failed(error)
    }
}
