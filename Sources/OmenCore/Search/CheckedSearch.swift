/// A search that was found right for a collection of one schema.
///
/// Only validation makes one, and taking over an order that a coordinator has written about a
/// search which it validated (`ShardOrder`). So a function that takes a `CheckedSearch` need not
/// look at options or values again; it compares the schema with that of the collection.
package struct CheckedSearch: Equatable, Sendable {
    /// What was asked.
    package private(set) var request: SearchRequest
    /// What the request was checked against.
    package let schema: CollectionSchema

    fileprivate init(_ request: SearchRequest, _ schema: CollectionSchema) {
        self.request = request
        self.schema = schema
    }

    /// Takes over a search that another process of the cluster has checked.
    ///
    /// - Parameters:
    ///   - request: As it was decoded, which has checked its shape.
    ///   - schema: What the other process checked it against.
    /// - Throws: `.protocolViolation` when the queries do not have the schema's dimension.
    init(ordered request: SearchRequest, _ schema: CollectionSchema) throws(OmenError) {
        guard request.dim == schema.dim else {
            throw OmenError(
                .protocolViolation,
                "queries of \(request.dim) dimensions were checked as \(schema.dim)"
            )
        }
        self.init(request, schema)
    }

    /// Makes sure that the search is still right for its collection.
    ///
    /// - Parameter current: The schema that the collection has now.
    /// - Throws: `.unavailable` when the collection was made again with another schema after the
    ///   search was checked.
    package func check(_ current: CollectionSchema) throws(OmenError) {
        guard current == schema else { throw .madeAgain(request.collection, current) }
    }

    /// The same search with its one vector in it.
    ///
    /// - Parameter vector: The `dim` elements that were checked, which are copied.
    /// - Returns: A search for this one query.
    package func carrying(_ vector: UnsafeRawPointer) -> CheckedSearch {
        CheckedSearch(request.carrying(vector), schema)
    }

    /// Shortens or lengthens the wait for the answer.
    ///
    /// - Parameter milliseconds: As `SearchRequest.timeoutMilliseconds`.
    /// - Returns: The search with that wait.
    func answered(within milliseconds: UInt32) -> CheckedSearch {
        var search = self
        search.request.timeoutMilliseconds = milliseconds
        return search
    }
}

extension SearchRequest {
    /// Checks the dimension and the values of the queries; what it returns can be searched for
    /// without failing.
    ///
    /// - Precondition: The request has passed `validate`, as every request has that was decoded.
    /// - Parameter schema: The collection's.
    /// - Returns: The request with the schema that it is right for.
    /// - Throws: `.badRequest` naming the query and what is wrong with it.
    /// - Complexity: O(bytes of the queries).
    package func validated(against schema: CollectionSchema) throws(OmenError) -> CheckedSearch {
        try checkDim(schema)
        try VectorValidation.check(
            vectors,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: "query"
        )
        return CheckedSearch(self, schema)
    }

    /// Checks a request for one vector that lies elsewhere.
    ///
    /// - Parameters:
    ///   - vector: `dim` elements, in place of the request's `count` and `vectors`.
    ///   - schema: The collection's.
    /// - Returns: The request with the schema that it is right for.
    /// - Throws: `.badRequest` naming what is wrong with the options or the vector.
    /// - Complexity: O(dim).
    package func validated(
        _ vector: UnsafeRawPointer,
        against schema: CollectionSchema
    ) throws(OmenError) -> CheckedSearch {
        try validateOptions()
        try checkDim(schema)
        let failure = VectorValidation.failure(
            UnsafeRawBufferPointer(start: vector, count: dim * element.byteCount),
            number: 0,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: "query"
        )
        if let failure { throw failure }
        return CheckedSearch(self, schema)
    }

    private func checkDim(_ schema: CollectionSchema) throws(OmenError) {
        guard dim == schema.dim else {
            throw OmenError(
                .badRequest,
                "queries have \(dim) dimensions, collection \(collection) has \(schema.dim)"
            )
        }
    }
}
