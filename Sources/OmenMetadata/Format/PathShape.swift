internal import OmenCore

/// What a row can have at a path, besides keys; numbers are positions in files.
enum PathProperty: Int, CaseIterable, Sendable {
    /// The path is there; also with null, an empty list or an object.
    case exists = 0
    /// A value is null.
    case null = 1
    /// A value is false.
    case isFalse = 2
    /// A value is true.
    case isTrue = 3
    /// The value is a list.
    case list = 4
    /// Not all values are keys: limits were passed.
    case overflow = 5
}

/// The shape of what a catalog knows of one path; all places in its bytes follow from that:
/// the table of postings, their heap, and the tables of keys, each padded to 8 bytes.
struct PathShape: Equatable {
    var properties = [PostingReference](repeating: .none, count: PathProperty.allCases.count)
    var postingCount = 0
    var heapByteCount = 0
    /// By `KeyTableKind`.
    var tables = [KeyTableShape](repeating: KeyTableShape(), count: KeyTableKind.allCases.count)

    var heapAt: Int { Self.padded(postingCount * PostingEntry.byteCount) }

    /// The postings among the bytes of the path.
    ///
    /// - Parameters:
    ///   - bytes: The bytes of the path.
    ///   - rowCount: Rows of the catalog.
    /// - Returns: What reads them.
    func postings(in bytes: UnsafeRawBufferPointer, of rowCount: Int) -> PostingReader {
        let table = bytes[..<(postingCount * PostingEntry.byteCount)]
        return PostingReader(
            table: UnsafeRawBufferPointer(rebasing: table),
            heap: UnsafeRawBufferPointer(rebasing: bytes[heapAt..<heapAt + heapByteCount]),
            rowCount: rowCount
        )
    }

    /// Where a table begins.
    ///
    /// - Parameter kind: The table.
    /// - Returns: Bytes from the beginning of the path.
    func offset(of kind: KeyTableKind) -> Int {
        tables[..<kind.rawValue].reduce(heapAt + Self.padded(heapByteCount)) { $0 + $1.byteCount }
    }

    var byteCount: Int { tables.reduce(heapAt + Self.padded(heapByteCount)) { $0 + $1.byteCount } }

    private static func padded(_ byteCount: Int) -> Int { (byteCount + 7) / 8 * 8 }
}

extension PathShape {
    /// Appends the bytes that stand for the shape in a file.
    ///
    ///     u32[6]  properties: references, by `PathProperty`
    ///     u32     postings
    ///     u64     bytes of their heap
    ///     each table, by `KeyTableKind`:
    ///         u32 keys, u32 cuts, u64 bytes of the keys, u32 1 if no row has two of them, else 0
    func write(to bytes: inout ByteWriter) {
        for property in properties { bytes.write(property.word) }
        bytes.write(UInt32(postingCount))
        bytes.write(UInt64(heapByteCount))
        for table in tables {
            bytes.write(UInt32(table.keyCount))
            bytes.write(UInt32(table.cutCount))
            bytes.write(UInt64(table.keyByteCount))
            bytes.write(UInt32(table.isSingle ? 1 : 0))
        }
    }

    /// Reads a shape that cannot be trusted.
    ///
    /// - Parameters:
    ///   - reader: The bytes.
    ///   - byteCountMax: Bytes that are left for the path.
    /// - Throws: `.corrupt` or `.protocolViolation` when they are no shape that fits.
    init(from reader: inout ByteReader, byteCountMax: Int) throws(OmenError) {
        for index in properties.indices {
            properties[index] = PostingReference(word: try reader.read(UInt32.self))
        }
        postingCount = Int(try reader.read(UInt32.self))
        heapByteCount = try Self.byteCount(from: &reader, byteCountMax)
        for kind in KeyTableKind.allCases {
            var table = KeyTableShape()
            table.keyCount = Int(try reader.read(UInt32.self))
            table.cutCount = Int(try reader.read(UInt32.self))
            table.keyByteCount = try Self.byteCount(from: &reader, byteCountMax)
            let isSingle = try reader.read(UInt32.self)
            guard isSingle < 2, table.cutCount <= KeyTableShape.cutCountMax,
                !kind.isNumeric || table.keyByteCount == table.keyCount * 8
            else {
                throw OmenError(.corrupt, "a table of the metadata catalog contradicts itself")
            }
            table.isSingle = isSingle == 1
            tables[kind.rawValue] = table
        }
        // No sum of these overflows: each count is below 2^32, each byte count below the file's.
        guard byteCount <= byteCountMax else {
            throw OmenError(
                .corrupt,
                "a path of the metadata catalog takes \(byteCount) bytes, \(byteCountMax) are left"
            )
        }
    }

    private static func byteCount(
        from reader: inout ByteReader,
        _ byteCountMax: Int
    ) throws(OmenError) -> Int {
        let count = try reader.read(UInt64.self)
        guard count <= UInt64(byteCountMax) else {
            throw OmenError(
                .corrupt,
                "a part of the metadata catalog takes \(count) bytes, \(byteCountMax) are there"
            )
        }
        return Int(count)
    }
}
