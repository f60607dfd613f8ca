package import OmenCore

/// One message with the number that joins a reply to its request.
package struct Envelope: Equatable, Sendable {
    /// Chosen by the requester, echoed in the reply; unique within a connection.
    package var requestID: UInt64
    package var message: Message

    package init(requestID: UInt64, message: Message) {
        self.requestID = requestID
        self.message = message
    }
}

/// Everything that travels between client, coordinator and worker.
///
/// Clients and the coordinator speak the same requests as the coordinator and its workers, so that
/// forwarding changes no meaning. `docs/PROTOCOL.md` gives every byte.
package enum Message: Equatable, Sendable {
    // Requests.
    case write(WriteRequest)
    case get(GetRequest)
    case count(collection: String)
    case search(SearchRequest)
    /// From a coordinator to a shard.
    case shardSearch(ShardOrder)
    case listCollections
    case status
    case checkpoint
    case ping
    /// Client to coordinator: drain, checkpoint and end the whole cluster. Coordinator to worker:
    /// the same for the shard.
    case stop
    case list(ListRequest)
    /// An operator lets a quarantined shard go on with what is left of it.
    case acceptLoss(shard: UInt32)

    // Replies.
    case written(WriteReply)
    case records(RecordsReply)
    case counted(CountReply)
    case hits(SearchReply)
    case collections([CollectionInfo])
    case shardStatus(ShardStatus)
    case clusterStatus(ClusterStatus)
    case done
    case failure(OmenError)
    case listed(ListReply)

    /// Worker to coordinator, unasked, request id 0: first after the start, then at each change.
    case announcement(WorkerAnnouncement)
}

package struct GetRequest: Equatable, Sendable {
    package var collection: String
    package var ids: [RecordID]
    package var withVector: Bool

    package init(collection: String, ids: [RecordID], withVector: Bool) {
        self.collection = collection
        self.ids = ids
        self.withVector = withVector
    }
}

/// Asks for the ids of one shard of a collection, a page at a time.
package struct ListRequest: Equatable, Sendable {
    package var collection: String
    package var shard: UInt32
    /// Where the last page ended; 0 for the first.
    package var start: UInt64
    /// The order that the last page was in; 0 for the first.
    package var order: UInt64

    package init(collection: String, shard: UInt32, start: UInt64 = 0, order: UInt64 = 0) {
        self.collection = collection
        self.shard = shard
        self.start = start
        self.order = order
    }
}

/// A page of ids.
package struct ListReply: Equatable, Sendable {
    /// Names the order of the records; it changes when a shard is opened or built again, and then a
    /// list has to begin again.
    package var order: UInt64
    /// Where the next page begins; 0 when this is the last one.
    package var next: UInt64
    package var ids: [RecordID]

    package init(order: UInt64, next: UInt64, ids: [RecordID]) {
        self.order = order
        self.next = next
        self.ids = ids
    }
}

package struct WriteReply: Equatable, Sendable {
    /// Sums over the shards that applied their part.
    ///
    /// A worker reports coverage 1 of 1.
    package var counts: WriteCounts
    package var coverage: Coverage

    package init(counts: WriteCounts, coverage: Coverage) {
        self.counts = counts
        self.coverage = coverage
    }
}

/// Found records in the order of the request; ids that are not there are left out.
package struct RecordsReply: Equatable, Sendable {
    package var element: ElementType
    package var records: [Record]
    package var coverage: Coverage

    package init(element: ElementType, records: [Record], coverage: Coverage) {
        self.element = element
        self.records = records
        self.coverage = coverage
    }
}

package struct CountReply: Equatable, Sendable {
    package var count: UInt64
    package var coverage: Coverage

    package init(count: UInt64, coverage: Coverage) {
        self.count = count
        self.coverage = coverage
    }
}

package struct SearchReply: Sendable {
    /// Element type of the hits' vectors.
    package var element: ElementType
    /// Hits of each query; shape `[queryCount]`, they add up to `list.count`.
    package var hitCounts: [UInt32]
    /// All hits, query after query, each query's ascending.
    package var list: HitList
    package var coverage: Coverage
    /// What the shards that answered decided, where the request asks for that; else empty.
    package var explanations: [ShardExplanation] = []

    package init(element: ElementType, hitCounts: [UInt32], list: HitList, coverage: Coverage) {
        self.element = element
        self.hitCounts = hitCounts
        self.list = list
        self.coverage = coverage
    }

    package init(element: ElementType, hitCounts: [UInt32], hits: [Hit], coverage: Coverage) {
        self.init(element: element, hitCounts: hitCounts, list: .full(hits), coverage: coverage)
    }

    /// `list` one by one.
    ///
    /// - Complexity: O(hits): ask once, not once for each query.
    package var hits: [Hit] {
        get { list.array }
        set { list = .full(newValue) }
    }
}

extension SearchReply: Equatable {
    /// Compares what the hits are, not how they are kept.
    package static func == (left: SearchReply, right: SearchReply) -> Bool {
        left.element == right.element && left.hitCounts == right.hitCounts
            && left.coverage == right.coverage && left.hits == right.hits
            && left.explanations == right.explanations
    }
}

package struct CollectionInfo: Equatable, Sendable {
    package var name: String
    package var schema: CollectionSchema

    package init(name: String, schema: CollectionSchema) {
        self.name = name
        self.schema = schema
    }
}

/// What a worker reports of itself.
package struct ShardStatus: Equatable, Sendable {
    package var residentByteCount: UInt64
    /// Bytes of all log segments of the shard.
    package var logByteCount: UInt64
    package var appliedLSN: UInt64
    package var durableLSN: UInt64
    /// LSN the newest checkpoint covers.
    package var checkpointLSN: UInt64
    package var collections: [CollectionStatus]

    package init(
        residentByteCount: UInt64,
        logByteCount: UInt64,
        appliedLSN: UInt64,
        durableLSN: UInt64,
        checkpointLSN: UInt64,
        collections: [CollectionStatus]
    ) {
        self.residentByteCount = residentByteCount
        self.logByteCount = logByteCount
        self.appliedLSN = appliedLSN
        self.durableLSN = durableLSN
        self.checkpointLSN = checkpointLSN
        self.collections = collections
    }
}

/// Where a worker is in its life, as the coordinator sees it.
///
/// On the wire: append, never renumber.
package enum WorkerState: UInt8, Sendable, CaseIterable {
    case spawning = 0
    case recovering = 1
    case ready = 2
    case draining = 3
    case dead = 4
    case backoff = 5
    /// Died too often; an operator must look.
    case failed = 6
    /// Its files are damaged; serving them would be wrong. An operator must decide.
    case quarantined = 7
}

package struct WorkerStatus: Equatable, Sendable {
    package var shard: UInt32
    /// 0 when no process runs.
    package var pid: UInt32
    package var state: WorkerState
    package var restarts: UInt32
    /// Why it last died or was quarantined; empty when nothing happened.
    package var lastError: String
    /// Absent when the worker did not answer.
    package var shardStatus: ShardStatus?

    package init(
        shard: UInt32,
        pid: UInt32,
        state: WorkerState,
        restarts: UInt32,
        lastError: String,
        shardStatus: ShardStatus?
    ) {
        self.shard = shard
        self.pid = pid
        self.state = state
        self.restarts = restarts
        self.lastError = lastError
        self.shardStatus = shardStatus
    }
}

package struct ClusterStatus: Equatable, Sendable {
    package var pid: UInt32
    package var uptimeMilliseconds: UInt64
    /// Path of the socket the coordinator listens on.
    package var socket: String
    /// One per shard, ascending.
    package var workers: [WorkerStatus]

    package init(pid: UInt32, uptimeMilliseconds: UInt64, socket: String, workers: [WorkerStatus]) {
        self.pid = pid
        self.uptimeMilliseconds = uptimeMilliseconds
        self.socket = socket
        self.workers = workers
    }
}

/// What a worker says of itself unasked.
package struct WorkerAnnouncement: Equatable, Sendable {
    package var shard: UInt32
    /// Given at spawn; replies of an older incarnation are dropped.
    package var incarnation: UInt64
    /// `recovering`, `ready`, `quarantined`, or `failed`: it could not open the shard, for a reason
    /// that may go away.
    package var state: WorkerState
    /// Log records replayed so far.
    package var replayed: UInt64
    /// How far the shard has come, when `ready`; announced again when it has come further.
    package var progress: ShardProgress
    /// The shard's collections, once `ready`.
    package var collections: [CollectionInfo]
    /// Why, when `quarantined` or `failed`.
    package var reason: String

    package init(
        shard: UInt32,
        incarnation: UInt64,
        state: WorkerState,
        replayed: UInt64 = 0,
        progress: ShardProgress = .notBegun,
        collections: [CollectionInfo] = [],
        reason: String = ""
    ) {
        self.shard = shard
        self.incarnation = incarnation
        self.state = state
        self.replayed = replayed
        self.progress = progress
        self.collections = collections
        self.reason = reason
    }
}
