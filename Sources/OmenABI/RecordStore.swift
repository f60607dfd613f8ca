internal import OmenClient
internal import OmenCore
internal import OmenEmbedded
internal import OmenShard
internal import OmenWire
internal import Synchronization

/// Hits of a search, and which shards they are missing from.
struct FoundHits {
    var element: ElementType
    var counts: [UInt32]
    var list: HitList
    var shardsTotal: UInt32 = 1
    var shardsFailed: UInt32 = 0
}

/// Stored records, and which shards they are missing from.
struct FoundRecords {
    typealias Record = (id: RecordID, metadata: [UInt8]?, vector: [UInt8]?)

    var element: ElementType
    var records: [Record]
    /// Where their vectors are, if they are in this process and were not copied.
    var place: (rows: [UInt32], vectors: StoredVectors)?
    var shardsTotal: UInt32 = 1
    var shardsFailed: UInt32 = 0
}

/// The ids of a collection, and where their vectors are in this process.
struct ListedRecords {
    var schema: CollectionSchema
    var ids: [RecordID]
    /// Nil when they are in other processes.
    var place: (rows: [UInt32], vectors: StoredVectors)?
}

/// What a handle stands for: a database in this process, or a connection to a cluster.
///
/// Safe on any thread.
protocol RecordStore: AnyObject, Sendable {
    func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts
    /// Tells that the writes in `body` bring `count` records together.
    func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError)
    func search(_ query: SearchQuery, threadCount: Int) throws(OmenError) -> FoundHits
    /// Searches for one vector, if its hits are sure to be numbers and distances; nil if not.
    func search(
        _ query: SearchQuery,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> Int?
    func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords
    /// The same without vectors but with where they are; nil when they are in other processes.
    func place(_ ids: [RecordID], in collection: String) throws(OmenError) -> FoundRecords?
    func list(_ collection: String) throws(OmenError) -> ListedRecords
    func collections() throws(OmenError) -> [CollectionCounts]
    func schema(of collection: String) throws(OmenError) -> CollectionSchema
    func count(_ collection: String) throws(OmenError) -> UInt64
    func checkpoint() throws(OmenError)
    func close() throws(OmenError)
}

/// A database in this process.
final class EmbeddedStore: RecordStore {
    private let database: Database

    init(_ database: Database) { self.database = database }

    func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
        try database.write(operation)
    }

    func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError) { try database.adding(count, to: collection, body) }

    func search(_ query: SearchQuery, threadCount: Int) throws(OmenError) -> FoundHits {
        let (element, counts, list) = try database.search(query, threadCount: threadCount)
        return FoundHits(element: element, counts: counts, list: list)
    }

    func search(
        _ query: SearchQuery,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> Int? { try database.search(query, vector, into: columns) }

    func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords {
        let (element, records) = try database.records(ids, in: collection, withVector: withVector)
        return FoundRecords(element: element, records: records)
    }

    func place(_ ids: [RecordID], in collection: String) throws(OmenError) -> FoundRecords? {
        let (stored, metadata) = try database.place(ids, in: collection)
        return FoundRecords(
            element: stored.schema.element,
            records: zip(stored.ids, metadata).map { ($0, $1, nil) },
            place: (stored.rows, stored.vectors)
        )
    }

    func list(_ collection: String) throws(OmenError) -> ListedRecords {
        let stored = try database.list(collection)
        return ListedRecords(
            schema: stored.schema,
            ids: stored.ids,
            place: (stored.rows, stored.vectors)
        )
    }

    func collections() throws(OmenError) -> [CollectionCounts] { try database.collections() }

    func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        try database.schema(of: collection)
    }

    func count(_ collection: String) throws(OmenError) -> UInt64 {
        UInt64(try database.count(collection))
    }

    func checkpoint() throws(OmenError) { try database.checkpoint() }
    func close() throws(OmenError) { try database.close() }
}

/// A running cluster, through as many connections as calls are made at once.
final class ClusterStore: RecordStore {
    /// A client that one thread has at a time.
    private struct Lent: @unchecked Sendable { var client: ClusterClient }
    private struct Pool: ~Copyable {
        var idle: [Lent] = []
        var isClosed = false
    }

    private let path: String
    private let pool = Mutex(Pool())

    /// - Throws: `.unavailable` when nobody listens at `path`.
    init(path: String) throws(OmenError) {
        self.path = path
        let first = Lent(client: try ClusterClient.connect(path: path))
        pool.withLock { $0.idle.append(first) }
    }

    private func withClient<Result>(
        _ body: (ClusterClient) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        let (lent, isClosed) = pool.withLock { ($0.idle.popLast(), $0.isClosed) }
        guard !isClosed else { throw OmenError(.unavailable, "the connection is closed") }
        let client: ClusterClient
        if let lent { client = lent.client } else { client = try ClusterClient.connect(path: path) }
        defer {
            let back = Lent(client: client)
            pool.withLock { if !$0.isClosed { $0.idle.append(back) } }
        }
        return try body(client)
    }

    func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
        let reply = try withClient { client throws(OmenError) in try client.write(operation) }
        // A write that some shards have and others have not must not look like a whole one.
        if let failure = reply.coverage.failures.first {
            throw OmenError(
                failure.error.code,
                "\(reply.coverage.failures.count) of \(reply.coverage.shardsTotal) shards did not write: shard \(failure.shard): \(failure.error.message)"
            )
        }
        return reply.counts
    }

    /// Other processes do not hear of it.
    func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError) { try body() }

    /// On the threads of the cluster's processes.
    func search(_ query: SearchQuery, threadCount: Int) throws(OmenError) -> FoundHits {
        let reply = try withClient { client throws(OmenError) in try client.search(query) }
        return FoundHits(
            element: reply.element,
            counts: reply.hitCounts,
            list: reply.list,
            shardsTotal: reply.coverage.shardsTotal,
            shardsFailed: UInt32(reply.coverage.failures.count)
        )
    }

    /// Never: an answer over a socket comes in memory of its own.
    func search(
        _ query: SearchQuery,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> Int? { nil }

    func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords {
        let reply = try withClient { client throws(OmenError) in
            try client.get(collection: collection, ids: ids, withVector: withVector)
        }
        return FoundRecords(
            element: reply.element,
            records: reply.records.map { ($0.id, $0.metadata, $0.vector) },
            shardsTotal: reply.coverage.shardsTotal,
            shardsFailed: UInt32(reply.coverage.failures.count)
        )
    }

    func place(_ ids: [RecordID], in collection: String) throws(OmenError) -> FoundRecords? { nil }

    func list(_ collection: String) throws(OmenError) -> ListedRecords {
        let schema = try schema(of: collection)
        let ids = try withClient { client throws(OmenError) in
            let shardCount = try client.status().workers.count
            return try client.list(collection: collection, shardCount: shardCount)
        }
        return ListedRecords(schema: schema, ids: ids)
    }

    func collections() throws(OmenError) -> [CollectionCounts] {
        let status = try withClient { client throws(OmenError) in try client.status() }
        var found: [String: CollectionCounts] = [:]
        var tables: [String: [CalibrationTable?]] = [:]
        for worker in status.workers {
            for part in worker.shardStatus?.collections ?? [] {
                var sum = found[part.name] ?? CollectionCounts(part.name, part.schema)
                sum.vectorCount += Int(part.vectors)
                sum.linkedCount += Int(part.linked)
                sum.rowCount += Int(part.rows)
                sum.deletedCount += Int(part.deleted)
                sum.fileByteCount += Int(part.fileByteCount)
                // The shard that has most to do tells for all.
                if let building = part.building {
                    sum.buildPermille = min(sum.buildPermille ?? 1000, building)
                }
                sum.buildByteCount += Int(clamping: part.buildByteCount)
                sum.buildWaits = sum.buildWaits || part.waitsForMemory
                found[part.name] = sum
                // A shard without records finds all of them.
                if part.vectors > 0 { tables[part.name, default: []].append(part.calibration) }
            }
        }
        for (name, shards) in tables {
            found[name]?.calibration = CalibrationTable.mean(of: shards)
        }
        return found.values.sorted { $0.name < $1.name }
    }

    func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        let all = try withClient { client throws(OmenError) in try client.listCollections() }
        guard let found = all.first(where: { $0.name == collection }) else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return found.schema
    }

    func count(_ collection: String) throws(OmenError) -> UInt64 {
        try withClient { client throws(OmenError) in
            let reply = try client.count(collection: collection)
            if let failure = reply.coverage.failures.first { throw failure.error }
            return reply.count
        }
    }

    func checkpoint() throws(OmenError) {
        try withClient { client throws(OmenError) in try client.checkpoint() }
    }

    func close() throws(OmenError) {
        pool.withLock { pool in
            pool.isClosed = true
            pool.idle = []
        }
    }
}
