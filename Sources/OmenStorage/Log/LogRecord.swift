package import OmenCore

/// One write as the log holds it; its LSN is the batch's first LSN plus its place in the batch.
package struct LogRecord: Equatable, Sendable {
    package var key: RequestKey
    /// What its records are numbered with; one version for all of them, unless the write brought
    /// records that were written before.
    package var versions: WriteVersions
    package var operation: WriteOperation

    package init(key: RequestKey, versions: WriteVersions, operation: WriteOperation) {
        self.key = key
        self.versions = versions
        self.operation = operation
    }
}

/// Records that become durable together, under one checksum.
///
/// Without records it is a sync mark: it only tells how far the log is durable, so that a reader
/// can tell lost history from an unfinished tail. Write one after each sync that nothing follows.
package struct LogBatch: Equatable, Sendable {
    /// LSN of the first record; of a mark, the LSN that comes next.
    ///
    /// LSNs start at 1.
    package var firstLSN: UInt64
    /// Everything up to here was synced before this batch is written; below `firstLSN`.
    package var durableLSN: UInt64
    /// Every record of this batch and before it was accepted at this time or earlier, in
    /// microseconds since 1970.
    ///
    /// An encoder writes the latest time it was told, so 0 repeats what the batch before told.
    package var wallMicroseconds: UInt64
    package var records: [LogRecord]

    package init(
        firstLSN: UInt64,
        durableLSN: UInt64,
        wallMicroseconds: UInt64 = 0,
        records: [LogRecord]
    ) {
        self.firstLSN = firstLSN
        self.durableLSN = durableLSN
        self.wallMicroseconds = wallMicroseconds
        self.records = records
    }
}

/// Where replay of a shard's log stopped, and what follows from it.
package enum LogEnd: Equatable, Sendable {
    /// The last batch is whole; only zeros or nothing follow.
    case clean(lastLSN: UInt64)
    /// The bytes from `offset` on are an unfinished write: cut them off, go on after `lastLSN`.
    case torn(segment: String, offset: Int, lastLSN: UInt64)
    /// Bytes that were durable are damaged or missing from `lsn` on: refuse to open.
    case corrupt(segment: String, offset: Int, lsn: UInt64)
}

/// Names of log segments.
package enum LogSegment {
    package static let prefix = "log-"
    package static let suffix = ".wal"
    /// No log gets there; below it, sums with the records of one segment cannot overflow.
    static let firstLSNMax: UInt64 = 1 << 62

    /// `log-` and the first LSN as 16 hexadecimal digits; names sort by LSN.
    package static func name(firstLSN: UInt64) -> String {
        prefix + hexadecimal(firstLSN) + suffix
    }

    /// The LSN in a name that `name(firstLSN:)` made; nil for every other.
    package static func firstLSN(of name: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
        guard digits.utf8.count == 16, let lsn = UInt64(digits, radix: 16) else { return nil }
        return self.name(firstLSN: lsn) == name ? lsn : nil
    }
}
