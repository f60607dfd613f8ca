internal import OmenCore

/// One value for each replica of a cluster, found without hashing.
struct ReplicaTable<Value> {
    /// The replicas, ascending.
    let ids: [ReplicaID]
    /// Where each replica stands; which replicas there are never changes.
    private let directory: ClusterDirectory
    /// In the order of `ids`.
    private(set) var values: [Value]

    /// A table with the same value for each replica.
    ///
    /// - Parameters:
    ///   - directory: Tells the replicas.
    ///   - value: The value of each.
    init(_ directory: ClusterDirectory, repeating value: Value) {
        self.directory = directory
        ids = directory.replicas.map(\.id)
        values = Array(repeating: value, count: ids.count)
    }

    /// Whether a replica is in the table.
    func contains(_ replica: ReplicaID) -> Bool { directory.index(of: replica) != nil }

    /// The value of a replica.
    ///
    /// - Precondition: The replica is in the table.
    subscript(replica: ReplicaID) -> Value {
        get { values[position(replica)] }
        _modify { yield &values[position(replica)] }
    }

    private func position(_ replica: ReplicaID) -> Int {
        guard let index = directory.index(of: replica) else { preconditionFailure("no \(replica)") }
        return index
    }
}

extension ReplicaTable: Sendable where Value: Sendable {}
