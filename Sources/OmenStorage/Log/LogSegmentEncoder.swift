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
    /// The time that the last frame tells, which later ones do not fall below.
    private(set) var wallMicroseconds: UInt64
    private let seed: UInt32

    /// Begins a segment.
    ///
    /// - Parameters:
    ///   - identity: Whose log it is.
    ///   - nonce: A fresh random number.
    ///   - firstLSN: What the first batch starts at.
    ///   - wallMicroseconds: The time that the last frame of the segment before tells.
    package init(
        identity: ShardIdentity,
        nonce: UInt64,
        firstLSN: UInt64,
        wallMicroseconds: UInt64 = 0
    ) {
        precondition(firstLSN > 0, "LSNs start at 1")
        self.wallMicroseconds = wallMicroseconds
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
        wallMicroseconds: UInt64,
        previousChecksum: UInt32
    ) {
        self.init(
            identity: identity,
            nonce: nonce,
            firstLSN: firstLSN,
            wallMicroseconds: wallMicroseconds
        )
        self.nextLSN = nextLSN
        self.previousChecksum = previousChecksum
    }

    /// The bytes of one batch, to be appended behind everything encoded before.
    ///
    /// - Precondition: The batch continues the LSNs, nothing at or above its first LSN is called
    ///   durable, and its records take at most `Limits.logBatchByteCountMax` bytes.
    package mutating func encode(_ batch: LogBatch) -> [UInt8] {
        let byteCount = batch.records.reduce(0) { $0 + $1.encodedByteCount }
        return encode(
            .batch,
            firstLSN: batch.firstLSN,
            durableLSN: batch.durableLSN,
            wallMicroseconds: batch.wallMicroseconds,
            recordCount: UInt32(batch.records.count),
            payloadByteCount: byteCount
        ) { writer in
            for record in batch.records { record.encode(into: &writer) }
        }
    }

    /// The footer that seals the segment.
    ///
    /// - Precondition: Everything before it is synced.
    mutating func encodeFooter() -> [UInt8] {
        encode(
            .footer,
            firstLSN: nextLSN,
            durableLSN: nextLSN - 1,
            wallMicroseconds: wallMicroseconds,
            recordCount: 0,
            payload: []
        )
    }

    /// A frame around a payload that is encoded already.
    mutating func encode(
        _ kind: LogFrame.Kind,
        firstLSN: UInt64,
        durableLSN: UInt64,
        wallMicroseconds: UInt64,
        recordCount: UInt32,
        payload: [UInt8]
    ) -> [UInt8] {
        encode(
            kind,
            firstLSN: firstLSN,
            durableLSN: durableLSN,
            wallMicroseconds: wallMicroseconds,
            recordCount: recordCount,
            payloadByteCount: payload.count
        ) { $0.write(raw: payload) }
    }

    /// A frame whose payload is encoded behind its head, so that it is not copied there.
    private mutating func encode(
        _ kind: LogFrame.Kind,
        firstLSN: UInt64,
        durableLSN: UInt64,
        wallMicroseconds: UInt64,
        recordCount: UInt32,
        payloadByteCount: Int,
        _ encodePayload: (inout ByteWriter) -> Void
    ) -> [UInt8] {
        precondition(firstLSN == nextLSN, "batch at LSN \(firstLSN), the log is at \(nextLSN)")
        precondition(durableLSN < firstLSN, "LSN \(durableLSN) durable before \(firstLSN)")
        precondition(
            payloadByteCount <= Limits.logBatchByteCountMax,
            "batch of \(payloadByteCount) bytes, at most \(Limits.logBatchByteCountMax)"
        )
        var writer = ByteWriter(reserving: LogFrame.byteCount + payloadByteCount)
        writer.write(zeros: LogFrame.byteCount)
        encodePayload(&writer)
        precondition(
            writer.count == LogFrame.byteCount + payloadByteCount,
            "a payload of \(writer.count - LogFrame.byteCount) bytes, counted \(payloadByteCount)"
        )
        let payloadChecksum = writer.bytes.withUnsafeBytes { bytes in
            crc32c(UnsafeRawBufferPointer(rebasing: bytes[LogFrame.byteCount...]), seed: seed)
        }
        var frame = LogFrame(
            kind: kind,
            payloadByteCount: payloadByteCount,
            recordCount: recordCount,
            firstLSN: firstLSN,
            durableLSN: durableLSN,
            wallMicroseconds: max(self.wallMicroseconds, wallMicroseconds),
            previousChecksum: previousChecksum,
            payloadChecksum: payloadChecksum
        )
        writer.overwrite(frame.encode(seed: seed))
        previousChecksum = frame.checksum
        self.wallMicroseconds = frame.wallMicroseconds
        nextLSN += UInt64(recordCount)
        return writer.bytes
    }
}
