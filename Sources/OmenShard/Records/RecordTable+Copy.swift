internal import OmenSystem
internal import Glibc
internal import OmenCore

/// Rows of one table taken into another, byte by byte.
extension RecordTable {
    /// The rows there are now, which never change; any thread may read them.
    struct Rows: Sendable {
        fileprivate let idWords: ReservedRegion
        fileprivate let idKinds: ReservedRegion
        fileprivate let idHeap: ReservedRegion
        fileprivate let metadataWords: ReservedRegion
        fileprivate let metadataHeap: ReservedRegion
        fileprivate let versionWords: ReservedRegion

        fileprivate func id(of row: Int) -> (isText: Bool, bytes: UnsafeRawBufferPointer) {
            let word = idWords.base.assumingMemoryBound(to: UInt64.self) + row
            guard idKinds.base.load(fromByteOffset: row, as: UInt8.self) != 0 else {
                return (false, UnsafeRawBufferPointer(start: word, count: 8))
            }
            let (offset, count) = RecordTable.unpackText(word.pointee)
            return (true, UnsafeRawBufferPointer(start: idHeap.base + offset, count: count))
        }

        fileprivate func version(of row: Int) -> UInt64 {
            versionWords.base.assumingMemoryBound(to: UInt64.self)[row]
        }

        fileprivate func metadata(of row: Int) -> UnsafeRawBufferPointer {
            let word = metadataWords.base.assumingMemoryBound(to: UInt64.self)[row]
            guard word != 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
            let (offset, count) = RecordTable.unpackMetadata(word)
            return UnsafeRawBufferPointer(start: metadataHeap.base + offset, count: count)
        }
    }

    var rows: Rows {
        Rows(
            idWords: idWords,
            idKinds: idKinds,
            idHeap: idHeap,
            metadataWords: metadataWords,
            metadataHeap: metadataHeap,
            versionWords: versionWords
        )
    }

    /// A table of `sources`, in that order.
    ///
    /// - Parameters:
    ///   - sources: Rows of `rows` whose ids all differ.
    ///   - rows: Where they are.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` without address space.
    /// - Complexity: O(rows).
    convenience init(
        copying sources: [UInt32],
        of rows: Rows,
        breathe: () -> Void
    ) throws(OmenError) {
        try self.init(slotsFor: sources.count + sources.count / 8)
        for (place, source) in sources.enumerated() {
            if place & 127 == 0 { breathe() }
            _ = try append(Int(source), of: rows)
        }
    }

    /// Appends rows of another table and makes each the live one of its id.
    ///
    /// - Parameters:
    ///   - sources: Rows of `other`.
    ///   - other: The table that a build replaces.
    /// - Returns: The rows that were live before.
    /// - Throws: `.resourceExhausted` when a limit is reached.
    func append(_ sources: [UInt32], of other: RecordTable) throws(OmenError) -> [UInt32] {
        let rows = other.rows
        var replaced: [UInt32] = []
        for source in sources {
            precondition(source < other.rowCount, "row \(source) of \(other.rowCount)")
            if let row = try append(Int(source), of: rows) { replaced.append(row) }
        }
        return replaced
    }

    private func append(_ row: Int, of rows: Rows) throws(OmenError) -> UInt32? {
        let (isText, bytes) = rows.id(of: row)
        return try append(
            isText: isText,
            id: bytes,
            metadata: rows.metadata(of: row),
            version: rows.version(of: row)
        )
    }
}
