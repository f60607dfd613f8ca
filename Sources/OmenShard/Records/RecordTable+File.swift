internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Numbers of the record sections in a shard file; those of the index are below 32.
///
/// Never renumber.
enum RecordSection: UInt32, CaseIterable {
    case state = 32
    case idWords = 33
    case idKinds = 34
    case idHeap = 35
    case idSlots = 36
    case metadataWords = 37
    case metadataHeap = 38
}

struct RecordRegions {
    var idWords: ReservedRegion
    var idKinds: ReservedRegion
    var idHeap: ReservedRegion
    var idSlots: ReservedRegion
    var metadataWords: ReservedRegion
    var metadataHeap: ReservedRegion
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
    /// The sections as they are now; `state` and `idSlots` are copied because they go on changing.
    struct Frozen: @unchecked Sendable {
        let table: RecordTable
        let state: RecordState
        let stateBytes: [UInt8]
        let slots: [UInt32]
    }

    func freeze() -> Frozen {
        let state = RecordState(self)
        return Frozen(
            table: self,
            state: state,
            stateBytes: state.encode(),
            slots: Array(UnsafeBufferPointer(start: slots, count: slotCapacity))
        )
    }

    /// Maps the record sections of `file`.
    ///
    /// - Parameters:
    ///   - file: Open, its `state` checked.
    ///   - isWhole: Whether to check now that following words and slots stays inside the sections.
    ///     Otherwise `SlotCheck` is for that, and a word that leads out of its heap ends the
    ///     process when it is followed.
    /// - Throws: `.corrupt` when a section does not agree with `state`; `.resourceExhausted`
    ///   without address space.
    /// - Complexity: O(rows) reads of eight bytes, or O(1).
    convenience init(file: ShardFile, isWhole: Bool) throws(OmenError) {
        let stateByteCount = file.byteCount(of: RecordSection.state.rawValue) ?? 0
        let stateRegion = try file.region(
            of: RecordSection.state.rawValue,
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
            let byteCount = file.byteCount(of: section.rawValue) ?? 0
            guard byteCount == used else {
                throw OmenError(
                    .corrupt,
                    "section \(section) has \(byteCount) bytes, expected \(used)"
                )
            }
            guard byteCount > 0 else {
                return try ReservedRegion(growingTo: byteCountMax, from: 0)
            }
            return try file.region(of: section.rawValue, byteCountMax: byteCountMax)
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
                )
            ),
            state: state
        )
        if isWhole { try validate() }
    }

    private func validate() throws(OmenError) {
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
        var check = SlotCheck(self)
        try check.add(UnsafeRawBufferPointer(start: slots, count: slotCapacity * 4))
        try check.finish()
    }
}

extension RecordTable {
    /// Checks the slots of a file part by part: all of them name rows, and there are as many as the
    /// state says.
    struct SlotCheck {
        private let rowCount: Int
        private let liveCount: Int
        private let slotsUsed: Int
        private var removed = 0
        private var used = 0

        /// For the slots as `table` has them now.
        init(_ table: RecordTable) {
            rowCount = table.rowCount
            liveCount = table.liveCount
            slotsUsed = table.slotsUsed
        }

        /// Takes the next bytes of the section, whole slots.
        mutating func add(_ bytes: UnsafeRawBufferPointer) throws(OmenError) {
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

        /// Ends the check when all bytes were added.
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

extension RecordTable.Frozen {
    /// What never changes below the frozen counts.
    var immutableRegions: [(RecordSection, ReservedRegion)] {
        [
            (.idWords, table.idWords), (.idKinds, table.idKinds), (.idHeap, table.idHeap),
            (.metadataWords, table.metadataWords), (.metadataHeap, table.metadataHeap),
        ]
    }

    /// The sections to write; valid inside `body`.
    func withSections<Result>(
        _ body: (_ sections: [FileSection]) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        var sections: [FileSection] = []
        func add(_ section: RecordSection, _ base: UnsafeRawPointer, _ byteCount: Int) {
            guard byteCount > 0 else { return }
            sections.append(
                FileSection(
                    kind: section.rawValue,
                    base: base,
                    byteCount: byteCount,
                    isLazy: section != .state
                )
            )
        }
        let rows = state.rowCount
        add(.idWords, table.idWords.base, rows * 8)
        add(.idKinds, table.idKinds.base, rows)
        add(.idHeap, table.idHeap.base, state.idHeapByteCount)
        if state.metadataHeapByteCount > 0 {
            add(.metadataWords, table.metadataWords.base, rows * 8)
            add(.metadataHeap, table.metadataHeap.base, state.metadataHeapByteCount)
        }
        // `withUnsafeBytes` does not carry typed throws, so the outcome travels as a value.
        let outcome: Swift.Result<Result, OmenError> = stateBytes.withUnsafeBytes { stateBytes in
            slots.withUnsafeBytes { slots in
                if let base = stateBytes.baseAddress { add(.state, base, stateBytes.count) }
                if let base = slots.baseAddress { add(.idSlots, base, slots.count) }
                do throws(OmenError) {
                    return .success(try body(sections))
                } catch { return .failure(error) }
            }
        }
        return try outcome.get()
    }
}
