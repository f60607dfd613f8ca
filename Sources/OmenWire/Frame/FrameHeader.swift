internal import COmenFrame
package import OmenCore

/// Fixed part of every frame; `omen_frame.h` gives the offsets and has the compiler prove them.
///
/// What each field is for:
///
/// - magic: a peer that speaks something else is refused at its first bytes. It comes first, and
///   the version behind it, so that every version can find both.
/// - version: must equal ours; there is no negotiation, and the refusal names both.
/// - messageCount: says how many messages fill the body, so that a wrong length cannot hide.
/// - bodyByteCount: says where the next frame begins, and how much memory the body will take.
/// - bodyChecksum: finds damage of the body. It is apart from the header's, so that connections
///   with different headers can be sent one body that was checksummed once.
/// - cluster: a frame that reached another cluster, such as one at the same address, is refused.
/// - epoch: a frame of a worker's process that was replaced, or of a coordinator that was, is
///   refused although its cluster and shard are right.
/// - reserved: zero until a version gives it a meaning, which an older receiver then refuses.
/// - shard: a frame for one shard that reached another is refused.
/// - headerChecksum: covers all of these, also the body's checksum. It is last, so that it covers
///   one run of bytes. A length is believed only once this holds: a damaged one would let a
///   receiver wait for a body that never comes.
package struct FrameHeader: Equatable, Sendable {
    /// Bytes of a header.
    package static var byteCount: Int { MemoryLayout<omen_frame_header>.size }
    /// "OMN1" read as a little-endian number.
    package static let magic: UInt32 = 0x314E_4D4F
    /// Version of the protocol: of this header, the messages' heads and their bodies.
    package static let version: UInt16 = 6

    /// Messages in the body, 1 or more.
    package var messageCount: UInt16
    /// Bytes behind the header: a multiple of 8, the heads of its messages at least.
    package var bodyByteCount: UInt32
    /// CRC-32C of the body; 0: not computed.
    package var bodyChecksum: UInt32
    /// What the frame is about.
    package var scope: FrameScope

    /// A header.
    ///
    /// - Parameters:
    ///   - messageCount: As the property.
    ///   - bodyByteCount: As the property.
    ///   - bodyChecksum: As the property.
    ///   - scope: As the property.
    package init(
        messageCount: UInt16,
        bodyByteCount: UInt32,
        bodyChecksum: UInt32,
        scope: FrameScope
    ) {
        self.messageCount = messageCount
        self.bodyByteCount = bodyByteCount
        self.bodyChecksum = bodyChecksum
        self.scope = scope
    }

    /// Reads and checks a header; `bytes` begin with it.
    ///
    /// - Parameter bytes: At least `byteCount` of them; a frame's first ones.
    /// - Throws: `.unsupportedVersion` naming both versions, else `.protocolViolation` naming the
    ///   first wrong field.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(OmenError) {
        try Self.checkBeginning(bytes)
        guard bytes.count >= Self.byteCount else {
            throw OmenError(.protocolViolation, "frame header of \(bytes.count) bytes")
        }
        let raw = bytes.loadUnaligned(as: omen_frame_header.self)
        let checksum = Self.checksum(ofHeader: bytes)
        guard UInt32(littleEndian: raw.header_checksum) == checksum else {
            throw OmenError(
                .protocolViolation,
                "frame header checksum is \(UInt32(littleEndian: raw.header_checksum)), expected \(checksum)"
            )
        }
        guard raw.reserved == (0, 0) else {
            throw OmenError(.protocolViolation, "reserved bytes of a frame header are not zero")
        }
        messageCount = UInt16(littleEndian: raw.message_count)
        bodyByteCount = UInt32(littleEndian: raw.body_byte_count)
        bodyChecksum = UInt32(littleEndian: raw.body_checksum)
        scope = FrameScope(
            cluster: ClusterUUID(
                high: UInt64(littleEndian: raw.cluster_high),
                low: UInt64(littleEndian: raw.cluster_low)
            ),
            shard: UInt32(littleEndian: raw.shard),
            epoch: UInt64(littleEndian: raw.epoch)
        )
        try checkSizes()
    }

    /// Checks the magic and the version as far as they are there.
    ///
    /// A peer of another version may send frames that are shorter than our header, and would wait
    /// for an answer while we wait for the rest.
    ///
    /// - Parameter bytes: The first bytes of a frame, any number of them.
    /// - Throws: As `init(parsing:)`.
    static func checkBeginning(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
        var reader = ByteReader(bytes)
        guard reader.remaining >= 4 else { return }
        let magic = try reader.read(UInt32.self)
        guard magic == Self.magic else {
            throw OmenError(.protocolViolation, "frame magic is \(magic), expected \(Self.magic)")
        }
        guard reader.remaining >= 2 else { return }
        let version = try reader.read(UInt16.self)
        guard version == Self.version else {
            throw OmenError(
                .unsupportedVersion,
                "the peer speaks protocol version \(version), this side \(Self.version)"
            )
        }
    }

    /// Checks that a body can have these numbers of messages and bytes.
    private func checkSizes() throws(OmenError) {
        guard messageCount > 0 else {
            throw OmenError(.protocolViolation, "frame without messages")
        }
        let least = Int(messageCount) * MessageHead.byteCount
        guard bodyByteCount.isMultiple(of: 8),
            (least...Limits.frameBodyByteCountMax).contains(Int(bodyByteCount))
        else {
            throw OmenError(
                .protocolViolation,
                "frame body of \(bodyByteCount) bytes with \(messageCount) messages, expected"
                    + " a multiple of 8 in \(least)...\(Limits.frameBodyByteCountMax)"
            )
        }
    }

    /// Appends bytes for a header that is known when its frame is sealed.
    static func keepRoom(in writer: inout ByteWriter) {
        withUnsafeBytes(of: omen_frame_header()) { writer.write(raw: $0) }
    }

    /// Writes the header over bytes that were kept free for it.
    ///
    /// - Parameters:
    ///   - writer: Has `byteCount` bytes from `offset` on.
    ///   - offset: Where the frame begins.
    package func encode(into writer: inout ByteWriter, at offset: Int) {
        withBytes { writer.patch(raw: $0, at: offset) }
    }

    /// The header's bytes.
    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// Calls `body` with the encoded header.
    private func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        var raw = omen_frame_header(
            magic: Self.magic.littleEndian,
            version: Self.version.littleEndian,
            message_count: messageCount.littleEndian,
            body_byte_count: bodyByteCount.littleEndian,
            body_checksum: bodyChecksum.littleEndian,
            cluster_high: scope.cluster.high.littleEndian,
            cluster_low: scope.cluster.low.littleEndian,
            epoch: scope.epoch.littleEndian,
            reserved: (0, 0),
            shard: scope.shard.littleEndian,
            header_checksum: 0
        )
        let checksum = withUnsafeBytes(of: raw) { Self.checksum(ofHeader: $0) }
        raw.header_checksum = checksum.littleEndian
        return withUnsafeBytes(of: raw, body)
    }

    /// CRC-32C of the bytes before the checksum itself; `bytes` begin with a header.
    static func checksum(ofHeader bytes: UnsafeRawBufferPointer) -> UInt32 {
        crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<omen_frame_header_checksum_offset]))
    }
}
