/// The number of each message on the wire: append, never renumber.
///
/// Requests are below 100, replies below 200, what is sent unasked above.
package enum MessageKind: UInt16, Sendable, CaseIterable {
    case write = 1
    case get = 2
    case count = 3
    case search = 4
    case listCollections = 5
    case status = 6
    case checkpoint = 7
    case ping = 8
    case stop = 9
    case list = 10
    case acceptLoss = 11
    case shardSearch = 12
    case shardWrite = 13

    case written = 101
    case records = 102
    case counted = 103
    case hits = 104
    case collections = 105
    case shardStatus = 106
    case clusterStatus = 107
    case done = 108
    case failure = 109
    case listed = 110

    case announcement = 201

    /// Whether it asks for something, so that an answer comes.
    package var isRequest: Bool { rawValue < 100 }

    /// Whether an answer of this kind may come as several messages; see `ReplyChunk`.
    package var mayComeInChunks: Bool { self == .records }
}

extension Message {
    package var kind: MessageKind {
        switch self {
        case .write: .write
        case .get: .get
        case .count: .count
        case .search: .search
        case .shardSearch: .shardSearch
        case .shardWrite: .shardWrite
        case .listCollections: .listCollections
        case .status: .status
        case .checkpoint: .checkpoint
        case .ping: .ping
        case .stop: .stop
        case .list: .list
        case .acceptLoss: .acceptLoss
        case .written: .written
        case .records: .records
        case .counted: .counted
        case .hits: .hits
        case .collections: .collections
        case .shardStatus: .shardStatus
        case .clusterStatus: .clusterStatus
        case .done: .done
        case .failure: .failure
        case .listed: .listed
        case .announcement: .announcement
        }
    }
}
