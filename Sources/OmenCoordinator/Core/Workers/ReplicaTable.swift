internal import OmenCore

/// One value for each replica of a cluster, found without hashing.
struct ReplicaTable<Value> {
    /// The replicas, ascending.
    let ids: [ReplicaID]
    /// In the order of `ids`.
    private(set) var values: [Value]
    /// Index of the first replica of each shard, and the number of replicas.
    private let starts: [Int]

    /// A table with the same value for each replica.
    ///
    /// - Parameters:
    ///   - directory: Tells the replicas.
    ///   - value: The value of each.
    init(_ directory: ClusterDirectory, repeating value: Value) {
        ids = directory.replicas.map(\.id)
        values = Array(repeating: value, count: ids.count)
        var starts: [Int] = []
        for (index, id) in ids.enumerated() where id.shard == starts.count { starts.append(index) }
        self.starts = starts + [ids.count]
    }

    /// Whether a replica is in the table.
    func contains(_ replica: ReplicaID) -> Bool { index(of: replica) != nil }

    /// The value of a replica.
    ///
    /// - Precondition: The replica is in the table.
    subscript(replica: ReplicaID) -> Value {
        _read { yield values[position(replica)] }
        _modify { yield &values[position(replica)] }
    }

    /// Index of a replica; nil when it is not in the table.
    private func index(of replica: ReplicaID) -> Int? {
        let (shard, number) = (replica.shard, replica.number)
        guard shard >= 0, shard < starts.count - 1 else { return nil }
        guard number >= 0, number < starts[shard + 1] - starts[shard] else { return nil }
        return starts[shard] + number
    }

    /// Index of a replica that must be in the table.
    private func position(_ replica: ReplicaID) -> Int {
        guard let index = index(of: replica) else { preconditionFailure("no \(replica)") }
        return index
    }
}

extension ReplicaTable: Sendable where Value: Sendable {}
