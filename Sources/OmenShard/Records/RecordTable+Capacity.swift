internal import OmenSystem
internal import OmenCore

/// Addresses for rows, ids and metadata to come; all of them from the beginning, unless these are
/// limited.
extension RecordTable {
    /// Fewest bytes of a heap that addresses are asked for at a time.
    private static let heapStep = 64 << 10

    /// Makes room for numbers of rows, bytes of ids and bytes of metadata in all: appending them
    /// then does not fail.
    ///
    /// - Throws: `.resourceExhausted` naming the limit; nothing that is there has changed.
    func reserve(
        rows: Int,
        idBytes: Int,
        metadataBytes: Int,
        isAmple: Bool
    ) throws(OmenError) {
        if rows > rowCapacity { try reserveRows(rows, isAmple: isAmple) }
        try reserve(idHeap, idBytes, isAmple: isAmple)
        try reserve(metadataHeap, metadataBytes, isAmple: isAmple)
        let added = max(0, rows - rowCount)
        if (slotsUsed + added) * 10 > slotCapacity * 7 { try rehash(for: liveCount + added) }
    }

    func reserveRows(_ count: Int, isAmple: Bool = true) throws(OmenError) {
        try AddressSpace.grow(
            to: count,
            from: rowCapacity,
            most: Limits.shardRowCountMax,
            step: isAmple ? AddressSpace.rowStep : nil
        ) { rows throws(OmenError) in try map(rows) }
    }

    private func map(_ count: Int) throws(OmenError) {
        try idWords.grow(to: count * 8)
        try metadataWords.grow(to: count * 8)
        try idKinds.grow(to: count)
        try versionWords.grow(to: count * 8)
        // Where nothing is limited, there is room for all rows at once.
        rowCapacity = min(
            idWords.mappedByteCount / 8,
            metadataWords.mappedByteCount / 8,
            idKinds.mappedByteCount,
            versionWords.mappedByteCount / 8
        )
    }

    func reserve(
        _ heap: ReservedRegion,
        _ byteCount: Int,
        isAmple: Bool = true
    ) throws(OmenError) {
        guard byteCount > heap.mappedByteCount else { return }
        try AddressSpace.grow(
            to: byteCount,
            from: heap.mappedByteCount,
            most: heap.byteCountMax,
            step: isAmple ? Self.heapStep : nil
        ) { bytes throws(OmenError) in try heap.grow(to: bytes) }
    }

    /// What is mapped of the regions that grow.
    struct Capacity: Equatable {
        fileprivate var words: Int
        fileprivate var kinds: Int
        fileprivate var metadataWords: Int
        fileprivate var versionWords: Int
        fileprivate var idHeap: Int
        fileprivate var metadataHeap: Int
        fileprivate var rows: Int
        fileprivate var slots: Int
    }

    var capacity: Capacity {
        Capacity(
            words: idWords.mappedByteCount,
            kinds: idKinds.mappedByteCount,
            metadataWords: metadataWords.mappedByteCount,
            versionWords: versionWords.mappedByteCount,
            idHeap: idHeap.mappedByteCount,
            metadataHeap: metadataHeap.mappedByteCount,
            rows: rowCapacity,
            slots: slotCapacity
        )
    }

    /// Gives addresses back that came since `capacity` was taken; nothing was appended meanwhile.
    func release(to capacity: Capacity) {
        idWords.shrink(to: capacity.words)
        idKinds.shrink(to: capacity.kinds)
        metadataWords.shrink(to: capacity.metadataWords)
        versionWords.shrink(to: capacity.versionWords)
        idHeap.shrink(to: capacity.idHeap)
        metadataHeap.shrink(to: capacity.metadataHeap)
        rowCapacity = capacity.rows
    }
}
