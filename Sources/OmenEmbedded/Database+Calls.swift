internal import Glibc
package import OmenCore
package import OmenShard

// MARK: - Writing

extension Database {
    /// Carries out one write; on return it is visible, and as durable as the database is.
    ///
    /// An upsert that finds more vectors waiting to be linked than searches can bear waits until
    /// there are fewer.
    /// - Throws: `.badRequest` naming what is wrong, `.notFound`, `.alreadyExists`,
    ///   `.resourceExhausted` without memory or disk space: nothing was applied.
    /// - Complexity: O(bytes), and one sync where the durability asks for it.
    package func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
        while true {
            do throws(OmenError) {
                return try wait { engine, ticket in
                    let key = RequestKey(client: 0, sequence: 0)
                    engine.write(WriteRequest(key: key, operation: operation), ticket: ticket)
                }
            } catch {
                guard error.code == .resourceExhausted, try isCrowded() else { throw error }
                usleep(2000)
            }
        }
    }

    /// Whether as many vectors wait to be linked as may.
    private func isCrowded() throws(OmenError) -> Bool {
        try withEngine { engine throws(OmenError) in
            let load = engine.store.load
            return load.hotRowCount >= Limits.hotRowCountMax
                || load.hotByteCount >= Limits.hotByteCountMax
        }
    }

    /// Writes what changed into files from which opening is fast; nothing to do in memory.
    ///
    /// - Throws: `.resourceExhausted` on a full disk, `.ioFailure`.
    package func checkpoint() throws(OmenError) {
        _ = try wait { engine, ticket in engine.checkpoint(ticket: ticket) }
    }
}

// MARK: - Reading

extension Database {
    /// The nearest records to each query.
    ///
    /// - Returns: The element type of vectors, how many hits each query has, and the hits.
    /// - Throws: `.notFound`, `.badRequest`.
    /// - Complexity: As `ef` or `recall` ask for: O(ef * m * dim) per query, or O(rows * dim).
    package func search(
        _ query: SearchQuery
    ) throws(OmenError) -> (element: ElementType, counts: [UInt32], hits: HitList) {
        try query.validate()
        var planned = query
        let plan = SearchPlan(
            k: query.k,
            ef: query.ef,
            recall: query.recall,
            exact: query.exact,
            shardCount: 1,
            largestShare: 1
        )
        planned.ef = plan.ef
        if query.recall > 0 { planned.shardCount = 1 }
        owner.lock()
        defer { owner.unlock() }
        try checkOpen()
        var search = try engine.store.beginSearch(planned)
        while !search.isFinished {
            try search.step()
            if !search.isFinished { owner.yield() }
        }
        return search.answer
    }

    /// The stored records of those ids that are there, in the order of `ids`, and the element type
    /// of their vectors.
    ///
    /// - Throws: `.notFound` for the collection, `.resourceExhausted` beyond 64 MiB.
    package func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> (
        element: ElementType,
        records: [(id: RecordID, metadata: [UInt8]?, vector: [UInt8]?)]
    ) {
        try withEngine { engine throws(OmenError) in
            let records = try engine.store.records(ids, in: collection, withVector: withVector)
            return (try engine.store.collection(collection).schema.element, records)
        }
    }

    /// All records, oldest row first, and the memory that their vectors lie in, which stays as it
    /// is while the result lives.
    ///
    /// - Throws: `.notFound`.
    /// - Complexity: O(rows).
    package func list(_ collection: String) throws(OmenError) -> StoredRecords {
        try withEngine { engine throws(OmenError) in
            try engine.store.collection(collection).storedRecords
        }
    }

    /// - Throws: `.notFound`.
    package func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        try withEngine { engine throws(OmenError) in
            try engine.store.collection(collection).schema
        }
    }

    /// Records in a collection.
    ///
    /// - Throws: `.notFound`.
    package func count(_ collection: String) throws(OmenError) -> Int {
        try withEngine { engine throws(OmenError) in
            try engine.store.collection(collection).vectorCount
        }
    }

    /// Every collection, in the order of creation.
    package func collections() throws(OmenError) -> [CollectionCounts] {
        try withEngine { engine throws(OmenError) in
            engine.store.ordered.map { collection in
                var counts = CollectionCounts(collection.name, collection.schema)
                counts.vectorCount = collection.vectorCount
                counts.linkedCount = collection.linkedCount
                counts.rowCount = collection.rowCount
                counts.deletedCount = collection.deletedCount
                counts.fileByteCount = collection.fileByteCount
                counts.buildPermille = engine.rebuildPermille(of: collection)
                return counts
            }
        }
    }
}

/// What a collection has at one moment.
package struct CollectionCounts: Sendable {
    package var name: String
    package var schema: CollectionSchema
    /// Records a search can return.
    package var vectorCount = 0
    /// Rows in the graph, dead ones included; the others are compared one by one.
    package var linkedCount = 0
    /// Rows in all, dead ones included.
    package var rowCount = 0
    /// Dead rows that are not reclaimed yet.
    package var deletedCount = 0
    /// Bytes of the newest file; 0 before the first checkpoint and in memory.
    package var fileByteCount = 0
    /// Thousandths done of a new index; nil when none is built.
    package var buildPermille: Int?

    package init(_ name: String, _ schema: CollectionSchema) {
        self.name = name
        self.schema = schema
    }
}
