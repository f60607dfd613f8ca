internal import OmenCore

/// First page of a shard file; little-endian.
///
///     offset size field
///          0    8 magic          "OMENSHRD"
///          8    4 formatVersion  2; another: refused by name
///         12   20 identity       shard, cluster UUID; another: refused by name
///         32    8 lsn            every write to the collection up to here is in the file
///         40    8 fileByteCount  must be the file's size
///         48    4 blockByteCount bytes under one checksum, 262,144
///         52    4 sectionCount   0...96
///         56    8 tableOffset    where the checksum table starts: behind the last section
///         64    4 tableChecksum  CRC-32C of the checksum table with its padding
///         68   12 schema         as in the log
///         80   68 collection     UInt32 byte count, name, zeros
///        148   44 zero
///        192 32·n sections       see below
///          …      zero
///       4092    4 checksum       CRC-32C of bytes 0..<4092
///
///     section entry
///          0    4 kind           unique in the file
///          4    4 flags          1: lazy, checked at first touch instead of at open
///          8    8 offset         multiple of 4096; sections lie in order without gaps
///         16    8 byteCount      without the zeros up to the next page
///         24    4 firstBlock     index of its first checksum in the table
///         28    4 zero
///
/// Behind the last section: the checksum table, one UInt32 for each block of each section, padded
/// with zeros to a page. A section's padding is part of its last block, so that every byte of the
/// file is under exactly one checksum. Block checksums are seeded with identity, LSN and kind.
struct ShardFileHeader: Equatable {
    struct Section: Equatable {
        var kind: UInt32
        var isLazy: Bool
        var offset: Int
        var byteCount: Int
        var firstBlock: Int

        var paddedByteCount: Int { ShardFileHeader.padded(byteCount) }
        var blockCount: Int {
            (paddedByteCount + Limits.checksumBlockByteCount - 1) / Limits.checksumBlockByteCount
        }
    }

    static let byteCount = 4096
    static let pageByteCount = 4096
    static let sectionCountMax = 96
    static let magic: UInt64 = 0x4452_4853_4E45_4D4F
    static let formatVersion: UInt32 = 2
    private static let sectionsOffset = 192
    private static let checksumOffset = 4092

    var identity: ShardIdentity
    var lsn: UInt64
    var fileByteCount: Int
    var tableOffset: Int
    var tableChecksum: UInt32
    var schema: CollectionSchema
    var collection: String
    var sections: [Section]

    /// Blocks of all sections.
    var blockCount: Int { sections.last.map { $0.firstBlock + $0.blockCount } ?? 0 }

    /// Where the checksums of a section's blocks start.
    func seed(of section: Section) -> UInt32 { identity.checksumSeed(lsn, UInt64(section.kind)) }

    static func padded(_ byteCount: Int) -> Int {
        (byteCount + pageByteCount - 1) & ~(pageByteCount - 1)
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: Self.byteCount)
        writer.write(Self.magic)
        writer.write(Self.formatVersion)
        identity.encode(into: &writer)
        writer.write(lsn)
        writer.write(UInt64(fileByteCount))
        writer.write(UInt32(Limits.checksumBlockByteCount))
        writer.write(UInt32(sections.count))
        writer.write(UInt64(tableOffset))
        writer.write(tableChecksum)
        schema.encode(into: &writer)
        writer.write(collection)
        writer.pad(to: Self.sectionsOffset)
        for section in sections {
            writer.write(section.kind)
            writer.write(UInt32(section.isLazy ? 1 : 0))
            writer.write(UInt64(section.offset))
            writer.write(UInt64(section.byteCount))
            writer.write(UInt32(section.firstBlock))
            writer.write(UInt32(0))
        }
        writer.write(raw: [UInt8](repeating: 0, count: Self.checksumOffset - writer.count))
        writer.write(crc32c(writer.bytes))
        return writer.bytes
    }

    init(
        identity: ShardIdentity,
        lsn: UInt64,
        fileByteCount: Int,
        tableOffset: Int,
        tableChecksum: UInt32,
        schema: CollectionSchema,
        collection: String,
        sections: [Section]
    ) {
        self.identity = identity
        self.lsn = lsn
        self.fileByteCount = fileByteCount
        self.tableOffset = tableOffset
        self.tableChecksum = tableChecksum
        self.schema = schema
        self.collection = collection
        self.sections = sections
    }

    /// Reads the header of a whole file's bytes and checks every field against the file's size.
    ///
    /// After this every section and the checksum table lie inside the file, without overlap.
    /// - Throws: `.corrupt` or `.unsupportedVersion`, without the file's name.
    init(of file: UnsafeRawBufferPointer) throws(OmenError) {
        guard file.count >= Self.byteCount else {
            throw OmenError(.corrupt, "\(file.count) bytes are too few for a header")
        }
        let checksum = file.loadUnaligned(fromByteOffset: Self.checksumOffset, as: UInt32.self)
        let covered = UnsafeRawBufferPointer(rebasing: file[..<Self.checksumOffset])
        guard UInt32(littleEndian: checksum) == crc32c(covered) else {
            throw OmenError(.corrupt, "offset 0: the header fails its checksum")
        }
        var reader = ByteReader(covered)
        guard try reader.read(UInt64.self) == Self.magic else {
            throw OmenError(.corrupt, "offset 0: not a shard file")
        }
        let version = try reader.read(UInt32.self)
        guard version == Self.formatVersion else {
            throw OmenError(
                .unsupportedVersion,
                "shard file format \(version), this build reads \(Self.formatVersion)"
            )
        }
        identity = try ShardIdentity(from: &reader)
        lsn = try reader.read(UInt64.self)
        fileByteCount = try Self.readCount(&reader)
        let blockByteCount = try reader.read(UInt32.self)
        let sectionCount = Int(try reader.read(UInt32.self))
        tableOffset = try Self.readCount(&reader)
        tableChecksum = try reader.read(UInt32.self)
        schema = try CollectionSchema(from: &reader)
        collection = try reader.readText(limit: Limits.collectionNameCharacterCountMax)
        try CollectionName.validate(collection)
        guard fileByteCount == file.count else {
            throw OmenError(
                .corrupt,
                "file of \(file.count) bytes, its header says \(fileByteCount)"
            )
        }
        guard Int(blockByteCount) == Limits.checksumBlockByteCount,
            sectionCount <= Self.sectionCountMax
        else {
            throw OmenError(.corrupt, "\(sectionCount) sections, blocks of \(blockByteCount) bytes")
        }
        _ = try reader.read(count: Self.sectionsOffset - reader.offset)
        sections = []
        for _ in 0..<sectionCount { try readSection(&reader) }
        let expected = sections.last.map { $0.offset + $0.paddedByteCount } ?? Self.byteCount
        guard tableOffset == expected, Self.padded(blockCount * 4) == fileByteCount - tableOffset
        else {
            throw OmenError(.corrupt, "checksum table at \(tableOffset), expected \(expected)")
        }
    }

    private mutating func readSection(_ reader: inout ByteReader) throws(OmenError) {
        let kind = try reader.read(UInt32.self)
        let flags = try reader.read(UInt32.self)
        let offset = try Self.readCount(&reader)
        let byteCount = try Self.readCount(&reader)
        let firstBlock = Int(try reader.read(UInt32.self))
        _ = try reader.read(UInt32.self)
        let expected = sections.last.map { $0.offset + $0.paddedByteCount } ?? Self.byteCount
        // The offsets are below the file's size, so no sum here can overflow.
        guard flags <= 1, offset == expected, firstBlock == blockCount,
            byteCount <= fileByteCount - offset,
            Self.padded(byteCount) <= fileByteCount - offset
        else {
            throw OmenError(
                .corrupt,
                "section \(kind): \(byteCount) bytes at \(offset), file of \(fileByteCount)"
            )
        }
        guard !sections.contains(where: { $0.kind == kind }) else {
            throw OmenError(.corrupt, "section \(kind) stands there twice")
        }
        sections.append(
            Section(
                kind: kind,
                isLazy: flags == 1,
                offset: offset,
                byteCount: byteCount,
                firstBlock: firstBlock
            )
        )
    }

    /// A 64-bit count that leaves room for rounding up.
    private static func readCount(_ reader: inout ByteReader) throws(OmenError) -> Int {
        let raw = try reader.read(UInt64.self)
        guard raw <= 1 << 62 else { throw OmenError(.corrupt, "a count of \(raw)") }
        return Int(raw)
    }
}
