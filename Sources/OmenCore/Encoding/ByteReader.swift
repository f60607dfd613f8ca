// Inlinable for the same reason as `ByteWriter`.

/// Reads little-endian bytes that cannot be trusted: every step is bounds-checked and throws.
///
/// Borrows its bytes: valid only inside the `withUnsafeBytes` that gave them.
@usableFromInline package struct ByteReader {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    @usableFromInline package internal(set) var offset = 0

    @inlinable @inline(__always) package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    @inlinable @inline(__always) package var remaining: Int { bytes.count - offset }

    /// The next `count` bytes, borrowed.
    @inlinable @inline(__always) package mutating func read(
        count: Int
    ) throws(OmenError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw truncated(count) }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    @usableFromInline func truncated(_ count: Int) -> OmenError {
        OmenError(
            .protocolViolation,
            "truncated: \(count) bytes expected at offset \(offset), \(remaining) left"
        )
    }

    @inlinable @inline(__always)
    package mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type
    ) throws(OmenError) -> Value {
        let size = MemoryLayout<Value>.size
        guard size <= remaining else { throw truncated(size) }
        defer { offset += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    @inlinable @inline(__always) package mutating func readFloat() throws(OmenError) -> Float {
        Float(bitPattern: try read(UInt32.self))
    }

    /// `UInt32` byte count, at most `limit`, then that many bytes.
    @inlinable @inline(__always) package mutating func readCounted(
        limit: Int
    ) throws(OmenError) -> UnsafeRawBufferPointer {
        let count = Int(try read(UInt32.self))
        guard count <= limit else { throw tooLong(count, limit: limit) }
        return try read(count: count)
    }

    @usableFromInline func tooLong(_ count: Int, limit: Int) -> OmenError {
        OmenError(.protocolViolation, "length \(count) at offset \(offset), limit \(limit)")
    }

    /// `UInt32` byte count, at most `limit`, then valid UTF-8.
    package mutating func readText(limit: Int) throws(OmenError) -> String {
        let utf8 = try readCounted(limit: limit)
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw OmenError(.protocolViolation, "invalid UTF-8 before offset \(offset)")
        }
        return text
    }

    /// Fails unless everything was read.
    package func expectEnd() throws(OmenError) {
        guard remaining == 0 else {
            throw OmenError(.protocolViolation, "\(remaining) trailing bytes at offset \(offset)")
        }
    }
}
