extension WriteOperation: ByteEncodable {
    /// The numbers that lead each encoded operation, on the wire and in the log: never renumber.
    private enum OperationKind: UInt8 {
        case createCollection = 1
        case dropCollection = 2
        case clearCollection = 3
        case upsert = 4
        case delete = 5
        case calibrate = 6
    }

    /// Appends the operation's bytes; `docs/PROTOCOL.md` ("Write operations") draws the layout.
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .createCollection(let name, let schema):
            writer.write(OperationKind.createCollection.rawValue)
            writer.write(name)
            schema.encode(into: &writer)
        case .dropCollection(let name):
            writer.write(OperationKind.dropCollection.rawValue)
            writer.write(name)
        case .clearCollection(let name):
            writer.write(OperationKind.clearCollection.rawValue)
            writer.write(name)
        case .upsert(let batch):
            writer.write(OperationKind.upsert.rawValue)
            batch.encode(into: &writer)
        case .delete(let collection, let ids):
            writer.write(OperationKind.delete.rawValue)
            writer.write(collection)
            RecordID.encode(ids, into: &writer)
        case .calibrate(let sample):
            writer.write(OperationKind.calibrate.rawValue)
            sample.encode(into: &writer)
        }
    }

    /// Reads one operation; checks structure and limits, not whether the collection exists.
    package init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(UInt8.self)
        guard let kind = OperationKind(rawValue: number) else {
            throw OmenError(
                .badRequest,
                "write operation \(number) is unknown, expected 1...\(OperationKind.calibrate.rawValue)"
            )
        }
        switch kind {
        case .createCollection:
            let name = try reader.readCollectionName()
            self = .createCollection(name: name, schema: try CollectionSchema(from: &reader))
        case .dropCollection: self = .dropCollection(name: try reader.readCollectionName())
        case .clearCollection: self = .clearCollection(name: try reader.readCollectionName())
        case .upsert: self = .upsert(try UpsertBatch(from: &reader))
        case .delete:
            let name = try reader.readCollectionName()
            let ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
            self = .delete(collection: name, ids: ids)
        case .calibrate: self = .calibrate(try QuerySample(from: &reader))
        }
    }
}
