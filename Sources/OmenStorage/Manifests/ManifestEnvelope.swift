internal import OmenCore

/// The frame around the three manifests; little-endian, no padding.
///
///     offset size field
///          0    8 magic            which manifest; anything else: refused
///          8    4 formatVersion    another than ours: refused by name
///         12    4 payloadByteCount must be the file's size - 20
///         16    n payload
///     16 + n    4 checksum         CRC-32C of everything before
enum ManifestEnvelope {
    static let overheadByteCount = 20

    static func encode(magic: UInt64, version: UInt32, payload: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(reserving: payload.count + overheadByteCount)
        writer.write(magic)
        writer.write(version)
        writer.write(UInt32(payload.count))
        writer.write(raw: payload)
        writer.write(crc32c(writer.bytes))
        return writer.bytes
    }

    /// Checks the envelope of the file called `path` and reads its payload to the last byte.
    ///
    /// - Throws: `.corrupt` or `.unsupportedVersion`, naming the file; every failure of `read`
    ///   becomes `.corrupt` too, except `.unsupportedVersion`.
    static func decode<Value>(
        _ bytes: [UInt8],
        path: String,
        magic: UInt64,
        version: UInt32,
        read: (inout ByteReader) throws(OmenError) -> Value
    ) throws(OmenError) -> Value {
        do {
            return try withBytes(of: bytes) { buffer throws(OmenError) in
                let payload = try payload(of: buffer, magic: magic, version: version)
                var reader = ByteReader(payload)
                let value = try read(&reader)
                try reader.expectEnd()
                return value
            }
        } catch {
            let code: OmenError.Code =
                error.code == .unsupportedVersion ? .unsupportedVersion : .corrupt
            throw OmenError(code, "\(path): \(error.message)")
        }
    }

    private static func payload(
        of bytes: UnsafeRawBufferPointer,
        magic: UInt64,
        version: UInt32
    ) throws(OmenError) -> UnsafeRawBufferPointer {
        guard bytes.count >= overheadByteCount else {
            throw OmenError(.corrupt, "\(bytes.count) bytes are too few for a manifest")
        }
        let end = bytes.count - 4
        let checksum = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt32.self)
        )
        guard checksum == crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<end])) else {
            throw OmenError(.corrupt, "the checksum at offset \(end) does not match")
        }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        guard try reader.read(UInt64.self) == magic else {
            throw OmenError(.corrupt, "not a manifest of this kind")
        }
        let found = try reader.read(UInt32.self)
        guard found == version else {
            throw OmenError(
                .unsupportedVersion,
                "manifest format \(found), this build reads \(version)"
            )
        }
        let count = Int(try reader.read(UInt32.self))
        guard count == reader.remaining else {
            throw OmenError(.corrupt, "payload of \(count) bytes, \(reader.remaining) are there")
        }
        return try reader.read(count: count)
    }
}
