package import OmenCore

/// Asks for records by id.
package struct GetRequest: Equatable, Sendable {
    /// Name of the collection.
    package var collection: String
    /// At most `Limits.batchCountMax`; the records come in this order.
    package var ids: [RecordID]
    /// Whether the records come with their vectors.
    package var withVector: Bool

    /// A get.
    ///
    /// - Parameters:
    ///   - collection: As the property.
    ///   - ids: As the property.
    ///   - withVector: As the property.
    package init(collection: String, ids: [RecordID], withVector: Bool) {
        self.collection = collection
        self.ids = ids
        self.withVector = withVector
    }
}

/// Asks for the ids of one shard of a collection, a page at a time.
package struct ListRequest: Equatable, Sendable {
    /// Name of the collection.
    package var collection: String
    /// Number of the shard.
    package var shard: UInt32
    /// Where the last page ended; 0 for the first.
    package var start: UInt64
    /// The order that the last page was in; 0 for the first.
    package var order: UInt64

    /// A request for one page.
    ///
    /// - Parameters:
    ///   - collection: As the property.
    ///   - shard: As the property.
    ///   - start: As the property.
    ///   - order: As the property.
    package init(collection: String, shard: UInt32, start: UInt64 = 0, order: UInt64 = 0) {
        self.collection = collection
        self.shard = shard
        self.start = start
        self.order = order
    }
}
