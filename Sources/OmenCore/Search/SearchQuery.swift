/// One or more queries with common options.
package struct SearchQuery: Equatable, Sendable {
    package var collection: String
    /// Type of every element in `vectors`.
    package var element: ElementType
    package var dim: Int
    /// Little-endian elements, query after query; shape `[count][dim]`.
    package var vectors: [UInt8]
    /// Number of queries, `1...Limits.queryCountMax`.
    package var count: Int
    /// Hits wanted per query, `1...Limits.kMax`.
    package var k: Int
    /// Candidate list width for the whole cluster; 0 means the default, or what `recall` asks for.
    package var ef: Int = 0
    /// Wanted recall, below 1; 0 means not given.
    ///
    /// `ef` and `recall` exclude each other, but from a coordinator; see `shardCount`.
    package var recall: Float = 0
    /// From a coordinator to a shard: among how many shards the collection is divided evenly.
    ///
    /// `recall` is then what all of them together shall reach, and `ef` the width for a shard that
    /// does not know better. 0 from everybody else.
    package var shardCount: UInt32 = 0
    /// Compare with every row instead of using the graph.
    package var exact = false
    /// Hits farther than this are left out; infinity keeps all.
    package var maxDistance: Float = .infinity
    package var withMetadata = false
    package var withVector = false
    /// When false, a missing shard makes the whole search fail.
    package var allowPartial = true
    /// Longest wait for the answer in milliseconds; 0 leaves it to the receiver.
    ///
    /// Whoever has not begun when it is over need not begin.
    package var timeoutMilliseconds: UInt32 = 0

    package init(
        collection: String,
        element: ElementType,
        dim: Int,
        vectors: [UInt8],
        count: Int,
        k: Int
    ) {
        self.collection = collection
        self.element = element
        self.dim = dim
        self.vectors = vectors
        self.count = count
        self.k = k
    }

    /// Checks what can be checked without the collection: limits and agreement.
    package func validate() throws(OmenError) {
        guard (1...Limits.queryCountMax).contains(count) else {
            throw OmenError(.badRequest, "\(count) queries, expected 1...\(Limits.queryCountMax)")
        }
        try validateOptions()
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
    package func shares(_ count: Int) -> [SearchQuery] {
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

    /// The same but for the vectors and their number.
    package func validateOptions() throws(OmenError) {
        guard (1...Limits.kMax).contains(k) else {
            throw OmenError(.badRequest, "k is \(k), expected 1...\(Limits.kMax)")
        }
        guard (0...Limits.efMax).contains(ef) else {
            throw OmenError(.badRequest, "ef is \(ef), expected 1...\(Limits.efMax)")
        }
        guard recall == 0 || (recall > 0 && recall < 1) else {
            throw OmenError(.badRequest, "recall is \(recall), expected above 0 and below 1")
        }
        guard ef == 0 || recall == 0 || shardCount > 0 else {
            throw OmenError(.badRequest, "ef and recall are both given, expected one of them")
        }
        guard !maxDistance.isNaN else {
            throw OmenError(.badRequest, "max_distance is not a number")
        }
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
    }
}
