package import OmenCore

extension CoordinatorCore {
    /// What the core is told once, at its start.
    package struct Configuration: Sendable {
        /// Who has which part of the records, from the cluster's manifest.
        package var directory: ClusterDirectory
        /// The coordinator's own process, for status.
        package var pid: UInt32
        /// Where clients connect; the core only tells it in status.
        package var endpoint: Endpoint
        /// A random number drawn at each start: names the coordinator's own writes, so that no
        /// shard takes them for repetitions of an earlier coordinator's.
        package var nonce: UInt64
        /// How long it waits for what.
        package var timing = Timing()
        /// Drops that an earlier coordinator did not finish, as it stored them.
        package var unfinishedDrops: [UnfinishedDrop] = []
        /// What may be held for clients, in bytes.
        package var memoryLimit = Limits.memoryLimitDefault
        /// Most client connections at once.
        package var connectionCountMax = Limits.connectionCountMax
        /// Deaths within the window after which a shard is given up.
        package var restartsInWindowMax = Limits.restartsInWindowMax

        /// What every coordinator is told.
        ///
        /// - Parameters:
        ///   - directory: As the property.
        ///   - pid: As the property.
        ///   - endpoint: As the property.
        ///   - nonce: As the property.
        package init(
            directory: ClusterDirectory,
            pid: UInt32,
            endpoint: Endpoint,
            nonce: UInt64
        ) {
            self.directory = directory
            self.pid = pid
            self.endpoint = endpoint
            self.nonce = nonce
        }
    }

    /// Every wait of the core, in nanoseconds; the defaults are those of `Limits`.
    package struct Timing: Equatable, Sendable {
        /// For a shard's answer to a read; then the reply is partial.
        package var readTimeout = Limits.readTimeout.nanoseconds
        /// For a shard's answer to a write; then its outcome is unknown.
        package var writeTimeout = Limits.writeTimeout.nanoseconds
        /// For a checkpoint of all shards.
        package var checkpointTimeout = Limits.checkpointTimeout.nanoseconds
        /// Between two heartbeats of a worker.
        package var heartbeatInterval = Limits.heartbeatInterval.nanoseconds
        /// For any word of a worker; then it is taken for hung and killed.
        package var heartbeatTimeout = Limits.heartbeatTimeout.nanoseconds
        /// Before the first start of a worker that died.
        package var restartBackoffMin = Limits.restartBackoffMin.nanoseconds
        /// Before a start of a worker that died again and again: the pause doubles up to this.
        package var restartBackoffMax = Limits.restartBackoffMax.nanoseconds
        /// In which deaths of a worker are counted.
        package var restartWindow = Limits.restartWindow.nanoseconds
        /// For which a worker has to be ready until its deaths are forgotten.
        package var stabilityTime = Limits.stabilityTime.nanoseconds
        /// Between two looks for collections that are missing on a shard.
        package var reconcileInterval = Limits.reconcileInterval.nanoseconds
        /// For requests in flight when the cluster stops.
        package var drainTimeout = Limits.drainTimeout.nanoseconds
        /// For a worker that was told to stop; then it is killed.
        package var stopTimeout = Limits.stopTimeout.nanoseconds
        /// For a client's frame to become whole.
        package var frameTimeout = Limits.frameTimeout.nanoseconds
        /// Between two ticks; a longer pause means that the coordinator itself was stopped.
        package var tickGapMax = Limits.tickGapMax.nanoseconds

        /// The standard waits.
        package init() {}
    }
}
