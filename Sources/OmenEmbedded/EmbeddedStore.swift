package import OmenCore

/// A database in this process.
package final class EmbeddedStore: RecordStore {
    private let database: Database
    private static let coverage = Coverage(shardsTotal: 1)

    package init(_ database: Database) { self.database = database }

    package func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
        try database.write(operation)
    }

    package func upsert(_ checked: CheckedBatch) throws(OmenError) -> WriteCounts {
        try database.upsert(checked)
    }

    package func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError) { try database.adding(count, to: collection, body) }

    package func search(_ query: SearchRequest, threadCount: Int) throws(OmenError) -> FoundHits {
        try database.search(query, threadCount: threadCount)
    }

    package func search(
        _ query: SearchRequest,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> SingleSearchAnswer {
        try database.search(query, vector, into: columns)
    }

    package func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords {
        let (element, records) = try database.records(ids, in: collection, withVector: withVector)
        return FoundRecords(element: element, records: records, coverage: Self.coverage)
    }

    package func places(
        _ ids: [RecordID],
        in collection: String
    ) throws(OmenError) -> FoundRecords? {
        let (stored, metadata) = try database.places(ids, in: collection)
        return FoundRecords(
            element: stored.schema.element,
            records: zip(stored.ids, metadata).map { Record(id: $0, metadata: $1, vector: nil) },
            places: stored.places,
            coverage: Self.coverage
        )
    }

    package func list(_ collection: String) throws(OmenError) -> ListedRecords {
        try database.list(collection)
    }

    package func collections() throws(OmenError) -> [CollectionStatus] {
        try database.collections()
    }

    package func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        try database.schema(of: collection)
    }

    package func count(_ collection: String) throws(OmenError) -> UInt64 {
        UInt64(try database.count(collection))
    }

    package func checkpoint() throws(OmenError) { try database.checkpoint() }
    package func close() throws(OmenError) { try database.close() }
}
