import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

typealias Core = CoordinatorCore
typealias Effect = CoordinatorCore.Effect

let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1_000_000_000

/// A message that the core sent to a worker.
struct Sent: Equatable {
    var shard: UInt32
    var incarnation: UInt64
    var id: UInt64
    var message: Message
}

/// A reply that the core sent to a client.
struct Reply: Equatable {
    var client: UInt64
    var requestID: UInt64
    var message: Message
}

extension Effect {
    var storedDrops: [UnfinishedDrop]? {
        if case .storeDrops(let drops) = self { drops } else { nil }
    }

    var isStoreDirectory: Bool {
        if case .storeDirectory = self { true } else { false }
    }
}

/// A core with a clock that stands still until told otherwise; keeps every effect of the last step.
struct Fixture {
    var core: Core
    var now: UInt64 = 1000 * second
    var effects: [Effect] = []
    /// The note of unfinished drops, as it was last stored.
    var storedDrops: [UnfinishedDrop] = []
    /// Whether the cluster's manifest is stored at once, as a driver would after some milliseconds.
    var storesDirectory = true

    init(shards: Int, change: (inout Core.Configuration) -> Void = { _ in }) throws {
        var configuration = Core.Configuration(
            directory: try ClusterDirectory(shardCount: shards),
            pid: 77,
            endpoint: .unix(path: "test.sock"),
            nonce: 0xC00D
        )
        change(&configuration)
        core = Core(configuration: configuration)
    }

    /// A cluster whose workers are all ready and hold `collections`; client 1 is connected.
    static func ready(
        shards: Int,
        collections: [CollectionInfo] = [],
        change: (inout Core.Configuration) -> Void = { _ in }
    ) throws -> Fixture {
        var fixture = try Fixture(shards: shards, change: change)
        fixture.step(.started)
        for shard in 0..<UInt32(shards) { fixture.becomeReady(shard, collections) }
        fixture.step(.clientConnected(client: 1))
        return fixture
    }

    mutating func step(_ event: Core.Event) {
        effects = []
        core.handle(event, now: now, into: &effects)
        guard storesDirectory else { return }
        while let index = effects.firstIndex(where: \.isStoreDirectory) {
            effects.remove(at: index)
            core.handle(.directoryStored, now: now, into: &effects)
        }
        while let index = effects.firstIndex(where: { $0.storedDrops != nil }) {
            storedDrops = effects.remove(at: index).storedDrops ?? []
            core.handle(.dropsStored, now: now, into: &effects)
        }
    }

    mutating func tick(after wait: UInt64) {
        now += wait
        step(.tick)
    }

    mutating func becomeReady(_ shard: UInt32, _ collections: [CollectionInfo] = []) {
        let incarnation = core.workerIncarnation(Int(shard))
        step(
            .workerSpawned(
                replica: ReplicaID(shard: Int(shard)),
                incarnation: incarnation,
                pid: 100 + shard
            )
        )
        announce(shard, .ready, collections)
    }

    mutating func announce(
        _ shard: UInt32,
        _ state: WorkerState,
        _ collections: [CollectionInfo] = [],
        progress: ShardProgress = ShardProgress(history: 1, generation: 0, durableLSN: 0),
        reason: String = ""
    ) {
        let announcement = WorkerAnnouncement(
            shard: shard,
            incarnation: core.workerIncarnation(Int(shard)),
            state: state,
            progress: progress,
            collections: collections,
            reason: reason
        )
        worker(shard, 0, .announcement(announcement))
    }

    /// A message of the shard's present worker.
    mutating func worker(_ shard: UInt32, _ id: UInt64, _ message: Message) {
        step(
            .workerMessage(
                replica: ReplicaID(shard: Int(shard)),
                incarnation: core.workerIncarnation(Int(shard)),
                Envelope(requestID: id, message: message)
            )
        )
    }

    /// The same, as the driver gives it when it comes in a frame.
    mutating func workerFrame(_ shard: UInt32, _ id: UInt64, _ message: Message) {
        let incarnation = core.workerIncarnation(Int(shard))
        effects = []
        var decoder = FrameDecoder(.fromCoordinator())
        message.framed(requestID: id).withUnsafeBytes { bytes in
            do throws(OmenError) {
                try decoder.take(bytes) { raw throws(OmenError) in
                    guard let hits = try NumberedHits(raw) else {
                        worker(shard, id, try raw.decoded().message)
                        return
                    }
                    let event = Core.Event.workerHits(
                        replica: ReplicaID(shard: Int(shard)),
                        incarnation: incarnation,
                        requestID: raw.requestID,
                        hits
                    )
                    core.handle(event, now: now, into: &effects)
                }
            } catch { Issue.record("\(error)") }
        }
    }

    /// A connected client for one of many requests: each has as many as a client may.
    mutating func client(of index: Int) -> UInt64 {
        let client = UInt64(1 + index / Limits.clientRequestsInFlightMax)
        if client > 1, index % Limits.clientRequestsInFlightMax == 0 {
            step(.clientConnected(client: client))
        }
        return client
    }

    mutating func ask(_ message: Message, id: UInt64 = 1, client: UInt64 = 1) {
        step(.clientMessage(client: client, Envelope(requestID: id, message: message)))
    }

    mutating func write(_ operation: WriteOperation, id: UInt64 = 1, client: UInt64 = 1) {
        let key = RequestKey(client: 1000 + client, sequence: id)
        ask(.write(WriteRequest(key: key, operation: operation)), id: id, client: client)
    }

    mutating func exit(_ shard: UInt32, status: Int64 = 0, signal: Int32 = 9) {
        let incarnation = core.workerIncarnation(Int(shard))
        step(
            .workerExited(
                replica: ReplicaID(shard: Int(shard)),
                incarnation: incarnation,
                status: status,
                signal: signal
            )
        )
    }

    /// Messages to workers in the last step's effects.
    var sent: [Sent] { Self.sent(in: effects) }

    static func sent(in effects: [Effect]) -> [Sent] {
        effects.compactMap { effect in
            guard case .sendToWorker(let replica, let incarnation, let envelope) = effect else {
                return nil
            }
            return Sent(
                shard: UInt32(replica.shard),
                incarnation: incarnation,
                id: envelope.requestID,
                message: envelope.message
            )
        }
    }

    var replies: [Reply] {
        effects.compactMap { effect in
            guard case .sendToClient(let client, let envelope) = effect else { return nil }
            return Reply(client: client, requestID: envelope.requestID, message: envelope.message)
        }
    }

    var onlyReply: Message? { replies.count == 1 ? replies[0].message : nil }

    var error: OmenError? {
        guard case .failure(let error) = onlyReply else { return nil }
        return error
    }

    var writeReply: WriteReply? {
        guard case .written(let reply) = onlyReply else { return nil }
        return reply
    }

    var searchReply: SearchReply? {
        guard case .hits(let reply) = onlyReply else { return nil }
        return reply
    }

    /// What status says, asked of a core whose workers do not answer.
    func status() -> ClusterStatus? {
        var copy = self
        copy.ask(.status, id: 999)
        if copy.onlyReply == nil { copy.tick(after: 3 * second) }
        for reply in copy.replies {
            if case .clusterStatus(let status) = reply.message { return status }
        }
        return nil
    }
}

func info(_ name: String, dim: Int = 2) -> CollectionInfo {
    CollectionInfo(name: name, schema: CollectionSchema(dim: dim))
}

func floats(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }
}

/// Vectors of two dimensions; record `n` has the vector (n, n).
func batch(_ collection: String, _ numbers: [UInt64], dim: Int = 2) -> UpsertBatch {
    UpsertBatch(
        collection: collection,
        element: .f32,
        dim: dim,
        ids: numbers.map { .number($0) },
        vectors: floats(numbers.flatMap { [Float](repeating: Float($0), count: dim) })
    )
}

func query(_ collection: String, k: Int, count: Int = 1, dim: Int = 2) -> SearchRequest {
    SearchRequest(
        collection: collection,
        element: .f32,
        dim: dim,
        vectors: floats([Float](repeating: 1, count: dim * count)),
        count: count,
        limit: k
    )
}

/// The shard of a numbered record when slots are dealt in turn.
func shard(of number: UInt64, shards: Int) -> UInt32 {
    UInt32(slot(of: .number(number)) % shards)
}

/// The first `count` numbers that live on `shard`.
func numbers(on wanted: UInt32, shards: Int, count: Int = 1) -> [UInt64] {
    Array((1...).lazy.filter { shard(of: $0, shards: shards) == wanted }.prefix(count))
}

func written(upserted: UInt64 = 0, deleted: UInt64 = 0) -> Message {
    .written(
        WriteReply(
            counts: WriteCounts(upserted: upserted, deleted: deleted),
            coverage: Coverage(shardsTotal: 1)
        )
    )
}

func hits(_ lists: [[(UInt64, Float)]]) -> Message {
    .hits(
        SearchReply(
            element: .f32,
            hitCounts: lists.map { UInt32($0.count) },
            hits: lists.flatMap { list in list.map { Hit(id: .number($0.0), distance: $0.1) } },
            coverage: Coverage(shardsTotal: 1)
        )
    )
}

func failure(_ code: OmenError.Code, _ text: String = "test") -> Message {
    .failure(OmenError(code, text))
}
