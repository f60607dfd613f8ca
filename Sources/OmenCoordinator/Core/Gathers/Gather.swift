internal import OmenCore
internal import OmenWire

/// What one request gathers from the shards until it can be answered: a type for each kind.
///
/// Each kind stands in a file of its own, in the order in which it happens: how it begins, how one
/// shard's answer is taken, and what the client is told in the end.
enum Gather: Sendable {
    /// An upsert, a delete, a clearing or a calibration.
    case write(WriteGather)
    /// The creation of a collection.
    case create(CreateGather)
    /// The drop of a collection.
    case drop(DropGather)
    /// Records by their ids.
    case get(GetGather)
    /// How many records a collection has.
    case count(CountGather)
    /// A page of the ids of one shard.
    case list(ListGather)
    /// The records nearest to some queries.
    case search(SearchGather)
    /// How the cluster is.
    case status(StatusGather)
    /// A checkpoint of every shard.
    case checkpoint(CheckpointGather)

    /// Whether it asks about the cluster itself, which has a limit of its own.
    var isAdmin: Bool {
        switch self {
        case .status, .checkpoint: true
        case .write, .create, .drop, .get, .count, .list, .search: false
        }
    }

    /// What it means when a shard that was asked does not answer.
    var silenceCode: OmenError.Code {
        switch self {
        case .write, .create, .drop: .unknownOutcome
        case .get, .count, .list, .search, .status, .checkpoint: .unavailable
        }
    }

    /// Why the part of a shard is missing that has not answered when time is up.
    func lateness(of shard: Int) -> OmenError {
        if case .create = self { return CreateGather.lateness(of: shard) }
        return OmenError(silenceCode, "shard \(shard) did not answer in time")
    }

    /// The error of a read that cannot be answered whatever the shards say that are awaited.
    func failure(of parts: ShardParts) -> OmenError? {
        if case .search(let gather) = self { return gather.failure(of: parts) }
        return parts.commonFailure
    }

    /// Takes one shard's answer.
    ///
    /// - Parameters:
    ///   - answer: What the shard's worker said.
    ///   - shard: The shard, which was awaited.
    /// - Returns: What the answer costs and teaches.
    /// - Throws: Why the shard's part is missing instead.
    mutating func take(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> AnswerCost {
        switch consume self {
        case .write(var gather):
            defer { self = .write(gather) }
            return try gather.take(answer, from: shard)
        case .create(let gather):
            // Its answers are those to the coordinator's own requests.
            self = .create(gather)
            throw .outOfTurn(try answer.succeeded(), shard: shard)
        case .drop(var gather):
            defer { self = .drop(gather) }
            return try gather.take(answer, from: shard)
        case .get(var gather):
            defer { self = .get(gather) }
            return try gather.take(answer, from: shard)
        case .count(var gather):
            defer { self = .count(gather) }
            return try gather.take(answer, from: shard)
        case .list(var gather):
            defer { self = .list(gather) }
            return try gather.take(answer, from: shard)
        case .search(var gather):
            defer { self = .search(gather) }
            return try gather.take(answer, from: shard)
        case .status(var gather):
            defer { self = .status(gather) }
            return try gather.take(answer, from: shard)
        case .checkpoint(let gather):
            self = .checkpoint(gather)
            return try gather.take(answer, from: shard)
        }
    }

    /// Lets go of what has arrived: the request ends with a failure.
    mutating func dropAnswers() {
        switch self {
        case .get(let gather): self = .get(gather.withoutAnswers)
        case .list(let gather): self = .list(gather.withoutAnswers)
        case .search(let gather): self = .search(gather.withoutAnswers)
        case .write, .create, .drop, .count, .status, .checkpoint: return
        }
    }

    /// The creation of a collection that a write waits for; nil when it waits for none.
    var creation: ShardParts? {
        get {
            guard case .write(let gather) = self else { return nil }
            return gather.creation
        }
        set {
            guard case .write(var gather) = self else { return }
            gather.creation = newValue
            self = .write(gather)
        }
    }

    /// Whether it is a drop.
    var isDrop: Bool {
        switch self {
        case .drop: true
        case .write, .create, .get, .count, .list, .search, .status, .checkpoint: false
        }
    }

    /// A drop; nil for any other kind.
    var drop: DropGather? {
        get {
            guard case .drop(let gather) = self else { return nil }
            return gather
        }
        set {
            guard case .drop = self, let newValue else { return }
            self = .drop(newValue)
        }
    }
}

/// The collection that a read is about.
struct ReadTarget: Sendable {
    /// Name of the collection.
    let collection: String
    /// Shards that were creating the collection when they were asked: "not found" there means that
    /// they hold nothing.
    private let emptyIfMissing: ShardSet

    /// What a read of a collection must remember of it.
    init(_ entry: CatalogEntry) {
        collection = entry.name
        emptyIfMissing = entry.creating.subtracting(entry.present)
    }

    /// A shard's answer; nil when the shard does not have the collection yet, so holds nothing.
    ///
    /// - Throws: What the worker says went wrong.
    func answer(_ answer: WorkerAnswer, from shard: Int) throws(OmenError) -> Message? {
        do throws(OmenError) {
            return try answer.succeeded()
        } catch {
            guard error.code == .notFound, emptyIfMissing.contains(shard) else { throw error }
            return nil
        }
    }
}
