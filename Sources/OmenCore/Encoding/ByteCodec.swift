// Everything here is inlinable: most codecs are in other modules, and without it every field costs
// an unspecialised call, which is most of a small message's time.

/// Builds little-endian bytes: the writing half of every frame, log record and manifest.
@usableFromInline package struct ByteWriter {
    @usableFromInline package internal(set) var bytes: [UInt8] = []

    @inlinable @inline(__always) package init(reserving byteCount: Int = 0) {
        bytes.reserveCapacity(byteCount)
    }

    @inlinable @inline(__always) package var count: Int { bytes.count }

    /// Makes room for `byteCount` more bytes, at least doubling, so that many calls stay linear.
    @inlinable @inline(__always) package mutating func reserve(_ byteCount: Int) {
        let needed = bytes.count + byteCount
        if needed > bytes.capacity { bytes.reserveCapacity(max(needed, bytes.capacity * 2)) }
    }

    @inlinable @inline(__always) package mutating func write<Value: FixedWidthInteger>(
        _ value: Value
    ) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    @inlinable @inline(__always) package mutating func write(_ value: Float) {
        write(value.bitPattern)
    }

    @inlinable @inline(__always) package mutating func write(raw: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: raw)
    }

    @inlinable @inline(__always) package mutating func write(raw: [UInt8]) {
        bytes.append(contentsOf: raw)
    }

    /// `UInt32` byte count, then the bytes.
    @inlinable @inline(__always) package mutating func write(counted: [UInt8]) {
        write(UInt32(counted.count))
        bytes.append(contentsOf: counted)
    }

    /// `UInt32` byte count, then UTF-8.
    @inlinable @inline(__always) package mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            write(UInt32(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    /// Zero bytes up to the next multiple of `alignment`.
    @inlinable @inline(__always) package mutating func pad(to alignment: Int) {
        let excess = bytes.count % alignment
        if excess > 0 { bytes.append(contentsOf: repeatElement(0, count: alignment - excess)) }
    }

    /// Overwrites a value written before, such as a length known only at the end.
    @inlinable @inline(__always) package mutating func patch<Value: FixedWidthInteger>(
        _ value: Value,
        at offset: Int
    ) {
        let size = MemoryLayout<Value>.size
        precondition(offset >= 0 && offset + size <= bytes.count, "patch outside the bytes")
        bytes.withUnsafeMutableBytes {
            $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
        }
    }

    /// Overwrites bytes that were kept free before.
    @inlinable @inline(__always) package mutating func patch(
        raw: UnsafeRawBufferPointer,
        at offset: Int
    ) {
        precondition(offset >= 0 && offset + raw.count <= bytes.count, "patch outside the bytes")
        bytes.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[offset..<offset + raw.count])
                .copyMemory(from: raw)
        }
    }
}

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
