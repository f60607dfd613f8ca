/// Exact bytes of what the `encode(into:)` of ids, schemas and writes appends: what frames, log
/// batches and queues are bounded by.
extension RecordID {
    /// Exact bytes of one encoded id.
    package var encodedByteCount: Int {
        switch self {
        case .number: 10
        case .text(let text): 2 + text.utf8.count
        }
    }

    /// Exact bytes of an encoded list of ids.
    package static func encodedByteCount(_ ids: [RecordID]) -> Int {
        ids.reduce(4) { $0 + $1.encodedByteCount }
    }
}

extension CollectionSchema {
    package static let encodedByteCount = 12
}

extension UpsertBatch {
    /// Exact bytes of the encoded batch.
    ///
    /// - Complexity: O(ids).
    package var encodedByteCount: Int {
        4 + collection.utf8.count + 1 + 4 + RecordID.encodedByteCount(ids)
            + vectors.count + 1 + metadata.reduce(0) { $0 + 4 + $1.count }
    }
}

extension WriteOperation {
    /// Exact bytes of the encoded operation.
    ///
    /// - Complexity: O(ids).
    package var encodedByteCount: Int {
        switch self {
        case .createCollection(let name, _):
            1 + 4 + name.utf8.count + CollectionSchema.encodedByteCount
        case .dropCollection(let name), .clearCollection(let name):
            1 + 4 + name.utf8.count
        case .upsert(let batch): 1 + batch.encodedByteCount
        case .delete(let collection, let ids):
            1 + 4 + collection.utf8.count + RecordID.encodedByteCount(ids)
        case .calibrate(let sample): 1 + sample.encodedByteCount
        }
    }
}
