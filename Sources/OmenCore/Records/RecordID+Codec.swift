extension RecordID: ByteEncodable {
    /// Marks a text id in the length column; numbers have 0 there.
    ///
    /// Layout: `UInt32` count, then per id `UInt16` text length (0: a number follows) and either 8
    /// bytes of number or the text.
    package static func encode(_ ids: [RecordID], into writer: inout ByteWriter) {
        writer.write(UInt32(ids.count))
        for id in ids { id.encode(into: &writer) }
    }

    /// Bytes of an encoded list of ids.
    ///
    /// - Complexity: O(ids).
    package static func encodedByteCount(_ ids: [RecordID]) -> Int {
        ByteWriter.byteCount { encode(ids, into: &$0) }
    }

    package func encode(into writer: inout ByteWriter) {
        withBytes { isText, bytes in
            writer.write(isText ? UInt16(bytes.count) : 0)
            writer.write(raw: bytes)
        }
    }

    package init(from reader: inout ByteReader) throws(OmenError) {
        let textByteCount = Int(try reader.read(UInt16.self))
        guard textByteCount > 0 else {
            self = .number(try reader.read(UInt64.self))
            return
        }
        guard textByteCount <= Limits.textIDByteCountMax else {
            throw OmenError(
                .badRequest,
                "text id has \(textByteCount) bytes, expected 1...\(Limits.textIDByteCountMax)"
            )
        }
        let utf8 = try reader.read(count: textByteCount)
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw OmenError(.badRequest, "text id is not UTF-8")
        }
        self = .text(text)
    }

    package static func decodeList(
        from reader: inout ByteReader,
        limit: Int
    ) throws(OmenError) -> [RecordID] {
        let count = Int(try reader.read(UInt32.self))
        guard count <= limit else {
            throw OmenError(.badRequest, "\(count) ids in one request, expected at most \(limit)")
        }
        // Each id takes at least 3 bytes, so a lying count fails before much is reserved.
        guard count * 3 <= reader.remaining else {
            throw OmenError(.protocolViolation, "\(count) ids in \(reader.remaining) bytes")
        }
        var ids: [RecordID] = []
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(try RecordID(from: &reader)) }
        return ids
    }
}
