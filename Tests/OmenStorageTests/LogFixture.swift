import OmenCore
import Testing

@testable import OmenStorage

/// A log in memory, built frame by frame, that tests then damage.
struct LogFixture {
    struct Segment {
        var name: String
        var bytes: [UInt8]
        /// Where each frame starts, in order.
        var frames: [Int] = []
    }

    var segments: [Segment] = []
    private var encoder: LogSegmentEncoder
    private let identity: ShardIdentity

    init(firstLSN: UInt64 = 1, nonce: UInt64 = 99, identity: ShardIdentity = testIdentity) {
        self.identity = identity
        encoder = LogSegmentEncoder(identity: identity, nonce: nonce, firstLSN: firstLSN)
        begin(firstLSN)
    }

    var nextLSN: UInt64 { encoder.nextLSN }

    mutating func append(_ batch: LogBatch) {
        add(encoder.encode(batch))
    }

    /// Appends the next `count` records.
    mutating func append(_ count: UInt64, durable: UInt64? = nil, textBytes: Int = 0) {
        append(batch(nextLSN, count, durable: durable, textBytes: textBytes))
    }

    mutating func appendMark() { append(mark(nextLSN)) }

    mutating func rotate(nonce: UInt64, sealing: Bool = true) {
        if sealing { add(encoder.encodeFooter()) }
        encoder = LogSegmentEncoder(identity: identity, nonce: nonce, firstLSN: nextLSN)
        begin(encoder.nextLSN)
    }

    /// What a scan gives: the end, or the error, and the records.
    func scan(
        from lsn: UInt64 = 1,
        identity: ShardIdentity = testIdentity
    ) -> (end: Result<LogEnd, OmenError>, lsns: [UInt64], records: [LogRecord]) {
        let files = segments.map { MappedFile(copying: $0.bytes) }
        defer { withExtendedLifetime(files) {} }
        var lsns: [UInt64] = []
        var records: [LogRecord] = []
        let end = Result { () throws(OmenError) in
            try LogScanner.scan(
                zip(segments, files).map { LogSegmentBytes(name: $0.name, bytes: $1.bytes) },
                identity: identity,
                from: lsn
            ) { lsn, record in
                lsns.append(lsn)
                records.append(record)
            }
        }
        return (end, lsns, records)
    }

    private mutating func begin(_ firstLSN: UInt64) {
        segments.append(
            Segment(name: LogSegment.name(firstLSN: firstLSN), bytes: encoder.header)
        )
    }

    private mutating func add(_ bytes: [UInt8]) {
        segments[segments.count - 1].frames.append(segments[segments.count - 1].bytes.count)
        segments[segments.count - 1].bytes += bytes
    }
}

/// True when the scan found damage to durable bytes, returned or thrown.
func isCorrupt(_ end: Result<LogEnd, OmenError>) -> Bool {
    switch end {
    case .success(.corrupt): true
    case .success: false
    case .failure(let error): error.code == .corrupt
    }
}

/// The records that `record(_:)` makes for `1...last`.
func records(_ range: ClosedRange<UInt64>, textBytes: Int = 0) -> [LogRecord] {
    range.map { record($0, textBytes: textBytes) }
}
