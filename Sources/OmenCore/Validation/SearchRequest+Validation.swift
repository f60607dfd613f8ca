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
