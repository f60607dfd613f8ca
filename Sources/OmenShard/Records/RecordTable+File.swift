internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// The sections of the records in a shard file; `RecordTable` tells what is in them.
enum RecordSection: UInt32, PartSection {
    /// Counts, see `RecordState`.
    case state = 32
    case idWords = 33
    case idKinds = 34
    case idHeap = 35
    case idSlots = 36
    /// Empty when no row has metadata.
    case metadataWords = 37
    /// Empty when no row has metadata.
    case metadataHeap = 38
    case versions = 39

    var isLazy: Bool { self != .state }
}

/// The regions of a table, one for each section but the counts.
struct RecordRegions {
    var idWords: ReservedRegion
    var idKinds: ReservedRegion
    var idHeap: ReservedRegion
    var idSlots: ReservedRegion
    var metadataWords: ReservedRegion
    var metadataHeap: ReservedRegion
    var versionWords: ReservedRegion
}

/// Counts of a record table; the `state` section is these as six `u64` in this order.
struct RecordState: Equatable {
    static let byteCount = 48

    var rowCount: Int
    var liveCount: Int
    var idHeapByteCount: Int
    var metadataHeapByteCount: Int
    var slotCapacity: Int
    var slotsUsed: Int

    func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: Self.byteCount)
        for value in [
            rowCount, liveCount, idHeapByteCount, metadataHeapByteCount, slotCapacity, slotsUsed,
        ] {
            writer.write(UInt64(value))
        }
        return writer.bytes
    }

    init(_ table: RecordTable) {
        rowCount = table.rowCount
        liveCount = table.liveCount
        idHeapByteCount = table.idHeapByteCount
        metadataHeapByteCount = table.metadataHeapByteCount
        slotCapacity = table.slotCapacity
        slotsUsed = table.slotsUsed
    }

    /// Reads the counts and checks each against its limit and against the others.
    init(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
        guard bytes.count == Self.byteCount else {
            throw OmenError(.corrupt, "record state has \(bytes.count) bytes, expected 48")
        }
        var reader = ByteReader(bytes)
        func next(_ what: String, _ limit: Int) throws(OmenError) -> Int {
            let value = try reader.read(UInt64.self)
            guard let count = Int(exactly: value), count <= limit else {
                throw OmenError(.corrupt, "\(what) is \(value), expected at most \(limit)")
            }
            return count
        }
        rowCount = try next("row count", Limits.shardRowCountMax)
        liveCount = try next("live row count", rowCount)
        idHeapByteCount = try next("id heap size", RecordTable.heapByteCountMax)
        metadataHeapByteCount = try next("metadata heap size", RecordTable.heapByteCountMax)
        slotCapacity = try next("slot capacity", 1 << 33)
        slotsUsed = try next("used slots", slotCapacity)
        guard slotCapacity >= RecordTable.slotCapacityMin, slotCapacity.nonzeroBitCount == 1,
            slotsUsed * 10 <= slotCapacity * 7, liveCount <= slotsUsed
        else {
            throw OmenError(
                .corrupt,
                "\(slotsUsed) of \(slotCapacity) id slots are used for \(liveCount) live rows"
            )
        }
    }
}

extension RecordTable {
    /// Maps the record sections of a file.
    ///
    /// Where the slots are not deferred, it is checked now that following words and slots stays
    /// inside the sections. Otherwise `SlotCheck` is for that, and a word that leads out of its
    /// heap ends the process when it is followed.
    /// - Parameter source: The sections.
    /// - Throws: `.corrupt` when a section does not agree with `state`; `.resourceExhausted`
    ///   without address space.
    /// - Complexity: O(rows) reads of eight bytes, or O(1).
    convenience init(opening source: PartSource) throws(OmenError) {
        let stateByteCount = source.byteCount(of: RecordSection.state) ?? 0
        let stateRegion = try source.region(
            of: RecordSection.state,
            byteCountMax: max(stateByteCount, 1)
        )
        let state = try RecordState(
            UnsafeRawBufferPointer(start: stateRegion.base, count: stateByteCount)
        )
        func region(
            _ section: RecordSection,
            used: Int,
            byteCountMax: Int
        ) throws(OmenError) -> ReservedRegion {
            let byteCount = source.byteCount(of: section) ?? 0
            guard byteCount == used else {
                throw OmenError(
                    .corrupt,
                    "section \(section) has \(byteCount) bytes, expected \(used)"
                )
            }
            guard byteCount > 0 else {
                return try ReservedRegion(growingTo: byteCountMax, from: 0)
            }
            return try source.region(of: section, byteCountMax: byteCountMax)
        }
        let rows = state.rowCount
        let rowsMax = Limits.shardRowCountMax
        let metadataByteCount = state.metadataHeapByteCount > 0 ? rows * 8 : 0
        self.init(
            regions: RecordRegions(
                idWords: try region(.idWords, used: rows * 8, byteCountMax: rowsMax * 8),
                idKinds: try region(.idKinds, used: rows, byteCountMax: rowsMax),
                idHeap: try region(
                    .idHeap,
                    used: state.idHeapByteCount,
                    byteCountMax: Self.heapByteCountMax
                ),
                idSlots: try region(
                    .idSlots,
                    used: state.slotCapacity * 4,
                    byteCountMax: state.slotCapacity * 4
                ),
                metadataWords: try region(
                    .metadataWords,
                    used: metadataByteCount,
                    byteCountMax: rowsMax * 8
                ),
                metadataHeap: try region(
                    .metadataHeap,
                    used: state.metadataHeapByteCount,
                    byteCountMax: Self.heapByteCountMax
                ),
                versionWords: try region(.versions, used: rows * 8, byteCountMax: rowsMax * 8)
            ),
            state: state
        )
        guard !source.isDeferred(RecordSection.idSlots) else { return }
        try checkWords()
        try source.run(ColumnCheck(self), on: RecordSection.idSlots, RecordSection.versions)
    }

    /// Checks that ids and metadata lie inside their heaps.
    private func checkWords() throws(OmenError) {
        for row in 0..<rowCount {
            if kinds[row] != 0 {
                let (offset, count) = Self.unpackText(words[row])
                guard offset + count <= idHeapByteCount else {
                    throw OmenError(.corrupt, "id of row \(row) ends outside the id heap")
                }
            }
        }
        if metadataHeapByteCount > 0 {
            for row in 0..<rowCount where metadata[row] != 0 {
                let (offset, count) = Self.unpackMetadata(metadata[row])
                guard offset + count <= metadataHeapByteCount else {
                    throw OmenError(.corrupt, "metadata of row \(row) ends outside its heap")
                }
            }
        }
    }
}

extension RecordTable {
    /// Checks two columns of a file part by part.
    ///
    /// All id slots name rows, and there are as many as the state says; all versions are below the
    /// limit.
    struct ColumnCheck: SectionCheck {
        private let rowCount: Int
        private let liveCount: Int
        private let slotsUsed: Int
        private var removed = 0
        private var used = 0

        /// For the columns as `table` has them now.
        init(_ table: RecordTable) {
            rowCount = table.rowCount
            liveCount = table.liveCount
            slotsUsed = table.slotsUsed
        }

        mutating func add(
            _ bytes: UnsafeRawBufferPointer,
            of kind: UInt32,
            at offset: Int
        ) throws(OmenError) {
            switch RecordSection(rawValue: kind) {
            case .idSlots: try addSlots(bytes)
            case .versions: try checkVersions(bytes, from: offset / 8)
            default: return
            }
        }

        private func checkVersions(
            _ bytes: UnsafeRawBufferPointer,
            from firstRow: Int
        ) throws(OmenError) {
            for place in stride(from: 0, to: bytes.count & ~7, by: 8) {
                let version = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                guard version >= WriteVersions.limit else { continue }
                throw OmenError(
                    .corrupt,
                    "the version of row \(firstRow + place / 8) is \(version), expected less than 2^62"
                )
            }
        }

        private mutating func addSlots(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
            for place in stride(from: 0, to: bytes.count & ~3, by: 4) {
                let slot = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
                guard slot != 0 else { continue }
                used += 1
                if slot == RecordTable.removedSlot {
                    removed += 1
                } else if Int(slot) > rowCount {
                    throw OmenError(.corrupt, "an id slot names row \(slot - 1) of \(rowCount)")
                }
            }
        }

        func finish() throws(OmenError) {
            guard used - removed == liveCount, used == slotsUsed else {
                throw OmenError(
                    .corrupt,
                    "\(used - removed) live and \(used) used id slots, expected \(liveCount), \(slotsUsed)"
                )
            }
        }
    }
}
