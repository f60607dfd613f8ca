/// Everything that changes stored data; what the log holds and replay repeats.
package enum WriteOperation: Equatable, Sendable {
    /// Existing collections with the same schema are left alone; with another it is an error.
    case createCollection(name: String, schema: CollectionSchema)
    case dropCollection(name: String)
    /// Removes every record, keeps the collection.
    case clearCollection(name: String)
    case upsert(UpsertBatch)
    /// Ids that are not there are skipped.
    case delete(collection: String, ids: [RecordID])
    /// Searches are calibrated with these queries from now on.
    case calibrate(QuerySample)
}

extension WriteOperation {
    /// Name of the collection that it changes.
    package var collection: String {
        switch self {
        case .createCollection(let name, _), .dropCollection(let name), .clearCollection(let name),
            .delete(let name, _):
            name
        case .upsert(let batch): batch.collection
        case .calibrate(let sample): sample.collection
        }
    }
}
