package import OmenSystem
package import OmenCore

/// An open shard file: checked, mapped read-only, never changed.
///
/// Opening checks the header, the section table and every section that is not lazy; `check` is for
/// the rest. Rot that comes after the check, when the kernel drops a page and reads it again, is
/// only found by `verify`. A disk that fails under the mapping kills the process with SIGBUS.
/// Single-threaded.
package final class ShardFile {
    package let path: String
    private let file: any OpenFile
    private let map: MappedFile
    private let header: ShardFileHeader

    package var identity: ShardIdentity { header.identity }
    package var collection: String { header.collection }
    package var schema: CollectionSchema { header.schema }
    /// Every write to the collection up to here is in the file.
    package var lsn: UInt64 { header.lsn }
    package var fileByteCount: Int { header.fileByteCount }
    /// Kinds of the sections, in file order.
    package var kinds: [UInt32] { header.sections.map(\.kind) }

    /// Opens and checks a file.
    ///
    /// - Parameters:
    ///   - name: The file.
    ///   - directory: The directory that it is in.
    ///   - identity: The shard it must belong to.
    ///   - isWhole: Check lazy sections now, too.
    ///   - progress: Called after each block that was checked; large files take many seconds.
    /// - Throws: `.corrupt` when the file is missing, damaged or belongs to another shard;
    ///   `.unsupportedVersion`; `.ioFailure`. All name the file.
    package init(
        _ name: String,
        in directory: Directory,
        identity: ShardIdentity,
        isWhole: Bool = false,
        progress: () -> Void = {}
    ) throws(OmenError) {
        path = directory.path(of: name)
        guard let file = try directory.openIfThere(name, .read) else {
            throw OmenError(.corrupt, "\(path) is missing")
        }
        self.file = file
        map = try file.map()
        do {
            header = try ShardFileHeader(of: map.bytes)
        } catch {
            // Whatever a field's own check says, in a file it is damage.
            let code: OmenError.Code =
                error.code == .unsupportedVersion ? .unsupportedVersion : .corrupt
            throw OmenError(code, "\(path): \(error.message)")
        }
        guard header.identity == identity else {
            throw OmenError(.corrupt, "\(path) belongs to \(header.identity), expected \(identity)")
        }
        if let named = ShardFileName.lsn(of: name), named != header.lsn {
            throw OmenError(
                .corrupt,
                "\(path) is of LSN \(header.lsn), its name says \(named): another file has its name"
            )
        }
        try verifyTable()
        for section in header.sections where isWhole || !section.isLazy {
            try verifyWhole(section, progress: progress)
        }
    }

    /// Bytes of a section; nil when the file has none of that kind.
    package func byteCount(of kind: UInt32) -> Int? { section(kind)?.byteCount }

    /// Whether a section is checked only when touched.
    package func isLazy(_ kind: UInt32) -> Bool { section(kind)?.isLazy ?? false }

    /// A section's bytes, valid while the object lives; lazy ones may not be checked yet.
    package func bytes(of kind: UInt32) -> UnsafeRawBufferPointer? {
        section(kind).map { bytes(at: $0.offset, count: $0.byteCount) }
    }

    /// A region that starts with the section's bytes and can grow to `byteCountMax` bytes.
    ///
    /// The section's pages are mapped over the region's start, private and writable: reading costs
    /// no copy, writing changes memory only, never the file. Bytes behind the section are zero.
    /// - Throws: `.corrupt` when there is no such section or it is larger than `byteCountMax`;
    ///   `.resourceExhausted` when the system has no addresses left.
    package func region(
        of kind: UInt32,
        byteCountMax: Int
    ) throws(OmenError) -> ReservedRegion {
        guard let section = section(kind) else {
            throw OmenError(.corrupt, "\(path): section \(kind) is missing")
        }
        guard section.byteCount <= byteCountMax else {
            throw OmenError(
                .corrupt,
                "\(path): section \(kind) has \(section.byteCount) bytes, at most \(byteCountMax)"
            )
        }
        let region = try ReservedRegion(
            growingTo: max(byteCountMax, 1),
            from: section.paddedByteCount
        )
        guard section.byteCount > 0 else { return region }
        try file.map(
            from: section.offset,
            byteCount: section.paddedByteCount,
            over: region.base
        )
        return region
    }

    /// Puts pages of the file in the place of memory that holds the same bytes.
    ///
    /// What was memory of the process becomes a clean copy of the file, which the system takes back
    /// when it needs room and reads again when it is touched. Goes in steps, so that page faults of
    /// other threads wait for a millisecond at most; they may read meanwhile, but not write.
    /// - Parameters:
    ///   - base: Page-aligned start of a region that holds at least the section's bytes; its last
    ///     page, if it is not full, stays as it is.
    ///   - kind: The section.
    /// - Throws: `.ioFailure` or `.resourceExhausted`; the memory holds the same bytes then, too.
    package func replaceMemory(
        at base: UnsafeMutableRawPointer,
        with kind: UInt32
    ) throws(OmenError) {
        guard let section = section(kind) else { return }
        let pageCount = section.byteCount / ShardFileHeader.pageByteCount
        let step = 4 << 20
        for start in stride(from: 0, to: pageCount * ShardFileHeader.pageByteCount, by: step) {
            let count = min(step, pageCount * ShardFileHeader.pageByteCount - start)
            try file.map(from: section.offset + start, byteCount: count, over: base + start)
        }
    }

    private func section(_ kind: UInt32) -> ShardFileHeader.Section? {
        header.sections.first { $0.kind == kind }
    }

    private func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: map.bytes[offset..<offset + count])
    }
}

extension ShardFile {
    /// Checks every block again, lazy ones too.
    ///
    /// - Parameter progress: Called after each block of at most 256 KiB.
    /// - Throws: `.corrupt`, naming the file and the first bad offset; `.stopped`.
    package func verify(progress: () -> Void = {}) throws(OmenError) {
        try verifyTable()
        for section in header.sections { try verifyWhole(section, progress: progress) }
    }

    /// A check of all lazy sections, for any thread; nil when there are none.
    package func check() -> ShardFileCheck? {
        guard header.sections.contains(where: \.isLazy) else { return nil }
        let checksums = (0..<header.blockCount).map(checksum)
        return ShardFileCheck(file, header, checksums: checksums)
    }

    private func verifyWhole(
        _ section: ShardFileHeader.Section,
        progress: () -> Void = {}
    ) throws(OmenError) {
        for block in 0..<section.blockCount {
            try Stop.check()
            try verifyBlock(block, of: section)
            progress()
        }
    }

    private func verifyBlock(
        _ block: Int,
        of section: ShardFileHeader.Section
    ) throws(OmenError) {
        let start = block * Limits.checksumBlockByteCount
        let count = min(Limits.checksumBlockByteCount, section.paddedByteCount - start)
        let index = section.firstBlock + block
        let offset = section.offset + start
        let found = crc32c(bytes(at: offset, count: count), seed: header.seed(of: section))
        guard found == checksum(ofBlock: index) else {
            throw OmenError(
                .corrupt,
                "\(path) offset \(offset): a block of section \(section.kind) fails its checksum"
            )
        }
    }

    private func checksum(ofBlock index: Int) -> UInt32 {
        let place = header.tableOffset + index * 4
        return UInt32(
            littleEndian: map.bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
        )
    }

    private func verifyTable() throws(OmenError) {
        let count = header.fileByteCount - header.tableOffset
        guard crc32c(bytes(at: header.tableOffset, count: count)) == header.tableChecksum else {
            throw OmenError(
                .corrupt,
                "\(path) offset \(header.tableOffset): the checksum table fails its checksum"
            )
        }
    }
}
