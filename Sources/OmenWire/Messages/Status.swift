package import OmenCore

/// A collection by name.
package struct CollectionInfo: Equatable, Sendable {
    /// Its name.
    package var name: String
    /// What its vectors are, and how they are indexed.
    package var schema: CollectionSchema

    /// What is told of one collection.
    ///
    /// - Parameters:
    ///   - name: As the property.
    ///   - schema: As the property.
    package init(name: String, schema: CollectionSchema) {
        self.name = name
        self.schema = schema
    }
}

/// What a worker reports of itself.
package struct ShardStatus: Equatable, Sendable {
    /// Bytes of memory that the process has in use.
    package var residentByteCount: UInt64
    /// Bytes of all log segments of the shard.
    package var logByteCount: UInt64
    /// LSN of the last log record whose write is visible.
    package var appliedLSN: UInt64
    /// LSN of the last log record that is on disk.
    package var durableLSN: UInt64
    /// LSN the newest checkpoint covers.
    package var checkpointLSN: UInt64
    /// At most 256, ascending by name.
    package var collections: [CollectionStatus]

    /// A worker's report.
    ///
    /// - Parameters:
    ///   - residentByteCount: As the property.
    ///   - logByteCount: As the property.
    ///   - appliedLSN: As the property.
    ///   - durableLSN: As the property.
    ///   - checkpointLSN: As the property.
    ///   - collections: As the property.
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
    /// Its process was started and has said nothing.
    case spawning = 0
    /// It opens its files.
    case recovering = 1
    /// It answers.
    case ready = 2
    /// It finishes what is in flight, and ends.
    case draining = 3
    /// It has no process, and gets none: the cluster stops.
    case dead = 4
    /// Its process ended; another one is started after a pause.
    case backoff = 5
    /// Died too often; an operator must look.
    case failed = 6
    /// Its files are damaged; serving them would be wrong. An operator must decide.
    case quarantined = 7
}

/// What a coordinator reports of one worker.
package struct WorkerStatus: Equatable, Sendable {
    /// Number of its shard.
    package var shard: UInt32
    /// 0 when no process runs.
    package var pid: UInt32
    /// Where it is in its life.
    package var state: WorkerState
    /// Processes that were started for it after the first.
    package var restarts: UInt32
    /// Why it last died or was quarantined; empty when nothing happened.
    package var lastError: String
    /// Absent when the worker did not answer.
    package var shardStatus: ShardStatus?

    /// A report of one worker.
    ///
    /// - Parameters:
    ///   - shard: As the property.
    ///   - pid: As the property.
    ///   - state: As the property.
    ///   - restarts: As the property.
    ///   - lastError: As the property.
    ///   - shardStatus: As the property.
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

/// What a coordinator reports of the cluster.
package struct ClusterStatus: Equatable, Sendable {
    /// Process of the coordinator.
    package var pid: UInt32
    /// How long it has been running.
    package var uptimeMilliseconds: UInt64
    /// Path of the socket the coordinator listens on.
    package var socket: String
    /// One per shard, ascending.
    package var workers: [WorkerStatus]

    /// A report of a cluster.
    ///
    /// - Parameters:
    ///   - pid: As the property.
    ///   - uptimeMilliseconds: As the property.
    ///   - socket: As the property.
    ///   - workers: As the property.
    package init(pid: UInt32, uptimeMilliseconds: UInt64, socket: String, workers: [WorkerStatus]) {
        self.pid = pid
        self.uptimeMilliseconds = uptimeMilliseconds
        self.socket = socket
        self.workers = workers
    }
}
