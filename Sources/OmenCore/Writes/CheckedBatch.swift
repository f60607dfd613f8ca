/// A batch that was found right for a collection of one schema, with elements as that stores them.
///
/// Only validation makes one, and reading an order that a coordinator has written about a batch
/// which it validated (`ShardWrite`). So a function that takes a `CheckedBatch` need not look at
/// values or metadata again; it compares the schema with that of the collection.
package struct CheckedBatch: Equatable, Sendable {
    /// The batch; its elements are of the type that the schema names.
    package let batch: UpsertBatch
    /// What the batch was checked against.
    package let schema: CollectionSchema

    fileprivate init(_ batch: UpsertBatch, _ schema: CollectionSchema) {
        self.batch = batch
        self.schema = schema
    }

    /// Takes over a batch that another process of the cluster has checked.
    ///
    /// - Parameters:
    ///   - batch: As it was decoded, which has checked its structure.
    ///   - schema: What the other process checked it against.
    /// - Throws: `.protocolViolation` when the batch does not have the schema's shape.
    init(ordered batch: UpsertBatch, _ schema: CollectionSchema) throws(OmenError) {
        guard batch.dim == schema.dim, batch.element == schema.element else {
            throw OmenError(
                .protocolViolation,
                "vectors of \(batch.dim) \(batch.element) were checked as \(schema.dim) \(schema.element)"
            )
        }
        self.init(batch, schema)
    }

    /// Some of the rows.
    ///
    /// - Parameter indices: Which ones, in the order wanted.
    /// - Returns: A batch that is as right as the whole one.
    package func selecting(_ indices: [Int]) -> CheckedBatch {
        CheckedBatch(batch.selecting(indices), schema)
    }

    /// The batch without rows whose id comes again later: the last of equal ids wins.
    package func keepingLastOfEqualIDs() -> CheckedBatch {
        CheckedBatch(batch.keepingLastOfEqualIDs(), schema)
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
    ) throws(OmenError) -> CheckedBatch {
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
        try rows.check(vectors, schema, rules)
        try validateMetadata(firstRow: firstRow, rules)
        guard element != schema.element else { return CheckedBatch(self, schema) }
        var converted = self
        converted.vectors = try rows.converted(vectors, schema)
        converted.element = schema.element
        return CheckedBatch(converted, schema)
    }
}
