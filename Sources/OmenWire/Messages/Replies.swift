package import OmenCore

/// What a write did.
package struct WriteReply: Equatable, Sendable {
    /// Sums over the shards that applied their part.
    package var counts: WriteCounts
    /// The shards that the counts speak for; a worker reports 1 of 1.
    package var coverage: Coverage

    /// A reply to a write.
    ///
    /// - Parameters:
    ///   - counts: As the property.
    ///   - coverage: As the property.
    package init(counts: WriteCounts, coverage: Coverage) {
        self.counts = counts
        self.coverage = coverage
    }
}

/// Found records in the order of the request; ids that are not there are left out.
package struct RecordsReply: Equatable, Sendable {
    /// Type of the elements of the vectors.
    package var element: ElementType
    /// At most `Limits.batchCountMax`.
    package var records: [Record]
    /// The shards that answered: a record of another may be missing.
    package var coverage: Coverage

    /// A reply to a get.
    ///
    /// - Parameters:
    ///   - element: As the property.
    ///   - records: As the property.
    ///   - coverage: As the property.
    package init(element: ElementType, records: [Record], coverage: Coverage) {
        self.element = element
        self.records = records
        self.coverage = coverage
    }
}

/// How many records a collection has.
package struct CountReply: Equatable, Sendable {
    /// Sum over the shards that answered.
    package var count: UInt64
    /// The shards that the count speaks for.
    package var coverage: Coverage

    /// A reply to a count.
    ///
    /// - Parameters:
    ///   - count: As the property.
    ///   - coverage: As the property.
    package init(count: UInt64, coverage: Coverage) {
        self.count = count
        self.coverage = coverage
    }
}

/// A page of ids.
package struct ListReply: Equatable, Sendable {
    /// Names the order of the records; it changes when a shard is opened or built again, and then a
    /// list has to begin again.
    package var order: UInt64
    /// Where the next page begins; 0 when this is the last one.
    package var next: UInt64
    /// The ids of the page; there may be none although others follow.
    package var ids: [RecordID]

    /// A reply to a request for one page.
    ///
    /// - Parameters:
    ///   - order: As the property.
    ///   - next: As the property.
    ///   - ids: As the property.
    package init(order: UInt64, next: UInt64, ids: [RecordID]) {
        self.order = order
        self.next = next
        self.ids = ids
    }
}
