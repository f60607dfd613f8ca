package import OmenCore
package import OmenWire

extension CoordinatorCore {
    /// What happened outside; the driver reports it, the core decides.
    ///
    /// The driver gives each event to the core at once: one of them borrows memory.
    package enum Event {
        /// The driver listens; start the workers.
        case started
        /// `client` is a number the driver never uses twice.
        case clientConnected(client: UInt64)
        /// A client sent a message.
        case clientMessage(client: UInt64, Envelope)
        /// The client has sent its last request and may still read.
        case clientEnded(client: UInt64)
        /// The client is gone, or broke the protocol below the level of messages.
        case clientClosed(client: UInt64)
        /// What `spawn` asked for runs.
        case workerSpawned(replica: ReplicaID, incarnation: UInt64, pid: UInt32)
        /// What `spawn` asked for could not be started.
        case workerSpawnFailed(replica: ReplicaID, incarnation: UInt64, reason: String)
        /// A worker sent a message.
        case workerMessage(replica: ReplicaID, incarnation: UInt64, Envelope)
        /// A worker answered a search; the same as `workerMessage` with the decoded hits, which are
        /// borrowed here: there is no event that happens as often.
        case workerHits(
            replica: ReplicaID,
            incarnation: UInt64,
            requestID: UInt64,
            NumberedHits
        )
        /// The socket to the worker ended; its process may still live.
        ///
        /// When `isExplained`, the reason says why, such as a frame that was refused; else how the
        /// process exits will say more.
        case workerConnectionLost(
            replica: ReplicaID,
            incarnation: UInt64,
            reason: String,
            isExplained: Bool = false
        )
        /// The process ended and was waited for; all it had sent was reported before.
        case workerExited(replica: ReplicaID, incarnation: UInt64, status: Int64, signal: Int32)
        /// What `storeDrops` asked for is durable.
        case dropsStored
        /// What `storeDrops` asked for is not durable.
        case dropsNotStored(reason: String)
        /// What `storeDirectory` asked for is durable.
        case directoryStored
        /// What `storeDirectory` asked for is not durable.
        case directoryNotStored(reason: String)
        /// Time has passed; expected at least every 100 ms.
        case tick
        /// SIGTERM or SIGINT; a second one kills instead of waiting.
        case stopRequested(signal: Int32)
    }

    /// What the driver has to do, in this order.
    package enum Effect: Equatable, Sendable {
        /// Queue a message for a client.
        case sendToClient(client: UInt64, Envelope)
        /// Queue a message for a worker, if this process of it still runs.
        case sendToWorker(replica: ReplicaID, incarnation: UInt64, Envelope)
        /// Close after what was sent; no further event of this client is expected.
        case closeClient(client: UInt64)
        /// `acceptsLoss`: the worker goes on with what is left of the shard's files.
        case spawn(replica: ReplicaID, incarnation: UInt64, acceptsLoss: Bool)
        /// SIGKILL; `workerExited` has to follow.
        case kill(replica: ReplicaID, incarnation: UInt64)
        /// Make this the directory in the cluster's manifest; `directoryStored` or
        /// `directoryNotStored` has to follow. One at a time.
        case storeDirectory(ClusterDirectory)
        /// Store the unfinished drops; `dropsStored` or `dropsNotStored` has to follow.
        case storeDrops([UnfinishedDrop])
        /// Take no more connections.
        case stopListening
        /// Nothing runs any more: flush, then exit.
        case finished(exitCode: Int32)
        /// Tell the operator.
        case log(String)
    }
}
