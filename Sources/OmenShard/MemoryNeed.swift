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
