/// Builds little-endian bytes: the writing half of every frame, log record and manifest.
package struct ByteWriter {
    package private(set) var bytes: [UInt8] = []

    package init(reserving byteCount: Int = 0) { bytes.reserveCapacity(byteCount) }

    package var count: Int { bytes.count }

    package mutating func write<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func write(_ value: Float) { write(value.bitPattern) }

    package mutating func write(raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }

    package mutating func write(raw: [UInt8]) { bytes.append(contentsOf: raw) }

    /// `UInt32` byte count, then the bytes.
    package mutating func write(counted: [UInt8]) {
        write(UInt32(counted.count))
        bytes.append(contentsOf: counted)
    }

    /// `UInt32` byte count, then UTF-8.
    package mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            write(UInt32(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    /// Zero bytes up to the next multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        let excess = bytes.count % alignment
        if excess > 0 { bytes.append(contentsOf: repeatElement(0, count: alignment - excess)) }
    }

    /// Overwrites a value written before, such as a length known only at the end.
    package mutating func patch<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        let size = MemoryLayout<Value>.size
        precondition(offset >= 0 && offset + size <= bytes.count, "patch outside the bytes")
        withUnsafeBytes(of: value.littleEndian) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}

/// Reads little-endian bytes that cannot be trusted: every step is bounds-checked and throws.
///
/// Borrows its bytes: valid only inside the `withUnsafeBytes` that gave them.
package struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    package private(set) var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var remaining: Int { bytes.count - offset }

    /// The next `count` bytes, borrowed.
    package mutating func read(count: Int) throws(OmenError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else {
            throw OmenError(
                .protocolViolation,
                "truncated: \(count) bytes expected at offset \(offset), \(remaining) left"
            )
        }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    package mutating func read<Value: FixedWidthInteger>(
        _ type: Value.Type
    ) throws(OmenError) -> Value {
        let source = try read(count: MemoryLayout<Value>.size)
        return Value(littleEndian: source.loadUnaligned(as: Value.self))
    }

    package mutating func readFloat() throws(OmenError) -> Float {
        Float(bitPattern: try read(UInt32.self))
    }

    /// `UInt32` byte count, at most `limit`, then that many bytes.
    package mutating func readCounted(limit: Int) throws(OmenError) -> UnsafeRawBufferPointer {
        let count = Int(try read(UInt32.self))
        guard count <= limit else {
            throw OmenError(
                .protocolViolation,
                "length \(count) at offset \(offset), limit \(limit)"
            )
        }
        return try read(count: count)
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
