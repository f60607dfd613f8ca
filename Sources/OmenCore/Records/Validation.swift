/// Which values pass.
package enum ValueRules: Sendable {
    /// What is accepted now, at every door.
    case accepted
    /// What files may hold: everything that can be applied, also where doors have become stricter
    /// since it was accepted.
    case stored
}

/// Checks and converts vectors that came from outside, so that nothing behind it can fail on them.
package enum VectorValidation {
    /// Largest magnitude of an element: squares of differences summed over 8,192 dimensions stay
    /// finite in 32 bits.
    package static let magnitudeMax: Float = 1e15
    /// At least one element must reach this, unless all are zero: of smaller ones products and
    /// squares of differences would vanish in 32 bits, and with them all distances.
    package static let magnitudeMin: Float = 1e-15

    /// Checks `vectors`, elements of type `element` in shape `[count][dim]`, row by row; `what`
    /// names a row in the error, such as "vector" or "query", and `firstRow` is the number of the
    /// first one.
    ///
    /// - Throws: `.badRequest` naming the row, the element and its value.
    /// - Complexity: O(count·dim).
    package static func check(
        _ vectors: [UInt8],
        element: ElementType,
        dim: Int,
        metric: Metric,
        what: String,
        firstRow: Int = 0,
        rules: ValueRules = .accepted
    ) throws(OmenError) {
        let rowByteCount = dim * element.byteCount
        for row in 0..<vectors.count / rowByteCount {
            let wrong = vectors.withUnsafeBytes { bytes in
                failure(
                    UnsafeRawBufferPointer(rebasing: bytes[(row * rowByteCount)...]),
                    number: firstRow + row,
                    element: element,
                    dim: dim,
                    metric: metric,
                    what: what,
                    rules: rules
                )
            }
            if let wrong { throw wrong }
        }
    }

    /// What is wrong with the row that `bytes` begins with, which errors call `number`.
    ///
    /// - Precondition: `bytes` holds `dim` elements.
    /// - Returns: A `.badRequest` naming the row, the element and its value; nil when it is right.
    /// - Complexity: O(dim).
    @inline(__always)
    package static func failure(
        _ bytes: UnsafeRawBufferPointer,
        number: Int,
        element: ElementType,
        dim: Int,
        metric: Metric,
        what: String,
        rules: ValueRules = .accepted
    ) -> OmenError? {
        let largest = largestMagnitudeBits(bytes, dim: dim, element: element)
        if largest > magnitudeMax.bitPattern {
            let bad = firstBadElement(bytes, dim: dim)
            return OmenError(
                .badRequest,
                "\(what) \(number) element \(bad.index) is \(bad.value), expected a finite number of magnitude at most \(magnitudeMax)"
            )
        }
        guard largest < magnitudeMin.bitPattern else { return nil }
        guard largest > 0 else {
            guard metric == .cosine else { return nil }
            return OmenError(
                .badRequest,
                "\(what) \(number) is zero, which has no direction for metric cosine"
            )
        }
        guard rules == .accepted else { return nil }
        let (index, value) = largestElement(bytes, dim: dim)
        return OmenError(
            .badRequest,
            "\(what) \(number) is nearly zero: its largest element \(index) is \(value), expected a magnitude of at least \(magnitudeMin), or zeros only"
        )
    }

    /// Bits of the largest |element|; bit patterns of non-negative floats order as the floats do,
    /// with infinities and NaNs above all finite values.
    ///
    /// Several elements at once: every vector that comes in is looked at two or three times.
    @inline(__always)
    private static func largestMagnitudeBits(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int,
        element: ElementType
    ) -> UInt32 {
        guard let base = bytes.baseAddress else { return 0 }
        var index = 0
        switch element {
        case .f32:
            var largest = SIMD8<Int32>.zero
            while index + 8 <= dim {
                let next = (base + index * 4).loadUnaligned(as: SIMD8<Int32>.self)
                let bits = next & SIMD8(repeating: .max)
                largest.replace(with: bits, where: bits .> largest)
                index += 8
            }
            var most = largest.max()
            while index < dim {
                most = max(most, (base + index * 4).loadUnaligned(as: Int32.self) & .max)
                index += 1
            }
            return UInt32(bitPattern: most)
        case .u8:
            var largest = SIMD16<UInt8>.zero
            while index + 16 <= dim {
                let next = (base + index).loadUnaligned(as: SIMD16<UInt8>.self)
                largest.replace(with: next, where: next .> largest)
                index += 16
            }
            var most = largest.max()
            while index < dim {
                most = max(most, bytes[index])
                index += 1
            }
            return Float(most).bitPattern
        }
    }

    /// The first element of the largest magnitude, of finite f32.
    private static func largestElement(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int
    ) -> (index: Int, value: Float) {
        var largest: (index: Int, value: Float) = (0, 0)
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            if value.magnitude > largest.value.magnitude { largest = (index, value) }
        }
        return largest
    }

    private static func firstBadElement(
        _ bytes: UnsafeRawBufferPointer,
        dim: Int
    ) -> (index: Int, value: Float) {
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            if !(value.magnitude <= magnitudeMax) { return (index, value) }
        }
        return (0, .nan)
    }

    /// What is wrong with the row of f32 that `bytes` begins with where u8 is stored.
    ///
    /// - Precondition: `bytes` holds `dim` elements.
    /// - Returns: A `.badRequest` naming the first element that no `u8` holds; nil if all fit.
    package static func wholeFailure(
        _ bytes: UnsafeRawBufferPointer,
        number: Int,
        dim: Int,
        what: String = "vector"
    ) -> OmenError? {
        for index in 0..<dim {
            let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            guard UInt8(exactly: value) == nil else { continue }
            return OmenError(
                .badRequest,
                "\(what) \(number) element \(index) is \(value), the collection stores u8: whole numbers 0...255"
            )
        }
        return nil
    }

    /// Converts whole numbers 0...255 given as f32 into u8, or u8 into f32; the first row has the
    /// number `firstRow` in errors, which call it `what`.
    ///
    /// - Throws: `.badRequest` naming the first element a `u8` cannot hold.
    package static func convert(
        _ vectors: [UInt8],
        from source: ElementType,
        to target: ElementType,
        dim: Int,
        what: String = "vector",
        firstRow: Int = 0
    ) throws(OmenError) -> [UInt8] {
        switch (source, target) {
        case (.f32, .f32), (.u8, .u8): return vectors
        case (.u8, .f32):
            return [UInt8](unsafeUninitializedCapacity: vectors.count * 4) { target, count in
                let raw = UnsafeMutableRawBufferPointer(target)
                for (index, value) in vectors.enumerated() {
                    raw.storeBytes(of: Float(value), toByteOffset: index * 4, as: Float.self)
                }
                count = vectors.count * 4
            }
        case (.f32, .u8):
            let elementCount = vectors.count / 4
            var misfit: Int?
            let converted = [UInt8](unsafeUninitializedCapacity: elementCount) { target, count in
                vectors.withUnsafeBytes { bytes in
                    for index in 0..<elementCount {
                        let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                        guard let whole = UInt8(exactly: value) else {
                            misfit = index
                            break
                        }
                        target[index] = whole
                    }
                }
                count = misfit == nil ? elementCount : 0
            }
            if let misfit {
                let row = misfit / dim
                let error = vectors.withUnsafeBytes { bytes in
                    wholeFailure(
                        UnsafeRawBufferPointer(rebasing: bytes[(row * dim * 4)...]),
                        number: firstRow + row,
                        dim: dim,
                        what: what
                    )
                }
                if let error { throw error }
            }
            return converted
        }
    }
}

/// Vectors that came in for a collection, less their bytes: what is checked, and what they are
/// called in errors.
struct GivenRows {
    var collection: String
    /// Type of their elements.
    var element: ElementType
    var dim: Int
    var count: Int
    /// What one of them is called.
    var what: String
    /// The number of the first one.
    var firstRow = 0

    /// - Throws: `.badRequest` for another dimension than the collection's, or another number of
    ///   bytes.
    func checkShape(_ vectors: [UInt8], _ schema: CollectionSchema) throws(OmenError) {
        guard dim == schema.dim else {
            throw OmenError(
                .badRequest,
                "vectors have \(dim) dimensions, collection \(collection) has \(schema.dim)"
            )
        }
        let expected = count * dim * element.byteCount
        guard vectors.count == expected else {
            throw OmenError(.badRequest, "\(vectors.count) bytes of vectors, expected \(expected)")
        }
    }

    /// - Throws: `.badRequest` naming the row, the element and its value.
    func check(
        _ vectors: [UInt8],
        _ schema: CollectionSchema,
        _ rules: ValueRules
    ) throws(OmenError) {
        try VectorValidation.check(
            vectors,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: what,
            firstRow: firstRow,
            rules: rules
        )
    }

    /// The elements as the collection stores them.
    ///
    /// - Throws: `.badRequest` naming the first element that it does not store.
    func converted(
        _ vectors: [UInt8],
        _ schema: CollectionSchema
    ) throws(OmenError) -> [UInt8] {
        try VectorValidation.convert(
            vectors,
            from: element,
            to: schema.element,
            dim: dim,
            what: what,
            firstRow: firstRow
        )
    }
}

extension UpsertBatch {
    /// Checks everything that can be wrong with the batch and converts its elements to the
    /// collection's type; what it returns can be applied without failing.
    ///
    /// - Parameters:
    ///   - schema: The collection's.
    ///   - firstRow: What errors call the first record.
    ///   - rules: Which values pass.
    /// - Returns: The batch with elements of the collection's type.
    /// - Throws: `.badRequest` naming the record and what was expected.
    /// - Complexity: O(bytes of the batch).
    package func validated(
        against schema: CollectionSchema,
        firstRow: Int = 0,
        rules: ValueRules = .accepted
    ) throws(OmenError) -> UpsertBatch {
        guard (1...Limits.batchCountMax).contains(ids.count) else {
            throw OmenError(
                .badRequest,
                "\(ids.count) vectors in one batch, expected 1...\(Limits.batchCountMax)"
            )
        }
        let rows = GivenRows(
            collection: collection,
            element: element,
            dim: dim,
            count: ids.count,
            what: "vector",
            firstRow: firstRow
        )
        try rows.checkShape(vectors, schema)
        for id in ids { try id.validate() }
        if checkedAgainst != schema {
            try rows.check(vectors, schema, rules)
            try validateMetadata(firstRow: firstRow, rules)
        }
        guard element != schema.element else { return self }
        var converted = self
        converted.vectors = try rows.converted(vectors, schema)
        converted.element = schema.element
        return converted
    }

    /// Checks the metadata of all records; the first one is called `firstRow`.
    package func validateMetadata(
        firstRow: Int,
        _ rules: ValueRules = .accepted
    ) throws(OmenError) {
        guard metadata.isEmpty || metadata.count == ids.count else {
            throw OmenError(
                .badRequest,
                "\(metadata.count) metadata objects for \(ids.count) vectors"
            )
        }
        for (index, object) in metadata.enumerated() where !object.isEmpty {
            guard object.count <= Limits.metadataByteCountMax else {
                throw OmenError(
                    .badRequest,
                    "metadata of vector \(firstRow + index) has \(object.count) bytes, expected at most \(Limits.metadataByteCountMax)"
                )
            }
            // Typed throws do not pass through `withUnsafeBytes` closures, so the result does.
            let failure = object.withUnsafeBytes { bytes -> OmenError? in
                do throws(OmenError) {
                    try JSONText.validateObject(bytes, rules)
                    return nil
                } catch { return error }
            }
            if let failure {
                throw OmenError(failure.code, "vector \(firstRow + index): \(failure.message)")
            }
        }
    }

    /// The rows at `indices`, in that order.
    package func selecting(_ indices: [Int]) -> UpsertBatch {
        let rowByteCount = dim * element.byteCount
        var rows: [UInt8] = []
        rows.reserveCapacity(indices.count * rowByteCount)
        for index in indices {
            rows.append(contentsOf: vectors[index * rowByteCount..<(index + 1) * rowByteCount])
        }
        return UpsertBatch(
            collection: collection,
            element: element,
            dim: dim,
            ids: indices.map { ids[$0] },
            vectors: rows,
            metadata: metadata.isEmpty ? [] : indices.map { metadata[$0] }
        )
    }

    /// Whether every id is a number above the one before it, as the ids of most large batches are.
    private var hasAscendingNumbers: Bool {
        var least: UInt64 = 0
        for index in ids.indices {
            guard case .number(let number) = ids[index], number >= least, number < .max else {
                return false
            }
            least = number + 1
        }
        return true
    }

    /// The batch without rows whose id comes again later: the last of equal ids wins.
    package func keepingLastOfEqualIDs() -> UpsertBatch {
        if hasAscendingNumbers { return self }
        var seen = Set<RecordID>(minimumCapacity: ids.count)
        var kept: [Int] = []
        for index in ids.indices.reversed() where seen.insert(ids[index]).inserted {
            kept.append(index)
        }
        return kept.count == ids.count ? self : selecting(kept.reversed())
    }
}

extension SearchRequest {
    /// Checks the dimension and the values of a request that is valid in itself.
    ///
    /// - Throws: `.badRequest` naming the query and what is wrong with it.
    package func validateVectors(against schema: CollectionSchema) throws(OmenError) {
        try validateDim(schema)
        try VectorValidation.check(
            vectors,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: "query"
        )
    }

    /// The same for the options and one vector that lies elsewhere.
    package func validate(
        _ vector: UnsafeRawPointer,
        against schema: CollectionSchema
    ) throws(OmenError) {
        try validateOptions()
        try validateDim(schema)
        let failure = VectorValidation.failure(
            UnsafeRawBufferPointer(start: vector, count: dim * element.byteCount),
            number: 0,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: "query"
        )
        if let failure { throw failure }
    }

    private func validateDim(_ schema: CollectionSchema) throws(OmenError) {
        guard dim == schema.dim else {
            throw OmenError(
                .badRequest,
                "queries have \(dim) dimensions, collection \(collection) has \(schema.dim)"
            )
        }
    }
}
