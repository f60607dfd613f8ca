/// How much a search may cost for what it finds.
package enum SearchEffort: Equatable, Sendable {
    /// The width that is usual.
    case standard
    /// Candidates kept while the graph is walked, in all shards together; `1...Limits.efMax`.
    case ef(Int)
    /// The share of the nearest rows that is to be found, above 0 and below 1.
    case recall(Float)
    /// Every row is compared.
    case exact

    /// The effort that options name; zeros stand for options that are not given.
    ///
    /// Where every row is compared, a width or a recall changes nothing.
    /// - Throws: `.badRequest` when both are given, or one is out of range.
    package init(ef: Int, recall: Float, exact: Bool) throws(OmenError) {
        try Self.validate(ef: ef)
        try Self.validate(recall: recall)
        guard ef == 0 || recall == 0 else {
            throw OmenError(.badRequest, "ef and recall are both given, expected one of them")
        }
        self = exact ? .exact : ef > 0 ? .ef(ef) : recall > 0 ? .recall(recall) : .standard
    }

    /// - Throws: `.badRequest` naming what is out of range.
    package func validate() throws(OmenError) {
        switch self {
        case .standard, .exact: break
        case .ef(let ef):
            try Self.validate(ef: ef)
            guard ef > 0 else {
                throw OmenError(.badRequest, "ef is 0, expected 1...\(Limits.efMax)")
            }
        case .recall(let recall): try Self.validate(recall: recall)
        }
    }

    private static func validate(ef: Int) throws(OmenError) {
        guard (0...Limits.efMax).contains(ef) else {
            throw OmenError(.badRequest, "ef is \(ef), expected 1...\(Limits.efMax)")
        }
    }

    private static func validate(recall: Float) throws(OmenError) {
        guard recall == 0 || (recall > 0 && recall < 1) else {
            throw OmenError(.badRequest, "recall is \(recall), expected above 0 and below 1")
        }
    }
}
