internal import OmenCore

/// Reads the postings of one path, from bytes that cannot be trusted.
struct PostingReader {
    /// The entries, one after the other.
    let table: UnsafeRawBufferPointer
    /// What the entries point into.
    let heap: UnsafeRawBufferPointer
    /// Rows that there are.
    let rowCount: Int

    /// Tells how many rows there are, without reading them.
    ///
    /// - Parameter reference: What stands in the place of the rows.
    /// - Returns: Rows.
    /// - Throws: `.corrupt` when there is no such posting.
    func count(_ reference: PostingReference) throws(OmenError) -> Int {
        if reference.row != nil { return 1 }
        if reference == .none { return 0 }
        return Int(try entry(reference).count)
    }

    /// Hands over the rows.
    ///
    /// - Parameters:
    ///   - reference: What stands in the place of the rows.
    ///   - rows: What takes them.
    ///   - isIn: Whether they are in the set from now on, or no longer.
    /// - Throws: `.corrupt` when the bytes are no posting of rows that there are.
    @inline(__always)
    func read(
        _ reference: PostingReference,
        into rows: inout RowCollector,
        _ isIn: Bool = true
    ) throws(OmenError) {
        if let row = reference.row {
            guard row < rowCount else { throw Self.corrupt("row \(row) of \(rowCount)") }
            return rows.set(row, isIn)
        }
        try readPosting(reference, into: &rows, isIn)
    }

    private func readPosting(
        _ reference: PostingReference,
        into rows: inout RowCollector,
        _ isIn: Bool
    ) throws(OmenError) {
        if reference == .none { return }
        let entry = try entry(reference)
        let bytes = try bytes(of: entry)
        guard entry.isArray else { return try FrozenBitmap.read(bytes, into: &rows, isIn) }
        for offset in stride(from: 0, to: bytes.count, by: 4) {
            let row = bytes.u32(at: offset)
            guard row < rowCount else { throw Self.corrupt("row \(row) of \(rowCount)") }
            rows.set(row, isIn)
        }
    }

    private func entry(_ reference: PostingReference) throws(OmenError) -> PostingEntry {
        let offset = Int(reference.word) * PostingEntry.byteCount
        guard reference.row == nil, offset + PostingEntry.byteCount <= table.count else {
            throw Self.corrupt("posting \(reference.word)")
        }
        return PostingEntry(
            offset: table.u32(at: offset),
            count: table.u32(at: offset + 4),
            byteCount: table.u32(at: offset + 8)
        )
    }

    private func bytes(of entry: PostingEntry) throws(OmenError) -> UnsafeRawBufferPointer {
        let start = Int(entry.offset) * PostingEntry.unit
        let end = start + Int(entry.byteCount)
        guard end <= heap.count, Int(entry.byteCount) <= Int(entry.count) * 4,
            Int(entry.count) <= rowCount
        else { throw Self.corrupt("\(entry.count) rows in \(entry.byteCount) bytes") }
        return UnsafeRawBufferPointer(rebasing: heap[start..<end])
    }

    private static func corrupt(_ what: String) -> OmenError {
        OmenError(.corrupt, "the metadata catalog names \(what), which is not there")
    }
}

extension UnsafeRawBufferPointer {
    /// The little-endian number that stands at a place.
    ///
    /// - Parameter offset: Where, in bytes.
    /// - Returns: The number.
    func u32(at offset: Int) -> UInt32 {
        UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The little-endian number that stands at a place.
    ///
    /// - Parameter offset: Where, in bytes.
    /// - Returns: The number.
    func u64(at offset: Int) -> UInt64 {
        UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
