/// A sample of queries that was found right for a collection of one schema, with elements as that
/// stores them; the counterpart of `CheckedBatch`.
package struct CheckedSample: Equatable, Sendable {
    /// At most `Limits.sampleCountKept` queries.
    package let sample: QuerySample
    /// What the sample was checked against.
    package let schema: CollectionSchema

    fileprivate init(_ sample: QuerySample, _ schema: CollectionSchema) {
        self.sample = sample
        self.schema = schema
    }

    /// Takes over a sample that another process of the cluster has checked.
    ///
    /// - Parameters:
    ///   - sample: As it was decoded, which has checked its structure.
    ///   - schema: What the other process checked it against.
    /// - Throws: `.protocolViolation` when the sample does not have the schema's shape.
    init(ordered sample: QuerySample, _ schema: CollectionSchema) throws(OmenError) {
        let hasShape = sample.vectors.isEmpty || sample.dim == schema.dim
        guard hasShape, sample.element == schema.element else {
            throw OmenError(
                .protocolViolation,
                "queries of \(sample.dim) \(sample.element) were checked as \(schema.dim) \(schema.element)"
            )
        }
        var sample = sample
        sample.dim = schema.dim
        self.init(sample, schema)
    }
}

extension QuerySample {
    /// Checks everything that can be wrong with the sample, converts its elements to the
    /// collection's type, and keeps `Limits.sampleCountKept` queries at most.
    ///
    /// - Parameters:
    ///   - schema: The collection's.
    ///   - rules: Which values pass.
    /// - Returns: At most `Limits.sampleCountKept` evenly spaced queries.
    /// - Throws: `.badRequest` naming the query, counted from 0, and what was expected.
    /// - Complexity: O(bytes of the sample).
    package func validated(
        against schema: CollectionSchema,
        rules: ValueRules = .accepted
    ) throws(OmenError) -> CheckedSample {
        try validateShape()
        var valid = self
        valid.element = schema.element
        valid.dim = schema.dim
        guard !vectors.isEmpty else { return CheckedSample(valid, schema) }
        let rows = GivenRows(
            collection: collection,
            element: element,
            dim: dim,
            count: count,
            what: "query"
        )
        try rows.checkShape(vectors, schema)
        try rows.check(vectors, schema, rules)
        valid.vectors = try rows.converted(vectors, schema)
        valid.keepSome()
        return CheckedSample(valid, schema)
    }

    private mutating func keepSome() {
        let all = count
        guard all > Limits.sampleCountKept else { return }
        let byteCount = dim * element.byteCount
        var kept: [UInt8] = []
        kept.reserveCapacity(Limits.sampleCountKept * byteCount)
        for place in 0..<Limits.sampleCountKept {
            let start = place * all / Limits.sampleCountKept * byteCount
            kept += vectors[start..<start + byteCount]
        }
        vectors = kept
    }
}
