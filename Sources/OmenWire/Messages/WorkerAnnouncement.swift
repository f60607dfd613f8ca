package import OmenCore

/// What a worker says of itself unasked.
package struct WorkerAnnouncement: Equatable, Sendable {
    /// Number of its shard.
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

    /// An announcement.
    ///
    /// - Parameters:
    ///   - shard: As the property.
    ///   - incarnation: As the property.
    ///   - state: As the property.
    ///   - replayed: As the property.
    ///   - progress: As the property.
    ///   - collections: As the property.
    ///   - reason: As the property.
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
