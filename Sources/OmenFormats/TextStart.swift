package import OmenCore

/// How a text file may begin.
package enum TextStart {
    /// The bytes behind the mark that some programs put in front of UTF-8.
    ///
    /// - Throws: `.badRequest` for a file in UTF-16 or UTF-32, which would only be called broken
    ///   somewhere.
    package static func skip(
        _ bytes: UnsafeRawBufferPointer
    ) throws(OmenError) -> UnsafeRawBufferPointer {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF] as [UInt8]) {
            return UnsafeRawBufferPointer(rebasing: bytes.dropFirst(3))
        }
        guard bytes.count >= 2 else { return bytes }
        let isMarked = [0xFEFF, 0xFFFE].contains(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
        // No text of ours begins with a zero byte, and its second one is none either.
        guard !isMarked, bytes[0] != 0, bytes[1] != 0 else {
            throw OmenError(
                .badRequest,
                "the text is in UTF-16 or UTF-32, expected UTF-8: iconv -f UTF-16 -t UTF-8 converts"
            )
        }
        return bytes
    }
}
