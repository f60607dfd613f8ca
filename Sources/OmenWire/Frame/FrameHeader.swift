package import OmenCore

/// Fixed part of every frame; little-endian, no padding.
///
///     offset size field
///          0    4 magic          "OMN1"; anything else: peers are out of step, close
///          4    2 version        must equal ours; there is no negotiation
///          6    2 messageCount   1...65,535
///          8    4 bodyByteCount  multiple of 8, 16 per message...64 MiB
///         12    4 checksum       CRC-32C of bytes 0..<12, then of the body; 0: not computed
///
/// `messageCount` messages of `MessageHead` form follow. A header is refused before any byte of the
/// body is there when its magic, version or sizes cannot be right; that its bytes arrived unchanged
/// is only known once the whole body is there, for the checksum covers both.
package struct FrameHeader: Equatable, Sendable {
    package static let byteCount = 16
    /// "OMN1" read as a little-endian number.
    package static let magic: UInt32 = 0x314E_4D4F
    package static let version: UInt16 = 4

    /// Where fields lie that are known only when the body is complete.
    enum Offset {
        static let messageCount = 6
        static let bodyByteCount = 8
        static let checksum = 12
    }

    package var messageCount: UInt16
    package var bodyByteCount: UInt32
    package var checksum: UInt32

    package init(messageCount: UInt16, bodyByteCount: UInt32, checksum: UInt32) {
        self.messageCount = messageCount
        self.bodyByteCount = bodyByteCount
        self.checksum = checksum
    }

    /// Reads and checks a header; `bytes` begin with it.
    ///
    /// - Throws: `.unsupportedVersion` naming both versions, else `.protocolViolation` naming the
    ///   first wrong field.
    package init(parsing bytes: UnsafeRawBufferPointer) throws(OmenError) {
        var reader = ByteReader(bytes)
        let magic = try reader.read(UInt32.self)
        guard magic == Self.magic else {
            throw OmenError(.protocolViolation, "frame magic is \(magic), expected \(Self.magic)")
        }
        let version = try reader.read(UInt16.self)
        guard version == Self.version else {
            throw OmenError(
                .unsupportedVersion,
                "the peer speaks protocol version \(version), this side \(Self.version)"
            )
        }
        messageCount = try reader.read(UInt16.self)
        bodyByteCount = try reader.read(UInt32.self)
        checksum = try reader.read(UInt32.self)
        let least = Int(messageCount) * MessageHead.byteCount
        guard messageCount > 0 else {
            throw OmenError(.protocolViolation, "frame without messages")
        }
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

    package func encode(into writer: inout ByteWriter) {
        writer.write(Self.magic)
        writer.write(Self.version)
        writer.write(messageCount)
        writer.write(bodyByteCount)
        writer.write(checksum)
    }

    /// The checksum of a whole frame, header and body.
    static func checksum(ofFrame bytes: UnsafeRawBufferPointer) -> UInt32 {
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<12])
        return crc32c(
            UnsafeRawBufferPointer(rebasing: bytes[byteCount...]),
            seed: crc32c(head)
        )
    }
}

/// Fixed part of every message inside a frame; little-endian, no padding.
///
///     offset size field
///          0    4 byteCount   whole message: this head, body, zero padding; multiple of 8
///          4    2 kind        `MessageKind`
///          6    2 flags       0
///          8    8 requestID   echoed in the reply; 0 for what is sent unasked
///         16      body        then 0...7 zero bytes
enum MessageHead {
    static let byteCount = 16

    /// Bytes of a message with a body of `bodyByteCount`.
    static func messageByteCount(bodyByteCount: Int) -> Int { (byteCount + bodyByteCount + 7) & ~7 }
}
