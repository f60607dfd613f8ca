import OmenCoordinator
import OmenCore
import OmenStorage
import OmenWire
import StorageTestSupport

/// A whole cluster in virtual time: the real coordinator and the real engines of shards, with their
/// logs, checkpoints, recoveries, checks and builds, a simulated network, and simulated disks that
/// forget what was not synced.
///
/// Everything follows from the seed. Two phases: under faults nothing promised may be broken; then
/// faults stop, and within a bound every shard must serve and every client must be done.
final class Simulation {
    let seed: UInt64
    let mutant: Mutant
    let durability: Durability
    var random: SplitMix64
    private(set) var now: UInt64 = 1_000_000_000
    var queue = EventQueue()
    private(set) var violations: [String] = []
    /// Hash of everything that happened, in order: equal for equal seeds.
    private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    var tally = Tally()

    let shardCount: Int
    let disks: [MemoryDisk]
    var workers: [SimulatedWorker?]
    var core: CoordinatorCore?
    /// Counts coordinators; what belongs to an older one is dropped.
    var epoch: UInt64 = 0
    /// What the cluster's manifest knows of the shards; durable as a whole or not at all.
    var cluster: ClusterDirectory
    var unfinishedDrops: [UnfinishedDrop] = []
    private(set) var clients: [any SimulatedCaller] = []
    var connections: [UInt64: any SimulatedCaller] = [:]
    var nextConnection: UInt64 = 0
    /// Messages on one stream arrive in order: the latest arrival so far, by stream.
    var arrivals: [String: UInt64] = [:]
    private(set) var faultsAllowed = true
    /// The shard whose files were taken away or have rotted.
    var damaged: Int?
    /// The last version that each shard was seen to give.
    var versions: [UInt64]
    /// Whether every opening checks everything first.
    var opensWhole = false
    /// What files were like before they rotted, by path.
    var unrotted: [String: [UInt8]] = [:]
    /// What a disk says that fails once.
    static let diskError = OmenError(.ioFailure, "injected EIO")

    init(seed: UInt64, mutant: Mutant = .none, shards: Int = 3, clients: Int = 3, writes: Int = 25)
    {
        self.seed = seed
        self.mutant = mutant
        random = SplitMix64(seed: seed)
        // Only `always` promises anything after a power cut, and power cuts are half of the faults.
        durability = .always
        shardCount = shards
        disks = (0..<shards).map { _ in MemoryDisk() }
        workers = Array(repeating: nil, count: shards)
        versions = Array(repeating: 0, count: shards)
        cluster = Self.newCluster(shards)
        self.clients = (0..<UInt64(clients)).map {
            SimulatedClient(self, number: $0, writes: writes)
        }
        self.clients.append(SimulatedDropper(self, number: UInt64(clients), rounds: writes / 5))
    }

    func draw(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &random) }

    func schedule(after delay: UInt64, _ action: @escaping () -> Void) {
        queue.schedule(at: now + delay, action)
    }

    func violation(_ text: String) { violations.append("t=\(now / 1_000_000) ms: \(text)") }

    /// Notes what happened.
    func note(_ what: String) {
        let checksum = crc32c(Array("\(now) \(what)".utf8))
        trace = (trace ^ UInt64(checksum)) &* 0x100_0000_01B3
    }

    /// Whose files those of a shard must be.
    func identity(of shard: Int) -> ShardIdentity {
        ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: UInt32(shard))
    }

    /// Runs to the end.
    func run() {
        startCoordinator()
        for client in clients { connect(client) }
        scheduleFault()
        advance(for: 20_000_000_000) { self.clients.allSatisfy(\.isFinished) }
        faultsAllowed = false
        // Liveness: nothing goes wrong any more, so all must come to an end.
        advance(for: 120_000_000_000) {
            self.clients.allSatisfy(\.isFinished) && self.core?.readyShards.count == self.shardCount
        }
        let isServing = core?.readyShards.count == shardCount
        if violations.isEmpty, !isServing || !clients.allSatisfy(\.isFinished) {
            violation("faults ended, but not all shards serve or not all writes were answered")
        }
        for client in clients { client.readAtTheEnd() }
        advance(for: 60_000_000_000) { self.clients.allSatisfy(\.isLastReadDone) }
        if violations.isEmpty, !clients.allSatisfy(\.isLastReadDone) {
            violation("the last reads were not answered")
        }
        if violations.isEmpty { damageShard() }
        tally.acknowledged = clients.reduce(0) { $0 + $1.acknowledged }
        for worker in workers { worker?.end() }
        workers = []
        connections = [:]
        // What is still scheduled refers to this object and would keep it. Engines that go with it
        // may schedule their end.
        while !queue.isEmpty {
            let left = queue
            queue = EventQueue()
            withExtendedLifetime(left) {}
        }
    }

    func advance(for duration: UInt64, until done: () -> Bool) {
        let end = now + duration
        while violations.isEmpty, !done(), let (time, action) = queue.next() {
            now = time
            action()
            if now > end { return }
        }
    }
}
