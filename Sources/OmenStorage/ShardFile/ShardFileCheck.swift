package import OmenCore

/// Checks the blocks of a shard file that opening left for later, one after the other.
///
/// Reads the file and not its mapping: no page becomes resident for it, and a file that was cut
/// short is an error instead of a signal. Keeps the file open. One thread at a time.
package final class ShardFileCheck: @unchecked Sendable {
    private let file: any OpenFile
    private let header: ShardFileHeader
    /// The checksum table, which opening checked.
    private let checksums: [UInt32]
    private let sections: [ShardFileHeader.Section]
    private let buffer: UnsafeMutableRawBufferPointer
    private var section = 0
    private var block = 0

    package var path: String { file.path }

    init(_ file: any OpenFile, _ header: ShardFileHeader, checksums: [UInt32]) {
        self.file = file
        self.header = header
        self.checksums = checksums
        sections = header.sections.filter { $0.isLazy && $0.blockCount > 0 }
        buffer = .allocate(byteCount: Limits.checksumBlockByteCount, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    /// Reads and checks the next block.
    ///
    /// - Parameter visit: Gets kind and bytes of a block that passed, without padding, and the
    ///   offset in its section; it may find more to object to.
    /// - Returns: Whether there was one.
    /// - Throws: `.corrupt` naming file and offset; `.ioFailure`; what `visit` throws.
    package func next(
        _ visit: (
            _ kind: UInt32, _ offset: Int, _ bytes: UnsafeRawBufferPointer
        ) throws(OmenError) -> Void
    ) throws(OmenError) -> Bool {
        guard section < sections.count else { return false }
        let current = sections[section]
        let start = block * Limits.checksumBlockByteCount
        let count = min(Limits.checksumBlockByteCount, current.paddedByteCount - start)
        let offset = current.offset + start
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        try file.readAll(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), offset)
        let expected = checksums[current.firstBlock + block]
        guard crc32c(bytes, seed: header.seed(of: current)) == expected else {
            throw OmenError(
                .corrupt,
                "\(path) offset \(offset): a block of section \(current.kind) fails its checksum"
            )
        }
        let used = min(count, current.byteCount - start)
        try visit(current.kind, start, UnsafeRawBufferPointer(rebasing: bytes[..<used]))
        block += 1
        if block == current.blockCount {
            section += 1
            block = 0
        }
        return true
    }
}

extension OpenFile {
    /// Fills `bytes` from `offset` on.
    ///
    /// - Throws: `.corrupt` when the file ends before, `.ioFailure`.
    fileprivate func readAll(
        into bytes: UnsafeMutableRawBufferPointer,
        _ offset: Int
    ) throws(OmenError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
            let count = try read(into: rest, at: offset + done)
            guard count > 0 else {
                throw OmenError(.corrupt, "\(path) ends at offset \(offset + done)")
            }
            done += count
        }
    }
}
