package import OmenCore

/// The nearest records of each query.
package struct SearchReply: Sendable {
    /// Element type of the hits' vectors.
    package var element: ElementType
    /// Hits of each query; shape `[queryCount]`, they add up to `list.count`.
    package var hitCounts: [UInt32]
    /// All hits, query after query, each query's ascending.
    package var list: HitList
    /// The shards that answered: nearer hits of another may be missing.
    package var coverage: Coverage
    /// What the shards that answered decided, where the request asks for that; else empty.
    package var explanations: [ShardExplanation] = []

    /// A reply with hits in any form.
    ///
    /// - Parameters:
    ///   - element: As the property.
    ///   - hitCounts: As the property.
    ///   - list: As the property.
    ///   - coverage: As the property.
    package init(element: ElementType, hitCounts: [UInt32], list: HitList, coverage: Coverage) {
        self.element = element
        self.hitCounts = hitCounts
        self.list = list
        self.coverage = coverage
    }

    /// A reply with hits one by one.
    ///
    /// - Parameters:
    ///   - element: As the property.
    ///   - hitCounts: As the property.
    ///   - hits: All hits, query after query, each query's ascending.
    ///   - coverage: As the property.
    package init(element: ElementType, hitCounts: [UInt32], hits: [Hit], coverage: Coverage) {
        self.init(element: element, hitCounts: hitCounts, list: .full(hits), coverage: coverage)
    }

    /// `list` one by one.
    ///
    /// - Complexity: O(hits): ask once, not once for each query.
    package var hits: [Hit] {
        get { list.array }
        set { list = .full(newValue) }
    }
}

extension SearchReply: Equatable {
    /// Compares what the hits are, not how they are kept.
    package static func == (left: SearchReply, right: SearchReply) -> Bool {
        left.element == right.element && left.hitCounts == right.hitCounts
            && left.coverage == right.coverage && left.hits == right.hits
            && left.explanations == right.explanations
    }
}
