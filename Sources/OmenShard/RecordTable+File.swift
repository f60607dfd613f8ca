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

    /// Maps the record sections of `file` and checks that following them stays inside them.
    ///
    /// - Complexity: O(rows) reads of eight bytes.
    convenience init(file: ShardFile) throws(OmenError) {
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
            guard byteCount > 0 else { return try ReservedRegion(byteCountMax: byteCountMax) }
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
        try validate()
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
        var live = 0
        var used = 0
        for index in 0..<slotCapacity where slots[index] != 0 {
            used += 1
            guard slots[index] != Self.removedSlot else { continue }
            live += 1
            guard Int(slots[index]) <= rowCount else {
                throw OmenError(.corrupt, "id slot \(index) names row \(slots[index] - 1)")
            }
        }
        guard live == liveCount, used == slotsUsed else {
            throw OmenError(
                .corrupt,
                "\(live) live and \(used) used id slots, expected \(liveCount), \(slotsUsed)"
            )
        }
    }
}

extension RecordTable.Frozen {
    /// The sections to write; valid inside `body`.
    func withSections<Result>(
        _ body: (_ sections: [FileSection]) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        var sections: [FileSection] = []
        func add(_ section: RecordSection, _ base: UnsafeRawPointer, _ byteCount: Int) {
            guard byteCount > 0 else { return }
            sections.append(
                FileSection(kind: section.rawValue, base: base, byteCount: byteCount)
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
