/// A write whose values were looked at: what shards accept, log and apply.
///
/// Its cases are those of `WriteOperation`; vectors come with the schema that they are right for.
package enum CheckedOperation: Equatable, Sendable {
    /// Existing collections with the same schema are left alone; with another it is an error.
    case createCollection(name: String, schema: CollectionSchema)
    case dropCollection(name: String)
    /// Removes every record, keeps the collection.
    case clearCollection(name: String)
    case upsert(CheckedBatch)
    /// Ids that are not there are skipped.
    case delete(collection: String, ids: [RecordID])
    /// Searches are calibrated with these queries from now on.
    case calibrate(CheckedSample)

    /// The write as the log holds it, which does not tell what was checked.
    package var operation: WriteOperation {
        switch self {
        case .createCollection(let name, let schema): .createCollection(name: name, schema: schema)
        case .dropCollection(let name): .dropCollection(name: name)
        case .clearCollection(let name): .clearCollection(name: name)
        case .upsert(let checked): .upsert(checked.batch)
        case .delete(let collection, let ids): .delete(collection: collection, ids: ids)
        case .calibrate(let checked): .calibrate(checked.sample)
        }
    }

    /// The schema that its vectors were checked against; nil when it has no vectors.
    package var schema: CollectionSchema? {
        switch self {
        case .upsert(let checked): checked.schema
        case .calibrate(let checked): checked.schema
        case .createCollection, .dropCollection, .clearCollection, .delete: nil
        }
    }

    /// Takes over a write that another process of the cluster has checked.
    ///
    /// - Parameters:
    ///   - operation: As it was decoded, which has checked its structure.
    ///   - schema: What the other process checked its vectors against; nil when it has none.
    /// - Throws: `.protocolViolation` when the schema is missing, is too much, or does not fit.
    init(ordered operation: WriteOperation, _ schema: CollectionSchema?) throws(OmenError) {
        switch (operation, schema) {
        case (.createCollection(let name, let new), nil):
            self = .createCollection(name: name, schema: new)
        case (.dropCollection(let name), nil): self = .dropCollection(name: name)
        case (.clearCollection(let name), nil): self = .clearCollection(name: name)
        case (.delete(let collection, let ids), nil):
            self = .delete(collection: collection, ids: ids)
        case (.upsert(let batch), let schema?):
            self = .upsert(try CheckedBatch(ordered: batch, schema))
        case (.calibrate(let sample), let schema?):
            self = .calibrate(try CheckedSample(ordered: sample, schema))
        case (.upsert, nil), (.calibrate, nil):
            throw OmenError(.protocolViolation, "vectors came without the schema they have")
        case (.createCollection, _), (.dropCollection, _), (.clearCollection, _), (.delete, _):
            throw OmenError(.protocolViolation, "a schema came without vectors")
        }
    }
}

extension WriteOperation {
    /// Checks everything that can be wrong with a write to collections of these schemas, and
    /// converts vectors to their collection's type.
    ///
    /// - Parameters:
    ///   - schemas: Of all collections there are.
    ///   - rules: Which values pass.
    /// - Returns: What can be applied, as long as the schemas stay.
    /// - Throws: `.badRequest` naming what is wrong, `.notFound`, `.alreadyExists`,
    ///   `.resourceExhausted` when there are too many collections.
    /// - Complexity: O(bytes of the write).
    package func validated(
        against schemas: [String: CollectionSchema],
        rules: ValueRules = .accepted
    ) throws(OmenError) -> CheckedOperation {
        let checked = try withCheckedValues(schemas, rules)
        try checked.checkSchema(in: schemas)
        return checked
    }

    private func withCheckedValues(
        _ schemas: [String: CollectionSchema],
        _ rules: ValueRules
    ) throws(OmenError) -> CheckedOperation {
        switch self {
        case .createCollection(let name, let schema):
            try CollectionName.validate(name)
            try schema.validate()
            return .createCollection(name: name, schema: schema)
        case .dropCollection(let name): return .dropCollection(name: name)
        case .clearCollection(let name): return .clearCollection(name: name)
        case .upsert(let batch):
            let schema = try schemas.schema(of: batch.collection)
            return .upsert(try batch.validated(against: schema, rules: rules))
        case .delete(let collection, let ids):
            guard ids.count <= Limits.batchCountMax else {
                throw OmenError(
                    .badRequest,
                    "\(ids.count) ids in one delete, expected at most \(Limits.batchCountMax)"
                )
            }
            for id in ids { try id.validate() }
            return .delete(collection: collection, ids: ids)
        case .calibrate(let sample):
            let schema = try schemas.schema(of: sample.collection)
            return .calibrate(try sample.validated(against: schema, rules: rules))
        }
    }
}

extension CheckedOperation {
    /// Checks what only the owner of the collections knows: whether they are what the write takes
    /// them for.
    ///
    /// - Parameter schemas: Of all collections there are.
    /// - Throws: `.notFound`, `.alreadyExists`; `.resourceExhausted` when there are too many
    ///   collections; `.unavailable` when the collection was made again with another schema after
    ///   the vectors were checked, so that they have to be checked again.
    /// - Complexity: O(1).
    package func checkSchema(in schemas: [String: CollectionSchema]) throws(OmenError) {
        switch self {
        case .createCollection(let name, let new):
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
        case .dropCollection(let name), .clearCollection(let name), .delete(let name, _):
            _ = try schemas.schema(of: name)
        case .upsert(let checked):
            try schemas.check(checked.schema, of: checked.batch.collection)
        case .calibrate(let checked):
            try schemas.check(checked.schema, of: checked.sample.collection)
        }
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

extension [String: CollectionSchema] {
    fileprivate func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        guard let schema = self[collection] else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return schema
    }

    fileprivate func check(
        _ checked: CollectionSchema,
        of collection: String
    ) throws(OmenError) {
        let schema = try schema(of: collection)
        guard schema == checked else { throw .madeAgain(collection, schema) }
    }
}

extension OmenError {
    /// Why an order cannot be carried out that was checked against an earlier collection.
    ///
    /// - Parameters:
    ///   - collection: The name that both collections have.
    ///   - schema: The schema of the one there is.
    /// - Returns: The error.
    static func madeAgain(_ collection: String, _ schema: CollectionSchema) -> OmenError {
        OmenError(
            .unavailable,
            "collection \(collection) was made again meanwhile, with another schema: \(schema)"
        )
    }
}
