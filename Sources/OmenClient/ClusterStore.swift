package import OmenCore
internal import OmenWire
internal import Synchronization

/// A running cluster, through as many connections as calls are made at once.
package final class ClusterStore: RecordStore {
    /// A client that one thread has at a time.
    private struct LentClient: @unchecked Sendable { var client: ClusterClient }
    private struct Pool: ~Copyable {
        var idle: [LentClient] = []
        /// The cluster that answered first: all connections must reach it, or what one object
        /// writes would be divided between two clusters that follow each other at one socket.
        var cluster = ClusterUUID.unknown
        var isClosed = false
    }

    /// Where the coordinator listens.
    private let endpoint: Endpoint
    private let pool = Mutex(Pool())

    /// - Throws: `.unavailable` when nobody listens at `endpoint`.
    package init(at endpoint: Endpoint) throws(OmenError) {
        self.endpoint = endpoint
        let first = LentClient(client: try ClusterClient.connect(to: endpoint))
        pool.withLock { $0.idle.append(first) }
    }

    private func withClient<Result>(
        _ body: (ClusterClient) throws(OmenError) -> Result
    ) throws(OmenError) -> Result {
        let (lent, isClosed, cluster) = pool.withLock {
            ($0.idle.popLast(), $0.isClosed, $0.cluster)
        }
        guard !isClosed else { throw OmenError(.unavailable, "the connection is closed") }
        let client: ClusterClient
        if let lent {
            client = lent.client
        } else {
            client = try ClusterClient.connect(to: endpoint, of: cluster)
        }
        defer {
            let back = LentClient(client: client)
            pool.withLock { pool in
                if pool.cluster == .unknown { pool.cluster = back.client.knownCluster }
                if !pool.isClosed { pool.idle.append(back) }
            }
        }
        return try body(client)
    }

    package func upsert(_ checked: CheckedBatch) throws(OmenError) -> WriteCounts {
        // The cluster checks what comes from outside itself.
        try write(.upsert(checked.batch))
    }

    package func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
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
    package func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError) { try body() }

    /// On the threads of the cluster's processes.
    package func search(_ query: SearchRequest, threadCount: Int) throws(OmenError) -> FoundHits {
        let reply = try withClient { client throws(OmenError) in try client.search(query) }
        var found = FoundHits(
            element: reply.element,
            counts: reply.hitCounts,
            list: reply.list,
            coverage: reply.coverage
        )
        found.explanations = reply.explanations
        return found
    }

    /// An answer over a socket comes in memory of its own.
    package func search(
        _ query: SearchRequest,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> SingleSearchAnswer {
        .found(try search(query.carrying(vector), threadCount: 1))
    }

    package func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> FoundRecords {
        let reply = try withClient { client throws(OmenError) in
            try client.get(collection: collection, ids: ids, withVector: withVector)
        }
        return FoundRecords(
            element: reply.element,
            records: reply.records,
            coverage: reply.coverage
        )
    }

    package func places(
        _ ids: [RecordID],
        in collection: String
    ) throws(OmenError) -> FoundRecords? { nil }

    package func list(_ collection: String) throws(OmenError) -> ListedRecords {
        let schema = try schema(of: collection)
        let ids = try withClient { client throws(OmenError) in
            let shardCount = try client.status().workers.count
            return try client.list(collection: collection, shardCount: shardCount)
        }
        return ListedRecords(schema: schema, ids: ids)
    }

    package func collections() throws(OmenError) -> [CollectionStatus] {
        let status = try withClient { client throws(OmenError) in try client.status() }
        return CollectionStatus.merged(
            status.workers.flatMap { $0.shardStatus?.collections ?? [] }
        )
    }

    package func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        let all = try withClient { client throws(OmenError) in try client.listCollections() }
        guard let found = all.first(where: { $0.name == collection }) else {
            throw OmenError(.notFound, "collection \(collection) does not exist")
        }
        return found.schema
    }

    package func count(_ collection: String) throws(OmenError) -> UInt64 {
        try withClient { client throws(OmenError) in
            let reply = try client.count(collection: collection)
            if let failure = reply.coverage.failures.first { throw failure.error }
            return reply.count
        }
    }

    package func checkpoint() throws(OmenError) {
        try withClient { client throws(OmenError) in try client.checkpoint() }
    }

    package func close() throws(OmenError) {
        pool.withLock { pool in
            pool.isClosed = true
            pool.idle = []
        }
    }
}
