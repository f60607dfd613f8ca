package import OmenCore

/// One message with the number that joins a reply to its request.
package struct Envelope: Equatable, Sendable {
    /// Chosen by the requester, echoed in the reply; unique within a connection.
    package var requestID: UInt64
    /// What is said.
    package var message: Message
    /// Which chunk of a reply it is; nil when it is all of it, or a request.
    package var chunk: ReplyChunk?

    /// A message for one request.
    ///
    /// - Parameters:
    ///   - requestID: As the property.
    ///   - message: As the property.
    ///   - chunk: As the property.
    package init(requestID: UInt64, message: Message, chunk: ReplyChunk? = nil) {
        self.requestID = requestID
        self.message = message
        self.chunk = chunk
    }
}

/// Everything that travels between client, coordinator and worker.
///
/// Searches and writes go to a shard as orders of the coordinator; all other requests mean the same
/// to the coordinator and to a worker. `docs/PROTOCOL.md` gives every byte.
package enum Message: Equatable, Sendable {
    // Requests.
    case write(WriteRequest)
    case get(GetRequest)
    case count(collection: String)
    case search(SearchRequest)
    /// From a coordinator to a shard.
    case shardSearch(ShardOrder)
    /// From a coordinator to a shard.
    case shardWrite(ShardWrite)
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
