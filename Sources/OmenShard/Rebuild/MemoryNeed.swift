package import OmenCore
internal import OmenIndex
internal import OmenStorage

extension CollectionSchema {
    /// Bytes of memory that each row of a collection needs, with its id but without metadata.
    package var residentByteCountPerRow: Int {
        // Word, kind and slots of an id; a slot array is at least a third full.
        VectorIndex.residentByteCountPerRow(self) + 8 + 1 + 12
    }
}

extension ShardCollection {
    /// Memory that a rebuild would take now, in addition to what the collection has.
    var buildNeed: BuildNeed {
        var need = index.buildNeed
        need.linkByteCount += records.copyByteCount
        return need
    }

    /// The bytes of `buildNeed` together.
    package var buildByteCount: Int { buildNeed.total }
}

extension RecordTable {
    /// Bytes of a copy of the live rows.
    fileprivate var copyByteCount: Int {
        guard liveCount > 0 else { return 0 }
        let metadata = metadataHeapByteCount > 0 ? 8 : 0
        let slots = 4 * Self.slotCapacity(for: liveCount + liveCount / 8)
        return liveCount * (8 + 1 + metadata) + slots + idHeapByteCount + metadataHeapByteCount
    }
}

extension ShardFile {
    /// Bytes of the file that must be in memory for its collection to answer fast.
    ///
    /// Full vectors beside codes, and metadata, are read from the file when they are asked for.
    var residentByteCount: Int {
        var count = 0
        for kind in kinds where kind != RecordSection.metadataHeap.rawValue {
            let isVectors = kind == VectorIndex.Section.vectors.rawValue
            let hasCodes = byteCount(of: VectorIndex.Section.codes.rawValue) ?? 0 > 0
            if !(isVectors && hasCodes) { count += byteCount(of: kind) ?? 0 }
        }
        return count
    }
}
