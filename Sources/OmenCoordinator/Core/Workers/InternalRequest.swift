internal import OmenWire
internal import OmenCore

/// Something that the coordinator asked of a worker on its own account.
struct InternalRequest: Equatable, Sendable {
    /// What was asked.
    enum Kind: Equatable, Sendable {
        /// To create a collection that the shard lacks.
        case create(String)
        /// To finish the drop of a collection, under this key.
        case drop(String, RequestKey)
        /// Whether the shard still has a collection, after a client's drop of this key.
        case list(String, RequestKey)
        /// Whether the shard still has a collection, after the coordinator finished its drop.
        case verify(String, RequestKey)
        /// To checkpoint and exit.
        case stop
    }
    /// Request id towards the worker.
    var id: UInt64
    /// What was asked.
    var kind: Kind
    /// The client's request that waits for it, if any.
    var owner: UInt64?
}
