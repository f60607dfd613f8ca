/// The hits of a search for one vector whose caller brings memory for them.
package enum SingleSearchAnswer: Sendable {
    /// They are in the caller's columns, as many as this.
    case filled(Int)
    /// Columns cannot hold them, or another process found them: the caller's stay as they were.
    case found(FoundHits)
}

extension SearchRequest {
    /// The same search with its vector in it, for doors that take no other.
    ///
    /// - Parameter vector: `dim` elements, which are copied.
    /// - Returns: A request for this one query.
    package func carrying(_ vector: UnsafeRawPointer) -> SearchRequest {
        var request = self
        request.count = 1
        request.vectors = Array(
            UnsafeRawBufferPointer(start: vector, count: dim * element.byteCount)
        )
        return request
    }
}
