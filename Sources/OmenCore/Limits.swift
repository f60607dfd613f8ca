/// Every limit of the system, in one place, each with its unit and its reason.
package enum Limits {
    /// How often a cluster's manifest learns of log records that became durable since.
    ///
    /// A checkpoint is noted at once. Cutting the log of a killed shard further back is noticed.
    package static let progressInterval = Duration.seconds(10)
    // MARK: Data

    /// Longest vector: 8,192 dimensions, four times the largest common embedding.
    package static let dimensionMax = 8192
    /// Longest text id in UTF-8 bytes; ids travel with every hit, so they must stay small.
    package static let textIDByteCountMax = 512
    /// Largest metadata object in bytes of JSON text.
    package static let metadataByteCountMax = 64 << 10
    /// Deepest nesting of a metadata object; bounds every walk over it.
    package static let jsonDepthMax = 32
    /// Longest collection name in characters, all of them `[a-z0-9_-]`.
    package static let collectionNameCharacterCountMax = 64
    /// Most collections in one database: each costs every worker an index and some mappings.
    package static let collectionCountMax = 256
    /// Most rows in one shard of one collection: address space for each row array is reserved.
    package static let shardRowCountMax = 1 << 28

    // MARK: Requests

    /// Most hits one query may ask for.
    package static let limitMax = 10_000
    /// Widest candidate list of one query.
    package static let efMax = 10_000
    /// Most vectors in one write request.
    package static let batchCountMax = 10_000
    /// Fewest queries of a sample that searches are calibrated with: fewer say little.
    package static let sampleCountMin = 16
    /// Most queries of a sample.
    package static let sampleCountMax = 1024
    /// Queries of a sample that are kept, evenly spaced ones: comparing them with all rows is a few
    /// percent of what building an index takes.
    package static let sampleCountKept = 256
    /// Most queries in one search request.
    package static let queryCountMax = 10_000
    /// Largest frame body in bytes; a larger length is refused before anything is allocated.
    package static let frameBodyByteCountMax = 64 << 20
    /// Most messages in one frame.
    package static let frameMessageCountMax = 65_535

    // MARK: Filters

    /// Longest filter in bytes, as it is given and as the JSON text that travels.
    package static let filterByteCountMax = 1 << 20
    /// Deepest nesting of a filter: conditions within `$and`, `$or`, `$not` and so on.
    package static let filterDepthMax = 32
    /// Most conditions and connectives of one filter: every record may have to be compared with
    /// each of them.
    package static let filterNodeCountMax = 1024
    /// Most values that one filter compares with, those of all lists together: so parsing one takes
    /// a few hundredths of a second.
    package static let filterValueCountMax = 65_536

    // MARK: Cluster

    /// Most workers one coordinator drives: one bit each in a `UInt64` mask of awaited replies.
    package static let shardCountMax = 64
    /// Number of hash slots that ids fall into; the manifest maps each to a shard.
    package static let slotCount = 16_384
    /// Longest path of a Unix socket in bytes: `sun_path` holds 108 with the terminator (unix(7)).
    package static let socketPathByteCountMax = 107
    /// Most client connections at once.
    package static let connectionCountMax = 1024
    /// Most requests the coordinator keeps in flight; more are refused, not queued.
    package static let requestsInFlightMax = 4096
    /// Most of them that are one client's, so that one alone never fills a worker.
    package static let clientRequestsInFlightMax = 512
    /// Most bytes queued towards one peer before reading from it stops.
    package static let peerQueueByteCountMax = 8 << 20
    /// Most requests in flight towards one worker.
    package static let workerRequestsInFlightMax = 1024
    /// Most bytes in flight towards one worker.
    package static let workerBytesInFlightMax = 128 << 20
    /// Longest wait for a worker's answer to a read; then the reply goes out without it, saying so.
    package static let readTimeout = Duration.seconds(2)
    /// Longest wait for a worker's answer to a write; then its outcome is `unknown`.
    package static let writeTimeout = Duration.seconds(30)
    /// How often the coordinator asks each worker whether it lives.
    package static let heartbeatInterval = Duration.milliseconds(500)
    /// Silence after which a worker counts as hung and is killed.
    package static let heartbeatTimeout = Duration.seconds(10)
    /// First wait before a dead worker is started again; doubles with each death.
    package static let restartBackoffMin = Duration.milliseconds(100)
    /// Longest wait before a dead worker is started again.
    package static let restartBackoffMax = Duration.seconds(30)
    /// Deaths within `restartWindow` after which a shard is `failed` and needs an operator.
    package static let restartsInWindowMax = 5
    /// The window in which deaths are counted.
    package static let restartWindow = Duration.seconds(60)

    // MARK: Storage

    /// Largest batch of records under one checksum in the log, in bytes.
    package static let logBatchByteCountMax = 80 << 20
    /// Requests are gathered into one batch up to this many bytes; a larger request goes alone.
    package static let logBatchByteCountTarget = 4 << 20
    /// Most bytes of writes that wait for the log; more are refused.
    package static let commitQueueByteCountMax = 64 << 20
    /// Log bytes since the last checkpoint after which the shard checkpoints by itself.
    package static let checkpointLogByteCountTarget = 256 << 20
    /// Rows a shard may hold outside its graphs.
    ///
    /// Beyond it writes are refused until linking or a rebuild catches up, because every search
    /// scans them all. Room for one large import, which is linked fastest in one piece.
    package static let hotRowCountMax = 1_000_000
    /// The same limit for longer vectors, in bytes: some 30 ms of each search.
    package static let hotByteCountMax = 256 << 20
    /// When a write that was refused for that may come back: linking takes a tenth of a second for
    /// some thousand vectors.
    package static let linkingRetryAfterMilliseconds: UInt32 = 100
    /// How long a write waits for vectors to be linked while none is: whatever goes on, goes on
    /// faster, also beside searches.
    package static let linkingPatience = Duration.seconds(60)
    /// Memory that must be left when a write is accepted, in bytes: what all shards may accept
    /// between two looks at the system, and room for a checkpoint's buffers.
    package static let memoryReserveByteCount = 64 << 20
    /// Addresses that are kept free where they are limited, in bytes, but at most an eighth of the
    /// limit: several copies of the largest frame, a batch of the log, and threads.
    package static let addressReserveByteCount = 256 << 20
    /// Request keys a shard remembers, so that a retried write applies once; oldest go first.
    package static let requestKeysRemembered = 65_536
    /// Unit of checksums over large file sections, in bytes.
    package static let checksumBlockByteCount = 256 << 10
}
