internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// The sections of one shard file, as parts are opened from them.
struct PartSource {
    /// The file; its header names the collection and the schema.
    let file: ShardFile
    /// Whether everything is checked before anything is served.
    let isWhole: Bool

    /// The schema of the collection.
    var schema: CollectionSchema { file.schema }

    /// Tells how long a section is.
    ///
    /// - Parameter section: One of a part's sections.
    /// - Returns: Its bytes; nil when the file has no such section.
    func byteCount(of section: some PartSection) -> Int? { file.byteCount(of: section.rawValue) }

    /// Tells whether the bytes of a section are checked after opening, see `SectionCheck`.
    ///
    /// Files may have sections that are not lazy in the place of lazy ones.
    /// - Parameter section: One of a part's sections.
    /// - Returns: Whether opening may not look at its bytes, nor trust them.
    func isDeferred(_ section: some PartSection) -> Bool {
        !isWhole && file.isLazy(section.rawValue)
    }

    /// Maps a section into a region that can grow, see `ShardFile.region(of:byteCountMax:)`.
    ///
    /// - Parameters:
    ///   - section: A section that the file has.
    ///   - byteCountMax: Bytes that the region can grow to.
    /// - Returns: The region.
    /// - Throws: `.corrupt` when the section is missing or larger; `.resourceExhausted` without
    ///   address space.
    func region(
        of section: some PartSection,
        byteCountMax: Int
    ) throws(OmenError) -> ReservedRegion {
        try file.region(of: section.rawValue, byteCountMax: byteCountMax)
    }

    /// Runs at once, over sections that are not deferred, what is run later over deferred ones.
    ///
    /// - Parameters:
    ///   - check: A check that looks at these sections only.
    ///   - sections: The sections.
    /// - Throws: What the check throws.
    func run<Section: PartSection>(
        _ check: some SectionCheck,
        on sections: Section...
    ) throws(OmenError) {
        var check = check
        for section in sections {
            guard let bytes = file.bytes(of: section.rawValue) else { continue }
            try check.add(bytes, of: section.rawValue, at: 0)
        }
        try check.finish()
    }
}

extension FileSection {
    /// Makes a section of a part's bytes; an empty one is left out of files.
    ///
    /// - Parameters:
    ///   - section: The section that they become.
    ///   - bytes: The bytes, which stand still until they are written.
    init?(_ section: some PartSection, _ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return nil }
        self.init(
            kind: section.rawValue,
            base: base,
            byteCount: bytes.count,
            isLazy: section.isLazy
        )
    }
}

/// Looks at sections whose checksums hold, block by block, for what would lead a reader astray.
protocol SectionCheck: Sendable {
    /// Looks at the next block of a lazy section, of this part or of another one.
    ///
    /// - Parameters:
    ///   - bytes: The block, without padding.
    ///   - kind: The number of the section.
    ///   - offset: Where in the section the block begins.
    /// - Throws: `.corrupt` naming what is wrong.
    mutating func add(
        _ bytes: UnsafeRawBufferPointer,
        of kind: UInt32,
        at offset: Int
    ) throws(OmenError)

    /// Ends the check, after all blocks of the file.
    ///
    /// - Throws: `.corrupt` naming what is wrong.
    func finish() throws(OmenError)
}
