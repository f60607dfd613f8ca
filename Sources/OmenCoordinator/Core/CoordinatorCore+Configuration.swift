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
        package var readTimeout = Limits.readTimeout.nanoseconds
        package var writeTimeout = Limits.writeTimeout.nanoseconds
        package var checkpointTimeout = Limits.checkpointTimeout.nanoseconds
        package var heartbeatInterval = Limits.heartbeatInterval.nanoseconds
        package var heartbeatTimeout = Limits.heartbeatTimeout.nanoseconds
        package var restartBackoffMin = Limits.restartBackoffMin.nanoseconds
        package var restartBackoffMax = Limits.restartBackoffMax.nanoseconds
        package var restartWindow = Limits.restartWindow.nanoseconds
        package var stabilityTime = Limits.stabilityTime.nanoseconds
        package var reconcileInterval = Limits.reconcileInterval.nanoseconds
        package var drainTimeout = Limits.drainTimeout.nanoseconds
        package var stopTimeout = Limits.stopTimeout.nanoseconds
        package var frameTimeout = Limits.frameTimeout.nanoseconds
        package var tickGapMax = Limits.tickGapMax.nanoseconds

        package init() {}
    }
}
