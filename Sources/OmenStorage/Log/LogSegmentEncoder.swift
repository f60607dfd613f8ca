internal import OmenCore

/// Turns batches into the bytes of one segment, in order; no I/O.
///
/// A copy keeps the state: restore it when the encoded bytes could not be written.
package struct LogSegmentEncoder: Sendable {
    /// The bytes a segment starts with.
    package let header: [UInt8]
    /// What the next batch must start at.
    package private(set) var nextLSN: UInt64
    /// Checksum of the last frame, which the next one repeats.
    private(set) var previousChecksum: UInt32 = 0
    private let seed: UInt32

    package init(identity: ShardIdentity, nonce: UInt64, firstLSN: UInt64) {
        precondition(firstLSN > 0, "LSNs start at 1")
        let header = LogSegmentHeader(identity: identity, nonce: nonce, firstLSN: firstLSN)
        self.header = header.encode()
        seed = header.seed
        nextLSN = firstLSN
    }

    /// Continues a segment behind its last frame.
    init(
        identity: ShardIdentity,
        nonce: UInt64,
        firstLSN: UInt64,
        nextLSN: UInt64,
        previousChecksum: UInt32
    ) {
        self.init(identity: identity, nonce: nonce, firstLSN: firstLSN)
        self.nextLSN = nextLSN
        self.previousChecksum = previousChecksum
    }

    /// The bytes of one batch, to be appended behind everything encoded before.
    ///
    /// - Precondition: The batch continues the LSNs, nothing at or above its first LSN is called
    ///   durable, and its records take at most `Limits.logBatchByteCountMax` bytes.
    package mutating func encode(_ batch: LogBatch) -> [UInt8] {
        var payload = ByteWriter(
            reserving: batch.records.reduce(0) { $0 + $1.encodedByteCount }
        )
        for record in batch.records { record.encode(into: &payload) }
        return encode(
            .batch,
            firstLSN: batch.firstLSN,
            durableLSN: batch.durableLSN,
            recordCount: UInt32(batch.records.count),
            payload: payload.bytes
        )
    }

    /// The footer that seals the segment.
    ///
    /// - Precondition: Everything before it is synced.
    mutating func encodeFooter() -> [UInt8] {
        encode(.footer, firstLSN: nextLSN, durableLSN: nextLSN - 1, recordCount: 0, payload: [])
    }

    /// A frame around a payload that is encoded already.
    mutating func encode(
        _ kind: LogFrame.Kind,
        firstLSN: UInt64,
        durableLSN: UInt64,
        recordCount: UInt32,
        payload: [UInt8]
    ) -> [UInt8] {
        precondition(firstLSN == nextLSN, "batch at LSN \(firstLSN), the log is at \(nextLSN)")
        precondition(durableLSN < firstLSN, "LSN \(durableLSN) durable before \(firstLSN)")
        precondition(
            payload.count <= Limits.logBatchByteCountMax,
            "batch of \(payload.count) bytes, at most \(Limits.logBatchByteCountMax)"
        )
        var frame = LogFrame(
            kind: kind,
            payloadByteCount: payload.count,
            recordCount: recordCount,
            firstLSN: firstLSN,
            durableLSN: durableLSN,
            previousChecksum: previousChecksum,
            payloadChecksum: crc32c(payload, seed: seed)
        )
        var writer = ByteWriter(reserving: frame.totalByteCount)
        frame.encode(into: &writer, seed: seed)
        writer.write(raw: payload)
        previousChecksum = frame.checksum
        nextLSN += UInt64(recordCount)
        return writer.bytes
    }
}
