import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

/// Random clients, workers, deaths and pauses against one core, with the promises checked after
/// every event.
private struct Fuzz {
    var random: SplitMix64
    var core: Core
    let shards: Int
    var now: UInt64 = 5 * second
    var nextClient: UInt64 = 1
    var nextRequest: UInt64 = 1
    var clients: [UInt64] = []
    /// Requests without an answer, by client and number.
    var open: Set<[UInt64]> = []
    /// Messages that workers may still answer, also those of dead ones.
    var sent: [Sent] = []
    /// Incarnation of the process that runs for each shard.
    var processes: [UInt64?]
    var trace: UInt64 = 0
    var answered = 0
    var finishedAt: Int?
    let names = ["a", "b", "c"]

    init(seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        shards = [1, 2, 3, 8, 64][Int(random.next() % 5)]
        var configuration = Core.Configuration(
            directory: try ClusterDirectory(shardCount: shards),
            pid: 1,
            endpoint: .unix(path: "fuzz.sock"),
            nonce: seed
        )
        configuration.restartsInWindowMax = 1000
        core = Core(configuration: configuration)
        processes = Array(repeating: nil, count: shards)
    }

    mutating func pick<Value>(_ values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &random)]
    }

    mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    /// Whether the core waits for its cluster's manifest to be stored.
    private var isStoring = false
    private var isStoringDrops = false

    private mutating func finishStoring() {
        guard isStoring else { return }
        isStoring = false
        apply(chance(90) ? .directoryStored : .directoryNotStored(reason: "full"))
    }

    mutating func apply(_ event: Core.Event) {
        var effects: [Effect] = []
        core.handle(event, now: now, into: &effects)
        // Each request in flight may end, each collection may be created on each shard.
        #expect(effects.count <= 8192 + shards * 64)
        for effect in effects { check(effect) }
        trace = trace &* 31 &+ crc(effects)
        #expect(core.pendingCount <= PendingTable.capacity)
        for shard in 0..<shards {
            #expect(core.workerBytesInFlight(shard) >= 0)
            #expect(core.workerRequestsInFlight(shard) <= 3000)
        }
    }

    private func crc(_ effects: [Effect]) -> UInt64 {
        UInt64(crc32c(Array("\(effects)".utf8)))
    }

    private mutating func check(_ effect: Effect) {
        switch effect {
        case .sendToClient(let client, let envelope):
            guard envelope.requestID != 0 else { return }
            #expect(
                open.remove([client, envelope.requestID]) != nil,
                "answered twice or never asked"
            )
            answered += 1
        case .sendToWorker(let replica, let incarnation, let envelope):
            #expect(processes[replica.shard] == incarnation, "sent to a dead worker")
            sent.append(
                Sent(
                    shard: UInt32(replica.shard),
                    incarnation: incarnation,
                    id: envelope.requestID,
                    message: envelope.message
                )
            )
            if sent.count > 4000 { sent.removeFirst(2000) }
        case .closeClient(let client): forget(client)
        case .spawn(let replica, let incarnation, _):
            #expect(processes[replica.shard] == nil, "two processes for one shard")
            processes[replica.shard] = incarnation
        case .kill(let replica, let incarnation): #expect(processes[replica.shard] == incarnation)
        case .finished:
            #expect(finishedAt == nil)
            finishedAt = answered
        case .storeDirectory:
            #expect(!isStoring, "two stores at once")
            isStoring = true
        case .storeDrops:
            #expect(!isStoringDrops, "two stores of drops at once")
            isStoringDrops = true
        case .stopListening, .log: return
        }
    }

    private mutating func forget(_ client: UInt64) {
        clients.removeAll { $0 == client }
        open = open.filter { $0[0] != client }
    }

    mutating func step() {
        now += UInt64.random(
            in: 0...(chance(3) ? 800 * millisecond : 2 * millisecond),
            using: &random
        )
        if chance(50) { finishStoring() }
        if isStoringDrops, chance(50) {
            isStoringDrops = false
            apply(chance(90) ? .dropsStored : .dropsNotStored(reason: "full"))
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<3: connect()
        case 3..<5:
            guard !clients.isEmpty else { return connect() }
            let client = pick(clients)
            if chance(50) { return apply(.clientEnded(client: client)) }
            forget(client)
            apply(.clientClosed(client: client))
        case 5..<40: ask()
        case 40..<85: answer()
        case 85..<90: life()
        case 90..<91: die()
        default: apply(.tick)
        }
    }

    mutating func connect() {
        clients.append(nextClient)
        nextClient += 1
        apply(.clientConnected(client: nextClient - 1))
    }

    mutating func ask() {
        guard !clients.isEmpty else { return connect() }
        let client = pick(clients)
        let id = nextRequest
        nextRequest += 1
        open.insert([client, id])
        let message = request(id)
        apply(.clientMessage(client: client, Envelope(requestID: id, message: message)))
        // A client that has ended its half is still asked for here: the core answers or ignores.
        if !clients.contains(client) { open = open.filter { $0[0] != client } }
    }

    private mutating func request(_ id: UInt64) -> Message {
        let name = pick(names)
        let key = RequestKey(client: 9, sequence: id)
        let ids = (0..<Int.random(in: 0...6, using: &random)).map { _ in
            RecordID.number(random.next() % 100)
        }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<30:
            let some = (0..<Int.random(in: 1...6, using: &random)).map { _ in random.next() % 100 }
            let dim = chance(95) ? 2 : 3
            return .write(WriteRequest(key: key, operation: .upsert(batch(name, some, dim: dim))))
        case 30..<40:
            return .write(WriteRequest(key: key, operation: .delete(collection: name, ids: ids)))
        case 40..<45:
            let schema = CollectionSchema(dim: chance(80) ? 2 : 3)
            return .write(
                WriteRequest(key: key, operation: .createCollection(name: name, schema: schema))
            )
        case 45..<49: return .write(WriteRequest(key: key, operation: .dropCollection(name: name)))
        case 49:
            let bytes = [UInt8](repeating: 1, count: chance(50) ? 32 : 0)
            let sample = QuerySample(collection: name, element: .u8, dim: 2, vectors: bytes)
            return .write(WriteRequest(key: key, operation: .calibrate(sample)))
        case 50: return .write(WriteRequest(key: key, operation: .clearCollection(name: name)))
        case 51..<75:
            var wanted = query(name, k: Int.random(in: 0...200, using: &random), count: 2)
            wanted.effort = .ef(Int.random(in: 0...20_000, using: &random))
            wanted.allowPartial = chance(50)
            do throws(OmenError) {
                try wanted.validate()
            } catch {
                // What decoding makes of it.
                return .failure(error)
            }
            return .search(wanted)
        case 75..<85: return .get(GetRequest(collection: name, ids: ids, withVector: true))
        case 85..<92: return .count(collection: name)
        case 92..<94: return .listCollections
        case 94..<96: return .status
        case 96..<97: return .checkpoint
        case 97..<98: return failure(.badRequest)
        case 98..<99: return .ping
        case 99: return .acceptLoss(shard: UInt32.random(in: 0...4, using: &random))
        default: return chance(10) ? .done : .listCollections
        }
    }

    /// Some worker answers something: rightly, wrongly, again, or from beyond the grave.
    mutating func answer() {
        guard !sent.isEmpty else { return }
        let index = Int.random(in: 0..<sent.count, using: &random)
        let wanted = sent[index]
        if chance(90) { sent.remove(at: index) }
        let message = chance(3) ? pick(Self.noise) : reply(to: wanted.message)
        let id = chance(2) ? random.next() >> UInt64.random(in: 0..<64, using: &random) : wanted.id
        apply(
            .workerMessage(
                replica: ReplicaID(shard: Int(wanted.shard)),
                incarnation: wanted.incarnation,
                Envelope(requestID: id, message: message)
            )
        )
    }

    static let noise: [Message] = [
        .done, .ping, .collections([]), hits([[(1, 1)]]), hits([]), written(upserted: .max),
        .counted(CountReply(count: .max, coverage: .one)), failure(.notFound),
        .listCollections, .status,
    ]

    private mutating func reply(to message: Message) -> Message {
        if chance(8) {
            return failure(pick([.unavailable, .notFound, .resourceExhausted, .alreadyExists]))
        }
        switch message {
        case .shardWrite: return written(upserted: random.next() % 10)
        case .get(let get):
            let records = get.ids.filter { _ in chance(80) }
                .map { Record(id: $0, metadata: nil, vector: nil) }
            return .records(RecordsReply(element: .f32, records: records, coverage: .one))
        case .count: return .counted(CountReply(count: random.next() % 100, coverage: .one))
        case .shardSearch(let order):
            let list = (0..<min(order.limit, 5)).map { (UInt64($0) * 7, Float($0)) }
            return hits(Array(repeating: list, count: order.request.count))
        case .listCollections:
            return .collections(names.filter { _ in chance(70) }.map { info($0) })
        case .list: return .listed(ListReply(order: 1, next: random.next() % 2, ids: [.number(3)]))
        case .search, .write, .acceptLoss, .status, .checkpoint, .ping, .stop: return .done
        case .written, .records, .counted, .hits, .collections, .shardStatus, .clusterStatus, .done,
            .failure, .listed, .announcement:
            return .done
        }
    }

    /// A worker starts, recovers, gets ready or announces nonsense.
    mutating func life() {
        let shard = Int.random(in: 0..<shards, using: &random)
        guard let incarnation = processes[shard] else { return }
        if core.workerState(shard) == .spawning, chance(10) {
            processes[shard] = nil
            apply(
                .workerSpawnFailed(
                    replica: ReplicaID(shard: shard),
                    incarnation: incarnation,
                    reason: "x"
                )
            )
            return
        }
        apply(.workerSpawned(replica: ReplicaID(shard: shard), incarnation: incarnation, pid: 5))
        let state = chance(2) ? pick(WorkerState.allCases) : chance(30) ? .recovering : .ready
        announce(shard, state == .quarantined && shard > 0 ? .ready : state)
    }

    private mutating func announce(_ shard: Int, _ state: WorkerState) {
        guard let incarnation = processes[shard] else { return }
        let announcement = WorkerAnnouncement(
            shard: UInt32(shard),
            incarnation: incarnation,
            state: state,
            progress: ShardProgress(
                history: chance(95) ? 1 : 2,
                generation: .random(in: 0...3, using: &random),
                durableLSN: .random(in: 0...3, using: &random)
            ),
            collections: names.filter { _ in chance(60) }.map { info($0, dim: chance(95) ? 2 : 3) }
        )
        apply(
            .workerMessage(
                replica: ReplicaID(shard: shard),
                incarnation: incarnation,
                Envelope(requestID: 0, message: .announcement(announcement))
            )
        )
    }

    mutating func die() {
        let shard = Int.random(in: 0..<shards, using: &random)
        guard let incarnation = processes[shard] else { return }
        if chance(40) {
            apply(
                .workerConnectionLost(
                    replica: ReplicaID(shard: shard),
                    incarnation: incarnation,
                    reason: ""
                )
            )
        }
        if chance(80) { bury(shard) }
    }

    private mutating func bury(_ shard: Int) {
        guard let incarnation = processes[shard] else { return }
        // Dead when the core hears of it, so that it must not send there any more.
        processes[shard] = nil
        apply(
            .workerExited(
                replica: ReplicaID(shard: shard),
                incarnation: incarnation,
                status: 0,
                signal: chance(50) ? 9 : 0
            )
        )
    }

    /// Lets time pass until everything is answered, then stops the cluster.
    mutating func settle() {
        for _ in 0..<20 {
            now += 50 * second
            apply(.tick)
        }
        #expect(core.pendingCount == 0)
        #expect(core.pendingByteCount == 0)
        #expect(open.isEmpty, "never answered")
        apply(.stopRequested(signal: 15))
        for shard in 0..<shards { bury(shard) }
        #expect(core.isFinished && finishedAt != nil)
        let after = answered
        apply(.tick)
        #expect(answered == after)
    }
}

@Suite struct FuzzTests {
    /// Run with the seed that a failure prints to see it again.
    @Test(arguments: 0..<24) func answersEveryRequestExactlyOnceWhateverHappens(run: UInt64) throws
    {
        let seed = run &* 0x9E37_79B9_7F4A_7C15 &+ 2026
        let traces = try (0..<2).map { _ in
            var fuzz = try Fuzz(seed: seed)
            fuzz.apply(.started)
            for _ in 0..<1500 { fuzz.step() }
            fuzz.settle()
            #expect(fuzz.answered > 50)
            return fuzz.trace
        }
        #expect(traces[0] == traces[1], "seed \(seed) gave two different runs")
    }
}
