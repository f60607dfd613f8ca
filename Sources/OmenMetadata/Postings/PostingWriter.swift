internal import OmenCore

/// Writes the postings of one path.
struct PostingWriter {
    /// The entries, one after the other.
    private(set) var table: [UInt8] = []
    /// What the entries point into.
    private(set) var heap: [UInt8] = []
    private(set) var count = 0

    /// Writes rows down.
    ///
    /// - Parameters:
    ///   - rows: Ascending, each once.
    ///   - breathe: Called every few microseconds.
    /// - Returns: What a key has in their place.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    mutating func add(
        _ rows: UnsafeBufferPointer<UInt32>,
        breathe: () -> Void
    ) throws(OmenError) -> PostingReference {
        guard let first = rows.first else { return .none }
        guard rows.count > 1 else { return PostingReference(row: first) }
        let offset = heap.count / PostingEntry.unit
        guard count < PostingReference.postingCountMax, offset <= Int(UInt32.max) else {
            throw OmenError(.resourceExhausted, "a path of metadata has too many rows to index")
        }
        let arrayByteCount = rows.count * 4
        var byteCount: Int?
        if rows.count > PostingEntry.arrayCountMax {
            byteCount = try FrozenBitmap.append(
                rows,
                below: arrayByteCount,
                to: &heap,
                breathe: breathe
            )
        }
        if byteCount == nil { heap.append(contentsOf: UnsafeRawBufferPointer(rows)) }
        heap.pad(to: PostingEntry.unit)
        table.append(littleEndian: UInt32(offset))
        table.append(littleEndian: UInt32(rows.count))
        table.append(littleEndian: UInt32(byteCount ?? arrayByteCount))
        count += 1
        return PostingReference(posting: count - 1)
    }
}

extension [UInt8] {
    /// Appends a number, little-endian.
    ///
    /// - Parameter number: The number.
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends other bytes, piece by piece.
    ///
    /// - Parameters:
    ///   - other: The bytes.
    ///   - breathe: Called every few microseconds.
    mutating func append(_ other: [UInt8], breathe: () -> Void) {
        let step = 1 << 16
        for start in stride(from: 0, to: other.count, by: step) {
            append(contentsOf: other[start..<Swift.min(start + step, other.count)])
            breathe()
        }
    }

    /// Appends zeros up to a multiple of `alignment`.
    ///
    /// - Parameter alignment: In bytes.
    mutating func pad(to alignment: Int) {
        let excess = count % alignment
        if excess > 0 { append(contentsOf: repeatElement(0, count: alignment - excess)) }
    }
}
