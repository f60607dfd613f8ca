/// Hits of a search.
package struct FoundHits: Sendable {
    package var element: ElementType
    /// Hits of each query.
    package var counts: [UInt32]
    /// The hits of all queries, one query after the other.
    package var list: HitList
    package var coverage: Coverage
    /// What the shards that answered decided, where the request asks for that; else empty.
    package var explanations: [ShardExplanation] = []

    package init(element: ElementType, counts: [UInt32], list: HitList, coverage: Coverage) {
        self.element = element
        self.counts = counts
        self.list = list
        self.coverage = coverage
    }
}

/// Stored records.
package struct FoundRecords: Sendable {
    package var element: ElementType
    package var records: [Record]
    /// Where their vectors lie, if they are in this process and were not copied.
    package var places: RowPlaces?
    package var coverage: Coverage

    package init(
        element: ElementType,
        records: [Record],
        places: RowPlaces? = nil,
        coverage: Coverage
    ) {
        self.element = element
        self.records = records
        self.places = places
        self.coverage = coverage
    }
}

/// The ids of a collection, or of some of its records.
package struct ListedRecords: Sendable {
    package var schema: CollectionSchema
    package var ids: [RecordID]
    /// Where their vectors lie; nil when they are in other processes.
    package var places: RowPlaces?

    package init(schema: CollectionSchema, ids: [RecordID], places: RowPlaces? = nil) {
        self.schema = schema
        self.ids = ids
        self.places = places
    }
}

/// An open database: one in this process, or a running cluster.
///
/// Front ends are written against this protocol. All calls block, are safe on any thread, and end
/// early when the caller's `Stop` is due.
package protocol RecordStore: AnyObject, Sendable {
    /// - Throws: The first failure when a part of the shards did not write.
    func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts
    /// Stores a batch whose values the front end has checked already.
    ///
    /// - Throws: As `write`.
    func upsert(_ checked: CheckedBatch) throws(OmenError) -> WriteCounts
    /// Tells that the writes in `body` bring `count` records together, so that a build waits for
    /// all of them.
    func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError)
    /// Searches for all vectors of a query, on `threadCount` threads where this process searches.
    func search(_ query: SearchRequest, threadCount: Int) throws(OmenError) -> FoundHits
    /// Searches for one vector, into memory of the caller where its hits are numbers and distances.
    ///
    /// - Parameters:
    ///   - query: Its `count` and `vectors` are not looked at: there is one query.
    ///   - vector: `query.dim` elements, which nobody changes meanwhile.
    ///   - columns: Room for `query.limit` hits.
    /// - Returns: The hits, in the columns or by themselves.
    /// - Throws: As the other `search`.
    func search(
        _ query: SearchRequest,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> SingleSearchAnswer
    /// The records that are there, in the order of `ids`.
    func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords
    /// The records that are there, without vectors and with their places; nil when other processes
    /// have the vectors.
    func places(_ ids: [RecordID], in collection: String) throws(OmenError) -> FoundRecords?
    func list(_ collection: String) throws(OmenError) -> ListedRecords
    func collections() throws(OmenError) -> [CollectionStatus]
    func schema(of collection: String) throws(OmenError) -> CollectionSchema
    func count(_ collection: String) throws(OmenError) -> UInt64
    func checkpoint() throws(OmenError)
    func close() throws(OmenError)
}
