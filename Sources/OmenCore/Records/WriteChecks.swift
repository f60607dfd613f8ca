extension WriteOperation {
    /// Checks everything that can be wrong with a write to collections of these schemas, and
    /// converts vectors to their collection's type; what it returns can be applied.
    ///
    /// - Parameters:
    ///   - schemas: Of all collections there are.
    ///   - rules: Which values pass.
    /// - Returns: The write with vectors of their collection's type.
    /// - Throws: `.badRequest` naming what is wrong, `.notFound`, `.alreadyExists`,
    ///   `.resourceExhausted` when there are too many collections.
    /// - Complexity: O(bytes of the write).
    package func validated(
        against schemas: [String: CollectionSchema],
        rules: ValueRules = .accepted
    ) throws(OmenError) -> WriteOperation {
        switch self {
        case .createCollection(let name, let new):
            try CollectionName.validate(name)
            try new.validate()
            if let old = schemas[name], old != new {
                throw OmenError(
                    .alreadyExists,
                    "collection \(name) exists with another schema: \(old)"
                )
            }
            guard schemas[name] != nil || schemas.count < Limits.collectionCountMax else {
                throw OmenError(
                    .resourceExhausted,
                    "there are \(schemas.count) collections, the most allowed"
                )
            }
            return self
        case .dropCollection(let name), .clearCollection(let name):
            _ = try Self.schema(of: name, in: schemas)
            return self
        case .upsert(let batch):
            let schema = try Self.schema(of: batch.collection, in: schemas)
            return .upsert(try batch.validated(against: schema, rules: rules))
        case .delete(let collection, let ids):
            _ = try Self.schema(of: collection, in: schemas)
            guard ids.count <= Limits.batchCountMax else {
                throw OmenError(
                    .badRequest,
                    "\(ids.count) ids in one delete, expected at most \(Limits.batchCountMax)"
                )
            }
            for id in ids { try id.validate() }
            return self
        case .calibrate(let sample):
            let schema = try Self.schema(of: sample.collection, in: schemas)
            return .calibrate(try sample.validated(against: schema, rules: rules))
        }
    }

    private static func schema(
        of collection: String,
        in schemas: [String: CollectionSchema]
    ) throws(OmenError) -> CollectionSchema {
        guard let schema = schemas[collection] else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return schema
    }

    /// Changes the schemas as the write does.
    package func change(_ schemas: inout [String: CollectionSchema]) {
        switch self {
        case .createCollection(let name, let schema): schemas[name] = schema
        case .dropCollection(let name): schemas[name] = nil
        case .clearCollection, .upsert, .delete, .calibrate: break
        }
    }
}

/// Checks the writes of a log in their order, without carrying them out.
///
/// Each was checked before it was logged, so one that cannot be applied is damage, or was made by
/// something else, although its checksum holds. Applying it all the same could end the process, now
/// and at every start.
package struct LoggedWrites {
    private var schemas: [String: CollectionSchema]

    /// Begins behind a checkpoint with collections of these schemas.
    package init(schemas: [String: CollectionSchema]) { self.schemas = schemas }

    /// Checks the next write.
    ///
    /// - Throws: `.corrupt` telling why it cannot be applied.
    /// - Complexity: O(bytes of the write).
    package mutating func check(_ operation: WriteOperation) throws(OmenError) {
        do throws(OmenError) {
            // Vectors are converted before they are logged.
            if let element = operation.element, let schema = schemas[operation.collection],
                element != schema.element
            {
                throw OmenError(
                    .corrupt,
                    "vectors of \(element), collection \(operation.collection) stores \(schema.element)"
                )
            }
            _ = try operation.validated(against: schemas, rules: .stored)
        } catch {
            throw OmenError(.corrupt, "the write cannot be applied: \(error.message)")
        }
        operation.change(&schemas)
    }
}

extension WriteOperation {
    /// Type of the vectors' elements; nil when it has no vectors.
    fileprivate var element: ElementType? {
        switch self {
        case .upsert(let batch): batch.element
        case .calibrate(let sample): sample.element
        case .createCollection, .dropCollection, .clearCollection, .delete: nil
        }
    }
}
