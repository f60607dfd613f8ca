package import OmenCore

extension CoordinatorCore {
    /// What the core is told once, at its start.
    package struct Configuration: Sendable {
        /// Shard of each hash slot, from the cluster manifest; shape `[Limits.slotCount]`.
        package var slots: [UInt8]
        package var shardCount: Int
        /// What the cluster's manifest knows of each shard; shape `[shardCount]`.
        package var progress: [ShardProgress]
        /// The coordinator's own process, for status.
        package var pid: UInt32
        /// Path of the listening socket, for status.
        package var socketPath: String
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

        /// - Parameters:
        ///   - slots: As the property.
        ///   - shardCount: As the property.
        ///   - progress: As the property; nil for a cluster whose shards have not begun.
        ///   - pid: As the property.
        ///   - socketPath: As the property.
        ///   - nonce: As the property.
        /// - Throws: `.badRequest` when the slot table and the shard count disagree.
        package init(
            slots: [UInt8],
            shardCount: Int,
            progress: [ShardProgress]? = nil,
            pid: UInt32,
            socketPath: String,
            nonce: UInt64
        ) throws(OmenError) {
            guard (1...Limits.shardCountMax).contains(shardCount) else {
                throw OmenError(
                    .badRequest,
                    "\(shardCount) shards, expected 1...\(Limits.shardCountMax)"
                )
            }
            guard slots.count == Limits.slotCount else {
                throw OmenError(
                    .badRequest,
                    "slot table has \(slots.count) entries, expected \(Limits.slotCount)"
                )
            }
            if let stray = slots.first(where: { Int($0) >= shardCount }) {
                throw OmenError(.badRequest, "slot table names shard \(stray) of \(shardCount)")
            }
            let progress = progress ?? Array(repeating: .notBegun, count: shardCount)
            guard progress.count == shardCount else {
                throw OmenError(.badRequest, "\(progress.count) progress of \(shardCount) shards")
            }
            self.slots = slots
            self.progress = progress
            self.shardCount = shardCount
            self.pid = pid
            self.socketPath = socketPath
            self.nonce = nonce
        }

        /// The table a new cluster starts with: slots dealt to the shards in turn.
        package static func evenSlots(shardCount: Int) -> [UInt8] {
            precondition((1...Limits.shardCountMax).contains(shardCount), "\(shardCount) shards")
            return (0..<Limits.slotCount).map { UInt8($0 % shardCount) }
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
