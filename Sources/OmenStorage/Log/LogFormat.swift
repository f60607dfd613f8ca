internal import Glibc
package import OmenCore

/// First bytes of every log segment; little-endian, no padding.
///
///     offset size field
///          0    8 magic          "OMENLOG1"
///          8    4 formatVersion  2; another: refused by name
///         12   20 identity       shard, cluster UUID; another: refused by name
///         32    8 nonce          random per segment; seeds every checksum behind the header
///         40    8 firstLSN       equals the LSN in the file's name, continues the one before
///         48   12 zero           checked by the checksum only
///         60    4 checksum       CRC-32C of bytes 0..<60
///
/// The file gets its name only after the header is durable: a segment without a valid header is
/// damage, never an unfinished write.
struct LogSegmentHeader: Equatable {
    static let byteCount = 64
    static let magic: UInt64 = 0x3147_4F4C_4E45_4D4F
    static let formatVersion: UInt32 = 2

    var identity: ShardIdentity
    var nonce: UInt64
    var firstLSN: UInt64

    /// Where every frame checksum of the segment starts.
    var seed: UInt32 { identity.checksumSeed(nonce) }

    func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: Self.byteCount)
        writer.write(Self.magic)
        writer.write(Self.formatVersion)
        identity.encode(into: &writer)
        writer.write(nonce)
        writer.write(firstLSN)
        writer.write(raw: [UInt8](repeating: 0, count: Self.byteCount - 4 - writer.count))
        writer.write(crc32c(writer.bytes))
        return writer.bytes
    }

    /// Reads a header; nil when the bytes are none.
    ///
    /// - Throws: `.unsupportedVersion`.
    init?(_ bytes: UnsafeRawBufferPointer, of name: String) throws(OmenError) {
        guard bytes.count >= Self.byteCount else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<Self.byteCount]))
        guard try reader.read(UInt64.self) == Self.magic else { return nil }
        let checksum = bytes.loadUnaligned(fromByteOffset: Self.byteCount - 4, as: UInt32.self)
        let covered = UnsafeRawBufferPointer(rebasing: bytes[..<(Self.byteCount - 4)])
        guard UInt32(littleEndian: checksum) == crc32c(covered) else { return nil }
        let version = try reader.read(UInt32.self)
        guard version == Self.formatVersion else {
            throw OmenError(
                .unsupportedVersion,
                "\(name) has log format \(version), this build reads \(Self.formatVersion)"
            )
        }
        identity = try ShardIdentity(from: &reader)
        nonce = try reader.read(UInt64.self)
        firstLSN = try reader.read(UInt64.self)
    }

    init(identity: ShardIdentity, nonce: UInt64, firstLSN: UInt64) {
        self.identity = identity
        self.nonce = nonce
        self.firstLSN = firstLSN
    }
}

/// Head of a batch, a sync mark or a segment's footer; little-endian, no padding, any alignment.
///
///     offset size field
///          0    4 magic            "OBAT"; what the reader searches for behind damage
///          4    4 kind             1 batch or mark, 2 footer
///          8    4 payloadByteCount bytes of records that follow, at most `logBatchByteCountMax`
///         12    4 recordCount      0 in marks and footers
///         16    8 firstLSN         LSN of the first record, else the LSN that comes next
///         24    8 durableLSN       synced before this was written; below firstLSN
///         32    8 wallMicroseconds records up to its end were accepted at this time or earlier;
///                                  never less than in the frame before
///         40    4 previousChecksum `checksum` of the frame before; 0 in the segment's first
///         44    4 payloadChecksum  CRC-32C of the payload, seeded
///         48    4 checksum         CRC-32C of bytes 0..<48, seeded; so it covers the payload too
///
/// The seed is the CRC-32C of identity and nonce: bytes of another shard, of an older life of the
/// file or of a client's record never pass for a frame.
struct LogFrame: Equatable {
    static let byteCount = 52
    private static let checksumOffset = 48
    static let magic: UInt32 = 0x5441_424F

    enum Kind: UInt32 {
        case batch = 1
        /// Ends a sealed segment: all before it was synced when it was written.
        case footer = 2
    }

    var kind: Kind
    var payloadByteCount: Int
    var recordCount: UInt32
    var firstLSN: UInt64
    var durableLSN: UInt64
    var wallMicroseconds: UInt64
    var previousChecksum: UInt32
    var payloadChecksum: UInt32
    /// Read or computed; `encode` sets it.
    var checksum: UInt32 = 0

    /// Bytes of the frame with its payload.
    var totalByteCount: Int { Self.byteCount + payloadByteCount }

    /// The LSN after this frame's records; nil when it would overflow.
    var nextLSN: UInt64? {
        let (sum, overflow) = firstLSN.addingReportingOverflow(UInt64(recordCount))
        return overflow ? nil : sum
    }

    /// Sets `checksum`.
    ///
    /// - Returns: The bytes of the head.
    mutating func encode(seed: UInt32) -> [UInt8] {
        var head = ByteWriter(reserving: Self.byteCount)
        head.write(Self.magic)
        head.write(kind.rawValue)
        head.write(UInt32(payloadByteCount))
        head.write(recordCount)
        head.write(firstLSN)
        head.write(durableLSN)
        head.write(wallMicroseconds)
        head.write(previousChecksum)
        head.write(payloadChecksum)
        checksum = crc32c(head.bytes, seed: seed)
        head.write(checksum)
        return head.bytes
    }

    /// Reads the head at `offset`; nil unless its own checksum and every limit hold.
    init?(_ bytes: UnsafeRawBufferPointer, at offset: Int, seed: UInt32) {
        guard offset >= 0, bytes.count - offset >= Self.byteCount else { return nil }
        func load<Value: FixedWidthInteger>(_ type: Value.Type, _ place: Int) -> Value {
            Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + place, as: type))
        }
        guard load(UInt32.self, 0) == Self.magic else { return nil }
        checksum = load(UInt32.self, Self.checksumOffset)
        let covered = UnsafeRawBufferPointer(
            rebasing: bytes[offset..<offset + Self.checksumOffset]
        )
        guard crc32c(covered, seed: seed) == checksum else { return nil }
        guard let kind = Kind(rawValue: load(UInt32.self, 4)) else { return nil }
        self.kind = kind
        payloadByteCount = Int(load(UInt32.self, 8))
        recordCount = load(UInt32.self, 12)
        firstLSN = load(UInt64.self, 16)
        durableLSN = load(UInt64.self, 24)
        wallMicroseconds = load(UInt64.self, 32)
        previousChecksum = load(UInt32.self, 40)
        payloadChecksum = load(UInt32.self, 44)
        guard payloadByteCount <= Limits.logBatchByteCountMax, durableLSN < firstLSN else {
            return nil
        }
        guard nextLSN != nil else { return nil }
    }

    init(
        kind: Kind,
        payloadByteCount: Int,
        recordCount: UInt32,
        firstLSN: UInt64,
        durableLSN: UInt64,
        wallMicroseconds: UInt64,
        previousChecksum: UInt32,
        payloadChecksum: UInt32
    ) {
        self.kind = kind
        self.payloadByteCount = payloadByteCount
        self.recordCount = recordCount
        self.firstLSN = firstLSN
        self.durableLSN = durableLSN
        self.wallMicroseconds = wallMicroseconds
        self.previousChecksum = previousChecksum
        self.payloadChecksum = payloadChecksum
    }

    /// The payload behind a head at `offset`; nil when it is cut off or fails its checksum.
    func payload(
        in bytes: UnsafeRawBufferPointer,
        at offset: Int,
        seed: UInt32
    ) -> UnsafeRawBufferPointer? {
        let start = offset + Self.byteCount
        guard bytes.count - start >= payloadByteCount else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<start + payloadByteCount])
        return crc32c(payload, seed: seed) == payloadChecksum ? payload : nil
    }

    /// The next place at or after `offset` where a head's magic stands.
    ///
    /// - Complexity: O(distance).
    static func nextMagic(in bytes: UnsafeRawBufferPointer, from offset: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let firstByte = Int32(truncatingIfNeeded: magic & 0xFF)
        var place = offset
        while bytes.count - place >= byteCount {
            guard let found = memchr(base + place, firstByte, bytes.count - place) else { break }
            place = UnsafeRawPointer(found) - base
            guard bytes.count - place >= byteCount else { break }
            let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            if UInt32(littleEndian: word) == magic { return place }
            place += 1
        }
        return nil
    }
}

extension LogRecord: ByteEncodable {
    /// Bytes before the operation of a record without a column of versions.
    package static let headByteCount = 4 + 16 + WriteVersions.leastByteCount

    /// Layout: `UInt32` byte count of the rest, `UInt64` client, `UInt64` sequence, versions,
    /// operation.
    package func encode(into writer: inout ByteWriter) {
        let start = writer.count
        writer.write(UInt32(0))
        writer.write(key.client)
        writer.write(key.sequence)
        versions.encode(into: &writer)
        operation.encode(into: &writer)
        writer.patch(UInt32(writer.count - start - 4), at: start)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        var record = ByteReader(try reader.readCounted(limit: Limits.logBatchByteCountMax))
        let client = try record.read(UInt64.self)
        key = RequestKey(client: client, sequence: try record.read(UInt64.self))
        versions = try WriteVersions(from: &record)
        operation = try WriteOperation(from: &record)
        try record.expectEnd()
        guard !versions.records.isEmpty else { return }
        guard case .upsert(let batch) = operation, batch.ids.count == versions.records.count else {
            throw OmenError(.corrupt, "\(versions.records.count) versions for other records")
        }
    }
}
