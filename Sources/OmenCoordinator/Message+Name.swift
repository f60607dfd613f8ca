internal import OmenWire

extension Message {
    /// The kind of message without its content, for texts.
    var name: String {
        switch self {
        case .write: "write"
        case .get: "get"
        case .count: "count"
        case .search: "search"
        case .listCollections: "listCollections"
        case .status: "status"
        case .checkpoint: "checkpoint"
        case .ping: "ping"
        case .stop: "stop"
        case .written: "written"
        case .records: "records"
        case .counted: "counted"
        case .hits: "hits"
        case .collections: "collections"
        case .shardStatus: "shardStatus"
        case .clusterStatus: "clusterStatus"
        case .done: "done"
        case .failure: "failure"
        case .announcement: "announcement"
        }
    }
}
