internal import OmenSystem
internal import OmenCore
internal import OmenIndex
internal import OmenStorage

extension VectorIndex.Section: PartSection {
    var isLazy: Bool { isPerRow }
}

/// The index as a part of a collection.
extension VectorIndex: CollectionPart {
    static var sectionRange: ClosedRange<UInt32> { SectionRange.index }

    convenience init(emptyFor collection: String, schema: CollectionSchema) throws(OmenError) {
        try self.init(schema: schema, seed: hashID(.text(collection)))
    }

    convenience init(opening source: PartSource) throws(OmenError) {
        var sections: [Section: (region: ReservedRegion, byteCount: Int)] = [:]
        for section in Section.allCases {
            guard let byteCount = source.byteCount(of: section) else { continue }
            let region = try source.region(
                of: section,
                byteCountMax: Self.regionByteCountMax(section, schema: source.schema)
            )
            sections[section] = (region, byteCount)
        }
        try self.init(
            schema: source.schema,
            sections: sections,
            checksLinks: !source.isDeferred(Section.links)
        )
    }

    func deferredCheck(of source: PartSource) -> (any SectionCheck)? {
        source.isDeferred(Section.links) ? LinkCheck(linkedCount: storedLinkedCount) : nil
    }

    func hasRoom(forRows rowCount: Int, bytes byteCount: Int) -> Bool {
        self.rowCount + rowCount <= rowCountMax
    }

    func reserve(_ promise: Promise, isAmple: Bool) throws(OmenError) {
        try reserve(promise.rowCount, isAmple: isAmple)
    }

    static func residentByteCount(of file: ShardFile) -> Int {
        let all = kinds.reduce(0) { $0 + (file.byteCount(of: $1) ?? 0) }
        // Full vectors beside codes are read from the file when they are asked for.
        guard let codes = file.byteCount(of: Section.codes.rawValue), codes > 0 else { return all }
        return all - (file.byteCount(of: Section.vectors.rawValue) ?? 0)
    }

    /// Appends the vectors of a validated batch as hot rows.
    ///
    /// - Parameter batch: Records of the schema's shape.
    /// - Throws: What `append(_:)` throws for one vector.
    func append(_ batch: UpsertBatch) throws(OmenError) {
        // `withUnsafeBytes` does not carry typed throws, so the outcome travels as a value.
        let failure: OmenError? = batch.vectors.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else {
                return batch.ids.isEmpty
                    ? nil : OmenError(.badRequest, "the batch has no vectors")
            }
            do throws(OmenError) {
                for position in batch.ids.indices {
                    _ = try append(base + position * schema.vectorByteCount)
                }
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    /// Appends rows of another index of the same schema as hot rows.
    ///
    /// - Parameters:
    ///   - rows: Rows of `other`, in the order that they get here.
    ///   - other: The index that a build replaces.
    /// - Throws: `.resourceExhausted` when the index is full.
    func append(_ rows: [UInt32], of other: VectorIndex) throws(OmenError) {
        for row in rows { _ = try append(row, of: other) }
    }
}

extension IndexSnapshot: FrozenPart {
    func sections(breathe: () -> Void) -> [FileSection] {
        sections.compactMap { section, bytes in FileSection(section, bytes) }
    }

    func release(to file: ShardFile) throws(OmenError) {
        guard let rerankVectors else { return }
        try file.replaceMemory(at: rerankVectors, with: VectorIndex.Section.vectors.rawValue)
    }
}

/// Checks that links of a file name linked rows.
private struct LinkCheck: SectionCheck {
    /// Rows that links may name.
    let linkedCount: Int

    func add(
        _ bytes: UnsafeRawBufferPointer,
        of kind: UInt32,
        at offset: Int
    ) throws(OmenError) {
        guard kind == VectorIndex.Section.links.rawValue else { return }
        try VectorIndex.checkLinks(bytes, at: offset, linkedCount: linkedCount)
    }

    func finish() {}
}
