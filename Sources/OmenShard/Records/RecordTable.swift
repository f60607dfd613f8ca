internal import OmenSystem
internal import Glibc
internal import OmenCore

/// Ids and metadata of a collection's rows, and the way from an id to its live row.
///
/// All of it lies in reserved address ranges in the very layout of the shard file, so opening a
/// file maps it and reads nothing. Rows are appended and never change; only the slot array does.
///
///     idWords        u64 per row   the number, or heap offset << 16 | byte count of a text
///     idKinds        u8 per row    0 number, 1 text
///     versions       u64 per row   when the record was written, see `WriteVersions`
///     idHeap         bytes         UTF-8 of the text ids
///     idSlots        u32 each      open addressing, linear probing: 0 free, 0xFFFFFFFF was
///                                  removed, else live row + 1; a power of two, at most 70 % used
///     metadataWords  u64 per row   0 none, else heap offset << 17 | byte count
///     metadataHeap   bytes         JSON texts
final class RecordTable {
    /// Most bytes of text ids, and of metadata, in one shard of one collection.
    static let heapByteCountMax = 32 << 30
    static let slotCapacityMin = 1024
    static let removedSlot = UInt32.max

    let idWords: ReservedRegion
    let idKinds: ReservedRegion
    let idHeap: ReservedRegion
    let metadataWords: ReservedRegion
    let metadataHeap: ReservedRegion
    let versionWords: ReservedRegion
    var idSlots: ReservedRegion

    var rowCount = 0
    /// Rows that have addresses.
    var rowCapacity = 0
    var liveCount = 0
    var idHeapByteCount = 0
    var metadataHeapByteCount = 0
    var slotCapacity: Int
    /// Slots that are not free: live rows and removed ones.
    var slotsUsed = 0

    /// An empty table.
    ///
    /// - Parameter count: Live rows that its slots take before they grow.
    /// - Throws: `.resourceExhausted` without address space.
    init(slotsFor count: Int = 0) throws(OmenError) {
        idWords = try ReservedRegion(growingTo: Limits.shardRowCountMax * 8, from: 0)
        idKinds = try ReservedRegion(growingTo: Limits.shardRowCountMax, from: 0)
        idHeap = try ReservedRegion(growingTo: Self.heapByteCountMax, from: 0)
        metadataWords = try ReservedRegion(growingTo: Limits.shardRowCountMax * 8, from: 0)
        metadataHeap = try ReservedRegion(growingTo: Self.heapByteCountMax, from: 0)
        versionWords = try ReservedRegion(growingTo: Limits.shardRowCountMax * 8, from: 0)
        slotCapacity = Self.slotCapacity(for: count)
        idSlots = try ReservedRegion(byteCountMax: slotCapacity * 4)
    }

    /// Slots of a table that takes `count` live rows before it grows.
    static func slotCapacity(for count: Int) -> Int {
        var capacity = slotCapacityMin
        while (count + 1) * 10 > capacity * 7 { capacity *= 2 }
        return capacity
    }

    /// Takes over regions whose first bytes came from a file.
    init(regions: RecordRegions, state: RecordState) {
        idWords = regions.idWords
        idKinds = regions.idKinds
        idHeap = regions.idHeap
        idSlots = regions.idSlots
        metadataWords = regions.metadataWords
        metadataHeap = regions.metadataHeap
        versionWords = regions.versionWords
        rowCount = state.rowCount
        liveCount = state.liveCount
        idHeapByteCount = state.idHeapByteCount
        metadataHeapByteCount = state.metadataHeapByteCount
        slotCapacity = state.slotCapacity
        slotsUsed = state.slotsUsed
    }

    var words: UnsafeMutablePointer<UInt64> { idWords.base.assumingMemoryBound(to: UInt64.self) }
    var kinds: UnsafeMutablePointer<UInt8> { idKinds.base.assumingMemoryBound(to: UInt8.self) }
    var slots: UnsafeMutablePointer<UInt32> { idSlots.base.assumingMemoryBound(to: UInt32.self) }
    var metadata: UnsafeMutablePointer<UInt64> {
        metadataWords.base.assumingMemoryBound(to: UInt64.self)
    }
    var versions: UnsafeMutablePointer<UInt64> {
        versionWords.base.assumingMemoryBound(to: UInt64.self)
    }
}

// MARK: - Looking up

extension RecordTable {
    /// The live row of `id`.
    ///
    /// - Complexity: O(1) expected.
    func row(of id: RecordID) -> UInt32? {
        id.withBytes { isText, bytes in
            guard let slot = findSlot(isText: isText, bytes: bytes) else { return nil }
            return slots[slot] - 1
        }
    }

    /// The id of any row, live or not.
    func id(of row: UInt32) -> RecordID {
        let index = checked(row)
        guard kinds[index] != 0 else { return .number(words[index]) }
        return .text(String(decoding: text(at: index), as: UTF8.self))
    }

    /// The id of any row, live or not, if it is a number.
    func number(of row: UInt32) -> UInt64? {
        let index = checked(row)
        return kinds[index] == 0 ? words[index] : nil
    }

    /// JSON text of the row's metadata object, if it has one.
    func metadata(of row: UInt32) -> [UInt8]? {
        let word = metadata[checked(row)]
        guard word != 0 else { return nil }
        let (offset, count) = Self.unpackMetadata(word)
        precondition(
            offset + count <= metadataHeapByteCount,
            "metadata of row \(row) ends outside its heap"
        )
        return Array(UnsafeRawBufferPointer(start: metadataHeap.base + offset, count: count))
    }

    /// When the record of any row was written.
    func version(of row: UInt32) -> UInt64 { versions[checked(row)] }

    /// The largest version of any row; 0 without rows.
    ///
    /// A number that is no version is left out.
    ///
    /// - Complexity: O(rows).
    var newestVersion: UInt64 {
        var newest: UInt64 = 0
        for row in 0..<rowCount where versions[row] < WriteVersions.limit {
            newest = max(newest, versions[row])
        }
        return newest
    }

    private func checked(_ row: UInt32) -> Int {
        precondition(row < rowCount, "row \(row) of \(rowCount)")
        return Int(row)
    }

    private func text(at index: Int) -> UnsafeRawBufferPointer {
        let (offset, count) = Self.unpackText(words[index])
        // Words of a file are followed before the whole file was read.
        precondition(offset + count <= idHeapByteCount, "id of row \(index) ends outside the heap")
        return UnsafeRawBufferPointer(start: idHeap.base + offset, count: count)
    }

    static func unpackText(_ word: UInt64) -> (offset: Int, count: Int) {
        (Int(word >> 16), Int(word & 0xFFFF))
    }

    static func unpackMetadata(_ word: UInt64) -> (offset: Int, count: Int) {
        (Int(word >> 17), Int(word & 0x1FFFF))
    }

    private func findSlot(isText: Bool, bytes: UnsafeRawBufferPointer) -> Int? {
        let mask = slotCapacity - 1
        var slot = Int(truncatingIfNeeded: hashID(isText: isText, bytes: bytes)) & mask
        // Ends at a free slot: at most 70 % are used.
        while slots[slot] != 0 {
            let value = slots[slot]
            if value != Self.removedSlot, holds(row: Int(value - 1), isText: isText, bytes: bytes) {
                return slot
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private func holds(row: Int, isText: Bool, bytes: UnsafeRawBufferPointer) -> Bool {
        precondition(row < rowCount, "an id slot names row \(row) of \(rowCount)")
        guard (kinds[row] != 0) == isText else { return false }
        guard isText else { return words[row] == bytes.loadUnaligned(as: UInt64.self).littleEndian }
        let own = text(at: row)
        guard own.count == bytes.count, let left = own.baseAddress, let right = bytes.baseAddress
        else { return false }
        return memcmp(left, right, own.count) == 0
    }
}

// MARK: - Changing

extension RecordTable {
    /// Appends a row for `id`, with JSON text or no bytes as metadata, and makes it the live one.
    ///
    /// - Parameters:
    ///   - id: The id.
    ///   - object: Its metadata.
    ///   - version: When the record was written.
    /// - Returns: The row that was live before.
    /// - Throws: `.resourceExhausted` before anything changed when a limit is reached.
    /// - Complexity: O(id and metadata bytes), amortised.
    func append(
        _ id: RecordID,
        metadata object: [UInt8],
        version: UInt64
    ) throws(OmenError) -> UInt32? {
        // `rethrows` does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<UInt32?, OmenError> = id.withBytes { isText, bytes in
            object.withUnsafeBytes { object in
                do throws(OmenError) {
                    let row = try append(
                        isText: isText,
                        id: bytes,
                        metadata: object,
                        version: version
                    )
                    return .success(row)
                } catch { return .failure(error) }
            }
        }
        return try outcome.get()
    }

    /// The same with an id as `RecordID.withBytes` gives it.
    func append(
        isText: Bool,
        id bytes: UnsafeRawBufferPointer,
        metadata object: UnsafeRawBufferPointer,
        version: UInt64
    ) throws(OmenError) -> UInt32? {
        guard rowCount < Limits.shardRowCountMax,
            idHeapByteCount + (isText ? bytes.count : 0) <= Self.heapByteCountMax,
            metadataHeapByteCount + object.count <= Self.heapByteCountMax
        else {
            throw OmenError(
                .resourceExhausted,
                "a shard of the collection is full: \(rowCount) rows, \(idHeapByteCount) bytes of ids, \(metadataHeapByteCount) bytes of metadata"
            )
        }
        if rowCount >= rowCapacity { try reserveRows(rowCount + 1) }
        if isText { try reserve(idHeap, idHeapByteCount + bytes.count) }
        try reserve(metadataHeap, metadataHeapByteCount + object.count)
        if (slotsUsed + 1) * 10 > slotCapacity * 7 { try rehash(for: liveCount + 1) }
        store(isText: isText, bytes: bytes)
        store(metadata: object)
        versions[rowCount] = version
        let row = UInt32(rowCount)
        rowCount += 1
        return claimSlot(for: row, isText: isText, bytes: bytes)
    }

    /// Forgets `id`.
    ///
    /// - Returns: The row that was live.
    func remove(_ id: RecordID) -> UInt32? {
        id.withBytes { isText, bytes in
            guard let slot = findSlot(isText: isText, bytes: bytes) else { return nil }
            defer { slots[slot] = Self.removedSlot }
            liveCount -= 1
            return slots[slot] - 1
        }
    }

    private func store(isText: Bool, bytes: UnsafeRawBufferPointer) {
        kinds[rowCount] = isText ? 1 : 0
        guard isText, let source = bytes.baseAddress else {
            words[rowCount] = bytes.loadUnaligned(as: UInt64.self).littleEndian
            return
        }
        memcpy(idHeap.base + idHeapByteCount, source, bytes.count)
        words[rowCount] = UInt64(idHeapByteCount) << 16 | UInt64(bytes.count)
        idHeapByteCount += bytes.count
    }

    private func store(metadata object: UnsafeRawBufferPointer) {
        guard !object.isEmpty else { return }
        UnsafeMutableRawBufferPointer(
            start: metadataHeap.base + metadataHeapByteCount,
            count: object.count
        ).copyMemory(from: object)
        metadata[rowCount] = UInt64(metadataHeapByteCount) << 17 | UInt64(object.count)
        metadataHeapByteCount += object.count
    }

    private func claimSlot(
        for row: UInt32,
        isText: Bool,
        bytes: UnsafeRawBufferPointer
    ) -> UInt32? {
        if let slot = findSlot(isText: isText, bytes: bytes) {
            defer { slots[slot] = row + 1 }
            return slots[slot] - 1
        }
        insertAbsent(row, hash: hashID(isText: isText, bytes: bytes))
        liveCount += 1
        return nil
    }

    private func insertAbsent(_ row: UInt32, hash: UInt64) {
        let mask = slotCapacity - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0, slots[slot] != Self.removedSlot { slot = (slot + 1) & mask }
        if slots[slot] == 0 { slotsUsed += 1 }
        slots[slot] = row + 1
    }

    /// Moves the live rows to a slot array that is at most 35 % used, leaving removed slots behind.
    func rehash(for count: Int) throws(OmenError) {
        let old = idSlots
        let oldSlots = slots
        let oldCapacity = slotCapacity
        var capacity = Self.slotCapacityMin
        while count * 20 > capacity * 7 { capacity *= 2 }
        idSlots = try ReservedRegion(byteCountMax: capacity * 4)
        slotCapacity = capacity
        slotsUsed = 0
        withExtendedLifetime(old) {
            for index in 0..<oldCapacity {
                let value = oldSlots[index]
                guard value != 0, value != Self.removedSlot else { continue }
                insertAbsent(value - 1, hash: hash(ofRow: Int(value - 1)))
            }
        }
    }

    private func hash(ofRow row: Int) -> UInt64 {
        guard kinds[row] == 0 else { return hashID(isText: true, bytes: text(at: row)) }
        return withUnsafeBytes(of: words[row].littleEndian) { hashID(isText: false, bytes: $0) }
    }
}
