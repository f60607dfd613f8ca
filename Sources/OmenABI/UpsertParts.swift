internal import COmenDB
internal import OmenCore

/// A batch from C, cut into parts of a size that a shard takes at once.
struct UpsertParts {
    /// Bytes of vectors in one part: copied once more on their way, so that a batch of any size
    /// takes little memory beside what it is stored in.
    private static let byteCountMax = 4 << 20

    private let given: omendb_batch
    let collection: String
    private let element: ElementType
    private let count: Int
    private let rowByteCount: Int
    private let stride: Int
    private let base: UnsafeRawPointer

    init(_ given: omendb_batch, collection: String) throws(OmenError) {
        self.given = given
        self.collection = collection
        element = try Arguments.element(given.element)
        count = try Arguments.count(given.count, "vectors")
        guard (1...Limits.dimensionMax).contains(Int(given.dim)) else {
            throw OmenError(.badRequest, "dim is \(given.dim), expected 1...\(Limits.dimensionMax)")
        }
        rowByteCount = Int(given.dim) * element.byteCount
        guard let stride = Int(exactly: given.stride), stride >= rowByteCount,
            !count.multipliedReportingOverflow(by: stride).overflow
        else {
            throw OmenError(
                .badRequest,
                "rows are \(given.stride) bytes apart, expected at least \(rowByteCount)"
            )
        }
        self.stride = stride
        guard given.ids.count == given.count else {
            throw OmenError(.badRequest, "\(given.ids.count) ids for \(given.count) vectors")
        }
        guard let vectors = given.vectors else {
            throw OmenError(.badRequest, "vectors is null")
        }
        base = vectors
    }

    var ranges: [Range<Int>] {
        let step = max(1, min(Limits.batchCountMax, Self.byteCountMax / rowByteCount))
        return Swift.stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
    }

    /// Checks all rows before the first part is written, where there are several: a wrong one must
    /// not leave others behind.
    func check(against schema: CollectionSchema) throws(OmenError) {
        guard Int(given.dim) == schema.dim else {
            throw OmenError(
                .badRequest,
                "vectors have \(given.dim) dimensions, collection \(collection) has \(schema.dim)"
            )
        }
        for row in 0..<count {
            let failure = VectorValidation.failure(
                UnsafeRawBufferPointer(start: base + row * stride, count: rowByteCount),
                number: row,
                element: element,
                dim: schema.dim,
                metric: schema.metric,
                what: "vector"
            )
            if let failure { throw failure }
        }
        if given.ids.kinds != nil || given.ids.text_offsets != nil {
            for range in ranges { _ = try Arguments.ids(given.ids, range) }
        }
        guard given.metadata_offsets != nil else { return }
        for row in 0..<count { try checkMetadata(row) }
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

    func batch(_ range: Range<Int>) throws(OmenError) -> UpsertBatch {
        let byteCount = range.count * rowByteCount
        let vectors = [UInt8](unsafeUninitializedCapacity: byteCount) { target, filled in
            let target = UnsafeMutableRawBufferPointer(target)
            filled = byteCount
            guard let start = target.baseAddress else { return }
            if stride == rowByteCount {
                start.copyMemory(from: base + range.lowerBound * stride, byteCount: byteCount)
                return
            }
            for (place, row) in range.enumerated() {
                (start + place * rowByteCount).copyMemory(
                    from: base + row * stride,
                    byteCount: rowByteCount
                )
            }
        }
        var metadata: [[UInt8]] = []
        if given.metadata_offsets != nil {
            metadata.reserveCapacity(range.count)
            for row in range { metadata.append(Array(try self.metadata(row))) }
        }
        return UpsertBatch(
            collection: collection,
            element: element,
            dim: Int(given.dim),
            ids: try Arguments.ids(given.ids, range),
            vectors: vectors,
            metadata: metadata
        )
    }
}
