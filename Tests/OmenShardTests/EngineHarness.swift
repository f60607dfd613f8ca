import Foundation
import OmenCore
import OmenStorage
import OmenSystem
import Synchronization
import Testing

@testable import OmenShard

/// Runs a `ShardEngine` as its owner does: one turn at a time, waiting for the other threads.
final class EngineHarness {
    let driver: ShardDriver
    var engine: ShardEngine { driver.engine }
    private let wakeups: Wakeups
    let time = HurriedTime()
    private var nextTicket: UInt64 = 0
    private var sequence: UInt64 = 0
    /// Another one for each harness, as every real client draws its own.
    private let client = UInt64.random(in: 1 ... .max)
    private var outcomes: [UInt64: Result<WriteCounts, OmenError>] = [:]
    private(set) var failure: OmenError?
    /// What the engine said of its progress, in order.
    private(set) var advances: [ShardProgress] = []

    final class Wakeups: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func signal() { semaphore.signal() }
        func wait() -> Bool { semaphore.wait(timeout: .now() + 600) == .success }
    }

    init(
        _ path: String,
        on files: any FileSystem = SystemFiles.shared,
        shard: UInt32 = 0,
        durability: Durability = .always,
        expected: ShardProgress? = nil,
        checksWhole: Bool = false,
        memoryByteCountMax: Int = .max,
        rebuildRowCountMin: Int = 400,
        buildGate: BuildGate = BuildGate(),
        partTypes: PartTypes = .standard,
        progress: (UInt64) -> Void = { _ in }
    ) throws {
        let wakeups = Wakeups()
        self.wakeups = wakeups
        var configuration = ShardEngine.Configuration(
            directory: Directory(path, on: files),
            identity: ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: shard),
            durability: durability,
            checksWhole: checksWhole,
            memoryByteCountMax: memoryByteCountMax
        )
        configuration.expected = expected
        configuration.rebuildRowCountMin = rebuildRowCountMin
        configuration.buildGate = buildGate
        configuration.partTypes = partTypes
        configuration.machine.time = TimeSource(simulated: time)
        let engine = try ShardEngine(
            configuration,
            progress: progress,
            wake: { wakeups.signal() }
        )
        driver = ShardDriver(engine)
        engine.onOutcome = { [unowned self] outcome in
            switch outcome {
            case .written(let ticket, let counts): self.outcomes[ticket] = .success(counts)
            case .refused(let ticket, let error): self.outcomes[ticket] = .failure(error)
            case .checkpointed(let ticket, let error):
                self.outcomes[ticket] = error.map { .failure($0) } ?? .success(WriteCounts())
            case .advanced: self.advances.append(self.engine.progress)
            case .failed(let error): self.failure = error
            }
        }
    }

    private func wait(for ticket: UInt64) throws -> WriteCounts {
        driver.endTurn()
        while outcomes[ticket] == nil {
            guard wakeups.wait() else { throw OmenError(.unavailable, "no outcome in 600 s") }
            driver.drain()
            driver.endTurn()
        }
        return try outcomes.removeValue(forKey: ticket)?.get() ?? WriteCounts()
    }

    @discardableResult
    func write(_ operation: WriteOperation, key: RequestKey? = nil) throws -> WriteCounts {
        nextTicket += 1
        sequence += 1
        let request = WriteRequest(
            key: key ?? RequestKey(client: client, sequence: sequence),
            operation: operation
        )
        engine.checkAndWrite(request, ticket: nextTicket)
        return try wait(for: nextTicket)
    }

    /// Writes a checkpoint; `meanwhile` runs when it is frozen and not yet written.
    func checkpoint(meanwhile: () throws -> Void = {}) throws {
        nextTicket += 1
        let ticket = nextTicket
        engine.checkpoint(ticket: ticket)
        try meanwhile()
        _ = try wait(for: ticket)
    }

    /// Links all rows one by one, as soon as that is allowed.
    func linkEverything() {
        for collection in engine.store.ordered { collection.isLinkingPaused = false }
        do { try wait { !self.engine.store.isLinkingHeld } } catch { Issue.record(error) }
        while engine.link(atMost: 64) > 0 {}
    }

    /// Lets the other threads' results in until `condition` holds.
    func wait(until condition: () -> Bool) throws {
        while !condition() {
            guard wakeups.wait() else { throw OmenError(.unavailable, "nothing came in 600 s") }
            driver.drain()
        }
    }

    /// Ticks and works until no rebuild is due or under way and all rows are linked.
    ///
    /// `meanwhile` runs between two looks.
    func settle(meanwhile: () throws -> Void = {}) throws {
        let end = ContinuousClock.now + .seconds(600)
        repeat {
            guard ContinuousClock.now < end else {
                throw OmenError(.unavailable, "not settled in 600 s")
            }
            time.skip(driver.tickInterval)
            driver.tick()
            driver.drain()
            while driver.work() {}
            driver.endTurn()
            try meanwhile()
        } while engine.store.ordered.contains { collection in
            engine.rebuildPermille(of: collection) != nil || collection.hotRowCount > 0
                || collection.isLinkingPaused
        }
    }

    /// Exact ids and distances of the `k` nearest.
    func exact(_ vector: [UInt8], k: Int, in collection: String = "c") throws -> [Hit] {
        var query = SearchRequest(
            collection: collection,
            element: .u8,
            dim: vector.count,
            vectors: vector,
            count: 1,
            limit: k
        )
        query.effort = .exact
        query.withMetadata = true
        query.withVector = true
        return try engine.store.search(query).hits
    }
}

/// The machine's time, of which a test may leave some out.
final class HurriedTime: SimulatedTime {
    private let skipped = Atomic<UInt64>(0)

    var nanoseconds: UInt64 { MonotonicClock.now + skipped.load(ordering: .relaxed) }
    var microsecondsSince1970: UInt64 {
        TimeSource.system.microsecondsSince1970 + skipped.load(ordering: .relaxed) / 1000
    }

    func sleep(nanoseconds: UInt64) { TimeSource.system.sleep(nanoseconds: nanoseconds) }

    /// Leaves so much time out.
    func skip(_ time: Duration) {
        skipped.add(UInt64(time / .nanoseconds(1)), ordering: .relaxed)
    }
}

/// A directory that goes away with the test.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "omen-shard-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer {
        do { try FileManager.default.removeItem(atPath: path) } catch {
            Issue.record("cannot remove \(path): \(error)")
        }
    }
    try body(path)
}

/// Opens the shard file of a path.
func openShardFile(_ path: String, _ identity: ShardIdentity) throws -> ShardFile {
    let file = URL(fileURLWithPath: path)
    let directory = Directory(file.deletingLastPathComponent().path)
    return try ShardFile(file.lastPathComponent, in: directory, identity: identity)
}

/// `count` vectors of 8 bytes drawn from `seed`, ids from `start` on, every third with metadata.
func batch(
    _ count: Int,
    start: UInt64 = 0,
    seed: UInt64,
    collection: String = "c",
    texts: Bool = false
) -> UpsertBatch {
    var random = SplitMix64(seed: seed)
    let ids = (0..<UInt64(count)).map { index -> RecordID in
        texts ? .text("id-\(start + index)") : .number(start + index)
    }
    return UpsertBatch(
        collection: collection,
        element: .u8,
        dim: 8,
        ids: ids,
        vectors: (0..<count * 8).map { _ in UInt8.random(in: 0...255, using: &random) },
        metadata: ids.indices.map { $0 % 3 == 0 ? Array("{\"n\":\($0)}".utf8) : [] }
    )
}

extension EngineHarness {
    /// Deletes or replaces forty of about a thousand records, as a test does beside a build.
    func writeSomewhere(using random: inout SplitMix64) throws {
        let start = UInt64.random(in: 0..<950, using: &random)
        if random.next() % 3 == 0 {
            let ids = (start..<start + 40).map { RecordID.number($0) }
            try write(.delete(collection: "c", ids: ids))
        } else {
            try write(.upsert(batch(40, start: start, seed: random.next())))
        }
    }
}
