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
