internal import OmenSystem
package import OmenCore

/// Bytes in memory that become one section of a shard file; they must stand still meanwhile.
package struct FileSection {
    /// Chosen by the owner of the bytes; a number in files, so never renumbered.
    package var kind: UInt32
    package var base: UnsafeRawPointer
    package var byteCount: Int
    /// Checked block by block when first touched, instead of whole when opened.
    package var isLazy: Bool

    package init(kind: UInt32, base: UnsafeRawPointer, byteCount: Int, isLazy: Bool = false) {
        self.kind = kind
        self.base = base
        self.byteCount = byteCount
        self.isLazy = isLazy
    }
}

/// Writes shard files: immutable, one for each collection and checkpoint.
package enum ShardFileWriter {
    /// Bytes written between two syncs, so that no sync is long and the log's own stay short.
    private static let syncByteCount = 8 << 20

    /// Writes a file and gives it its name only when it is durable and reads back right.
    ///
    /// Temporary file -> fsync -> every checksum verified -> rename -> fsync of the directory. A
    /// failure removes the temporary file and changes nothing. Callable on any thread.
    /// - Parameters:
    ///   - directory: The shard's directory.
    ///   - name: From `ShardFileName.make`; no file of that name may be in use.
    ///   - identity: The shard.
    ///   - collection: The collection's name.
    ///   - schema: The collection's schema.
    ///   - lsn: Every write to the collection up to here is in the sections.
    ///   - sections: At most 96, kinds unique; empty ones are kept.
    ///   - breathe: Lets the caller rest while others need the processor. It is called after every
    ///     block of at most 256 KiB.
    /// - Returns: Bytes of the file.
    /// - Throws: `.resourceExhausted` without space, `.ioFailure`; `.corrupt` when the bytes read
    ///   back are not those written; `.stopped`.
    package static func write(
        directory: Directory,
        name: String,
        identity: ShardIdentity,
        collection: String,
        schema: CollectionSchema,
        lsn: UInt64,
        sections: [FileSection],
        breathe: () -> Void = {}
    ) throws(OmenError) -> Int {
        precondition(ShardFileName.isValid(name), "shard file name \(name)")
        precondition(
            sections.count <= ShardFileHeader.sectionCountMax,
            "\(sections.count) sections, at most \(ShardFileHeader.sectionCountMax)"
        )
        precondition(
            Set(sections.map(\.kind)).count == sections.count,
            "two sections of one kind in \(name)"
        )
        var header = layout(sections, identity, collection, schema, lsn)
        let temporary = name + Directory.temporarySuffix
        do {
            let file = try directory.open(temporary, .create)
            try writeBody(sections, &header, to: file, breathe)
            try writeAll(header.encode(), to: file, at: 0)
            try file.sync()
            try file.close()
            let written = try ShardFile(temporary, in: directory, identity: identity)
            try written.verify(progress: breathe)
        } catch {
            try directory.remove(temporary)
            throw error
        }
        try directory.rename(temporary, to: name)
        try directory.sync()
        return header.fileByteCount
    }

    private static func layout(
        _ sections: [FileSection],
        _ identity: ShardIdentity,
        _ collection: String,
        _ schema: CollectionSchema,
        _ lsn: UInt64
    ) -> ShardFileHeader {
        var header = ShardFileHeader(
            identity: identity,
            lsn: lsn,
            fileByteCount: 0,
            tableOffset: ShardFileHeader.byteCount,
            tableChecksum: 0,
            schema: schema,
            collection: collection,
            sections: []
        )
        for section in sections {
            precondition(section.byteCount >= 0, "section of \(section.byteCount) bytes")
            let entry = ShardFileHeader.Section(
                kind: section.kind,
                isLazy: section.isLazy,
                offset: header.tableOffset,
                byteCount: section.byteCount,
                firstBlock: header.blockCount
            )
            header.sections.append(entry)
            header.tableOffset += entry.paddedByteCount
        }
        let tableByteCount = ShardFileHeader.padded(header.blockCount * 4)
        header.fileByteCount = header.tableOffset + tableByteCount
        return header
    }

    private static func writeBody(
        _ sections: [FileSection],
        _ header: inout ShardFileHeader,
        to file: any OpenFile,
        _ breathe: () -> Void
    ) throws(OmenError) {
        try file.allocate(byteCount: header.fileByteCount)
        var table = ByteWriter(reserving: header.fileByteCount - header.tableOffset)
        var unsyncedByteCount = 0
        for (section, entry) in zip(sections, header.sections) {
            let seed = header.seed(of: entry)
            var done = 0
            while done < section.byteCount {
                try Stop.check()
                let count = min(Limits.checksumBlockByteCount, section.byteCount - done)
                let block = UnsafeRawBufferPointer(start: section.base + done, count: count)
                try writeAll(block, to: file, at: entry.offset + done)
                breathe()
                var checksum = crc32c(block, seed: seed)
                done += count
                if done == section.byteCount {
                    let zeros = [UInt8](repeating: 0, count: entry.paddedByteCount - done)
                    try writeAll(zeros, to: file, at: entry.offset + done)
                    checksum = crc32c(zeros, seed: checksum)
                }
                table.write(checksum)
                unsyncedByteCount += count
                if unsyncedByteCount >= syncByteCount {
                    try file.syncData()
                    unsyncedByteCount = 0
                }
            }
        }
        table.pad(to: ShardFileHeader.pageByteCount)
        header.tableChecksum = crc32c(table.bytes)
        try writeAll(table.bytes, to: file, at: header.tableOffset)
    }
}
