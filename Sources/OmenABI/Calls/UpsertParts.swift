internal import OmenSystem
internal import COmenDB
internal import OmenCore

/// A batch from C, cut into parts of a size that a shard takes at once.
///
/// The caller's memory may change while it is read: other threads own it, too. So what is written
/// is a copy, and it is the copy that decides; `check` only finds most wrong rows sooner.
struct UpsertParts {
    /// Bytes of vectors in one part: copied once more on their way, so that a batch of any size
    /// takes little memory beside what it is stored in.
    private static let byteCountMax = 4 << 20

    private let given: omendb_batch
    let collection: String
    private let vectors: GivenVectors
    let count: Int
    /// What the copies of the parts are checked against; nil leaves it to the shard.
    private var schema: CollectionSchema?

    init(_ given: omendb_batch, collection: String) throws(OmenError) {
        self.given = given
        self.collection = collection
        count = try Arguments.count(given.count, "vectors")
        vectors = try GivenVectors(
            given.vectors,
            element: given.element,
            dim: given.dim,
            stride: given.stride,
            count: count
        )
        guard given.ids.count == given.count else {
            throw OmenError(.badRequest, "\(given.ids.count) ids for \(given.count) vectors")
        }
    }

    var ranges: [Range<Int>] {
        let step = max(1, min(Limits.batchCountMax, Self.byteCountMax / vectors.storedRowByteCount))
        return Swift.stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
    }

    /// Checks all rows before the first part is written, where there are several: a wrong one must
    /// not leave others behind.
    mutating func check(against schema: CollectionSchema) throws(OmenError) {
        guard vectors.dim == schema.dim else {
            throw OmenError(
                .badRequest,
                "vectors have \(vectors.dim) dimensions, collection \(collection) has \(schema.dim)"
            )
        }
        try vectors.check(count, against: schema)
        if given.ids.kinds != nil || given.ids.text_offsets != nil {
            for range in ranges { _ = try Arguments.ids(given.ids, range) }
        }
        if given.metadata_offsets != nil {
            for row in 0..<count {
                if row % 256 == 0 { try Stop.check() }
                try checkMetadata(row)
            }
        }
        self.schema = schema
    }

    private func checkMetadata(_ row: Int) throws(OmenError) {
        let object = try metadata(row)
        guard !object.isEmpty else { return }
        guard object.count <= Limits.metadataByteCountMax else {
            throw OmenError(
                .badRequest,
                "metadata of vector \(row) has \(object.count) bytes, expected at most \(Limits.metadataByteCountMax)"
            )
        }
        do throws(OmenError) {
            try JSONText.validateObject(object)
        } catch {
            throw OmenError(error.code, "vector \(row): \(error.message)")
        }
    }

    private func metadata(_ row: Int) throws(OmenError) -> UnsafeRawBufferPointer {
        try Arguments.slice(given.metadata_offsets, given.metadata, row, "metadata object")
    }

    /// Writes a copy of some rows, checked before if there are several parts.
    ///
    /// - Throws: `.badRequest` naming the row in the whole batch, and what the store throws.
    func write(_ range: Range<Int>, to store: any RecordStore) throws(OmenError) -> WriteCounts {
        let copy = try batch(range)
        guard let schema else { return try store.write(.upsert(copy)) }
        let checked = try copy.validated(against: schema, firstRow: range.lowerBound)
        return try store.upsert(checked)
    }

    private func batch(_ range: Range<Int>) throws(OmenError) -> UpsertBatch {
        var metadata: [[UInt8]] = []
        if given.metadata_offsets != nil {
            metadata.reserveCapacity(range.count)
            for row in range { metadata.append(Array(try self.metadata(row))) }
        }
        return UpsertBatch(
            collection: collection,
            element: vectors.element,
            dim: vectors.dim,
            ids: try Arguments.ids(given.ids, range),
            vectors: vectors.copy(range),
            metadata: metadata
        )
    }
}
