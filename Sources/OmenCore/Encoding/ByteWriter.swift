// Everything here is inlinable: most codecs are in other modules, and without it every field costs
// an unspecialised call, which is most of a small message's time.

/// Builds little-endian bytes: the writing half of every frame, log record and manifest.
///
/// It can also count the bytes that it is given and keep none of them. So the function that encodes
/// a value is the one place that knows how long the value is: see `ByteEncodable`.
@usableFromInline package struct ByteWriter {
    @usableFromInline package internal(set) var bytes: [UInt8] = []
    /// Bytes that were counted and not kept.
    @usableFromInline var countedByteCount = 0
    @usableFromInline let isCounting: Bool

    /// - Parameter byteCount: Bytes to make room for.
    @inlinable @inline(__always) package init(reserving byteCount: Int = 0) {
        isCounting = false
        bytes.reserveCapacity(byteCount)
    }

    @inlinable @inline(__always) init(isCounting: Bool) { self.isCounting = isCounting }

    /// Bytes that `encode` writes.
    ///
    /// - Parameter encode: Is given a writer that keeps nothing; it must not look at its bytes.
    /// - Returns: How many bytes it would have kept.
    /// - Complexity: As many steps as `encode` writes values; an array counts as one.
    @inlinable @inline(__always) package static func byteCount(
        of encode: (inout ByteWriter) -> Void
    ) -> Int {
        var counter = ByteWriter(isCounting: true)
        encode(&counter)
        return counter.count
    }

    /// Bytes written so far.
    @inlinable @inline(__always) package var count: Int {
        isCounting ? countedByteCount : bytes.count
    }

    /// Makes room for `byteCount` more bytes, at least doubling, so that many calls stay linear.
    @inlinable @inline(__always) package mutating func reserve(_ byteCount: Int) {
        guard !isCounting else { return }
        let needed = bytes.count + byteCount
        if needed > bytes.capacity { bytes.reserveCapacity(max(needed, bytes.capacity * 2)) }
    }

    @inlinable @inline(__always) package mutating func write<Value: FixedWidthInteger>(
        _ value: Value
    ) {
        withUnsafeBytes(of: value.littleEndian) { write(raw: $0) }
    }

    @inlinable @inline(__always) package mutating func write(_ value: Float) {
        write(value.bitPattern)
    }

    @inlinable @inline(__always) package mutating func write(raw: UnsafeRawBufferPointer) {
        if isCounting { countedByteCount += raw.count } else { bytes.append(contentsOf: raw) }
    }

    @inlinable @inline(__always) package mutating func write(raw: [UInt8]) {
        if isCounting { countedByteCount += raw.count } else { bytes.append(contentsOf: raw) }
    }

    /// `UInt32` byte count, then the bytes.
    @inlinable @inline(__always) package mutating func write(counted: [UInt8]) {
        write(UInt32(counted.count))
        write(raw: counted)
    }

    /// `UInt32` byte count, then UTF-8.
    @inlinable @inline(__always) package mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            write(UInt32(utf8.count))
            write(raw: UnsafeRawBufferPointer(utf8))
        }
    }

    /// Writes zero bytes up to the next multiple of `alignment`.
    @inlinable @inline(__always) package mutating func pad(to alignment: Int) {
        let excess = count % alignment
        if excess > 0 { write(zeros: alignment - excess) }
    }

    /// Writes `byteCount` zero bytes.
    @inlinable @inline(__always) package mutating func write(zeros byteCount: Int) {
        if isCounting {
            countedByteCount += byteCount
        } else {
            bytes.append(contentsOf: repeatElement(0, count: byteCount))
        }
    }

    /// Overwrites a value written before, such as a length known only at the end.
    @inlinable @inline(__always) package mutating func patch<Value: FixedWidthInteger>(
        _ value: Value,
        at offset: Int
    ) {
        let size = MemoryLayout<Value>.size
        precondition(offset >= 0 && offset + size <= count, "patch outside the bytes")
        guard !isCounting else { return }
        bytes.withUnsafeMutableBytes {
            $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
        }
    }

    /// Overwrites bytes that were kept free before.
    @inlinable @inline(__always) package mutating func patch(
        raw: UnsafeRawBufferPointer,
        at offset: Int
    ) {
        precondition(offset >= 0 && offset + raw.count <= count, "patch outside the bytes")
        guard !isCounting else { return }
        bytes.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[offset..<offset + raw.count])
                .copyMemory(from: raw)
        }
    }

    /// Overwrites the first bytes, such as a head that is known only when the rest is written.
    package mutating func overwrite(_ head: [UInt8]) {
        precondition(!isCounting && head.count <= bytes.count, "a head longer than the bytes")
        bytes.replaceSubrange(..<head.count, with: head)
    }
}

/// A value that is written as bytes in one way.
package protocol ByteEncodable {
    /// Appends the bytes of the value.
    func encode(into writer: inout ByteWriter)
}

extension ByteEncodable {
    /// Bytes that `encode` writes: what frames, log batches and queues are bounded by.
    ///
    /// - Complexity: O(fields, ids and metadata objects); vectors are not walked over.
    package var encodedByteCount: Int { ByteWriter.byteCount { encode(into: &$0) } }
}
