internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// The records as a part of a collection.
extension RecordTable: CollectionPart {
    typealias Section = RecordSection

    static var sectionRange: ClosedRange<UInt32> { SectionRange.records }

    convenience init(emptyFor collection: String, schema: CollectionSchema) throws(OmenError) {
        try self.init()
    }

    func deferredCheck(of source: PartSource) -> (any SectionCheck)? {
        source.isDeferred(RecordSection.idSlots) ? ColumnCheck(self) : nil
    }

    func freeze() -> Frozen { Frozen(self) }

    func hasRoom(forRows rowCount: Int, bytes byteCount: Int) -> Bool {
        max(idHeapByteCount, metadataHeapByteCount) + byteCount <= Self.heapByteCountMax
    }

    func reserve(_ promise: Promise, isAmple: Bool) throws(OmenError) {
        try reserve(
            rows: promise.rowCount,
            idBytes: promise.idByteCount,
            metadataBytes: promise.metadataByteCount,
            isAmple: isAmple
        )
    }

    static func residentByteCountPerRow(_ schema: CollectionSchema) -> Int {
        // Word, kind and slots of an id, and a version; a slot array is at least a third full.
        8 + 1 + 12 + 8
    }

    static func residentByteCount(of file: ShardFile) -> Int {
        // Metadata and versions are read from the file when they are asked for.
        let unread = [RecordSection.metadataHeap.rawValue, RecordSection.versions.rawValue]
        return kinds.reduce(0) { sum, kind in
            unread.contains(kind) ? sum : sum + (file.byteCount(of: kind) ?? 0)
        }
    }

    /// Appends a row for each record of a validated batch, as `append(_:metadata:version:)` does.
    ///
    /// - Parameters:
    ///   - batch: Records whose ids all differ.
    ///   - versions: What the records are numbered with.
    /// - Returns: The rows that were live before.
    /// - Throws: `.resourceExhausted` when a limit is reached.
    /// - Complexity: O(id and metadata bytes), amortised.
    func append(
        _ batch: UpsertBatch,
        _ versions: WriteVersions
    ) throws(OmenError) -> [UInt32] {
        var replaced: [UInt32] = []
        for (position, id) in batch.ids.enumerated() {
            let object = batch.metadata.isEmpty ? [] : batch.metadata[position]
            let row = try append(id, metadata: object, version: versions[position])
            if let row { replaced.append(row) }
        }
        return replaced
    }

    /// Bytes that a copy of the live rows takes in a build.
    var copyByteCount: Int {
        guard liveCount > 0 else { return 0 }
        let metadata = metadataHeapByteCount > 0 ? 8 : 0
        let slots = 4 * Self.slotCapacity(for: liveCount + liveCount / 8)
        return liveCount * (8 + 1 + 8 + metadata) + slots + idHeapByteCount + metadataHeapByteCount
    }
}

extension RecordTable {
    /// The records as a checkpoint writes them.
    ///
    /// Rows are the live ones, which never change; counts and slots are copies.
    /// `@unchecked`: nothing is changed after `init`.
    final class Frozen: FrozenPart, @unchecked Sendable {
        private let table: RecordTable
        private let state: RecordState
        private let stateBytes: UnsafeMutableRawBufferPointer
        private let slots: UnsafeMutableRawBufferPointer

        fileprivate init(_ table: RecordTable) {
            self.table = table
            state = RecordState(table)
            stateBytes = state.encode().withUnsafeBytes(copied)
            slots = copied(
                UnsafeRawBufferPointer(start: table.slots, count: table.slotCapacity * 4)
            )
        }

        deinit {
            stateBytes.deallocate()
            slots.deallocate()
        }

        func sections(breathe: () -> Void) -> [FileSection] {
            func section(
                _ section: RecordSection,
                _ region: ReservedRegion,
                _ byteCount: Int
            )
                -> FileSection?
            {
                FileSection(section, UnsafeRawBufferPointer(start: region.base, count: byteCount))
            }
            let rows = state.rowCount
            let hasMetadata = state.metadataHeapByteCount > 0
            return [
                section(.idWords, table.idWords, rows * 8),
                section(.idKinds, table.idKinds, rows),
                section(.idHeap, table.idHeap, state.idHeapByteCount),
                section(.metadataWords, table.metadataWords, hasMetadata ? rows * 8 : 0),
                section(.metadataHeap, table.metadataHeap, state.metadataHeapByteCount),
                section(.versions, table.versionWords, rows * 8),
                FileSection(RecordSection.state, UnsafeRawBufferPointer(stateBytes)),
                FileSection(RecordSection.idSlots, UnsafeRawBufferPointer(slots)),
            ].compactMap { $0 }
        }

        func release(to file: ShardFile) throws(OmenError) {
            let immutable: [(RecordSection, ReservedRegion)] = [
                (.idWords, table.idWords), (.idKinds, table.idKinds), (.idHeap, table.idHeap),
                (.metadataWords, table.metadataWords), (.metadataHeap, table.metadataHeap),
                (.versions, table.versionWords),
            ]
            for (section, region) in immutable {
                try file.replaceMemory(at: region.base, with: section.rawValue)
            }
        }
    }
}

/// Copies bytes to memory that the caller has to give back.
private func copied(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    copy.copyMemory(from: bytes)
    return copy
}
