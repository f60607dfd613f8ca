/// What a client asks: one or more queries with common options.
package struct SearchRequest: Equatable, Sendable {
    package var collection: String
    /// Type of every element in `vectors`.
    package var element: ElementType
    package var dim: Int
    /// Little-endian elements, query after query; shape `[count][dim]`.
    package var vectors: [UInt8]
    /// Number of queries, `1...Limits.queryCountMax`.
    package var count: Int
    /// Hits wanted per query, `1...Limits.limitMax`.
    package var limit: Int
    /// How much the search may cost for what it finds, in all shards together.
    package var effort = SearchEffort.standard
    /// Hits farther than this are left out; infinity keeps all.
    package var maxDistance: Float = .infinity
    package var withMetadata = false
    package var withVector = false
    /// When false, a missing shard makes the whole search fail.
    package var allowPartial = true
    /// Whether the answer tells what each shard decided and counted.
    package var explain = false
    /// Longest wait for the answer in milliseconds; 0 leaves it to the receiver.
    ///
    /// A shard that has not begun a query by then drops it.
    package var timeoutMilliseconds: UInt32 = 0

    package init(
        collection: String,
        element: ElementType,
        dim: Int,
        vectors: [UInt8],
        count: Int,
        limit: Int
    ) {
        self.collection = collection
        self.element = element
        self.dim = dim
        self.vectors = vectors
        self.count = count
        self.limit = limit
    }

    /// Checks what can be checked without the collection: limits and agreement.
    ///
    /// - Throws: `.badRequest` naming what is out of range.
    package func validate() throws(OmenError) {
        try validateLimits()
        let expected = count * dim * element.byteCount
        guard vectors.count == expected else {
            throw OmenError(
                .badRequest,
                "\(vectors.count) bytes of query vectors, expected \(expected)"
            )
        }
    }

    /// The same search for parts of the queries: `count` of them, as alike as can be.
    ///
    /// - Precondition: `count` is in `1...self.count`, and the query is valid.
    package func shares(_ count: Int) -> [SearchRequest] {
        let rowByteCount = dim * element.byteCount
        return (0..<count).map { index in
            let range = index * self.count / count..<(index + 1) * self.count / count
            var share = self
            share.count = range.count
            share.vectors = Array(
                vectors[range.lowerBound * rowByteCount..<range.upperBound * rowByteCount]
            )
            return share
        }
    }

    /// Checks everything except the vectors, so that their bytes can be counted.
    ///
    /// - Throws: `.badRequest` naming what is out of range.
    package func validateLimits() throws(OmenError) {
        guard (1...Limits.queryCountMax).contains(count) else {
            throw OmenError(.badRequest, "\(count) queries, expected 1...\(Limits.queryCountMax)")
        }
        try validateOptions()
    }

    /// Checks everything except the vectors and their number.
    func validateOptions() throws(OmenError) {
        guard (1...Limits.limitMax).contains(limit) else {
            throw OmenError(.badRequest, "limit is \(limit), expected 1...\(Limits.limitMax)")
        }
        try effort.validate()
        guard !maxDistance.isNaN else {
            throw OmenError(.badRequest, "max_distance is not a number")
        }
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
    }
}
