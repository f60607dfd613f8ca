import OmenCore
import OmenStorage
import StorageTestSupport
import Testing

@testable import OmenShard

@Suite struct LostDirectoryTests {
    /// A worker was killed after it had made the shard's directory and before that was durable.
    ///
    /// The next one found the directory, took it for durable, and a power cut took the whole shard
    /// away with writes that were acknowledged.
    @Test(arguments: 1...4, 1...6)
    func aDirectoryWhoseMakerDiedIsMadeDurableByTheNextStart(
        lastOperation: Int,
        seed: UInt64
    ) throws {
        let path = DataDirectory.shard(0, in: Directory(MemoryDisk.homePath)).path
        let disk = MemoryDisk()
        let death = OmenError(.ioFailure, "killed")
        disk.faults = [MemoryDisk.Fault(operation: lastOperation, error: death, isLast: true)]
        #expect(throws: OmenError.self) { _ = try EngineHarness(path, on: disk.files) }
        disk.killProcess()
        let harness = try EngineHarness(path, on: disk.files)
        let schema = CollectionSchema(dim: 8, element: .u8)
        try harness.write(.createCollection(name: "c", schema: schema))
        try harness.write(.upsert(batch(5, seed: 1)))
        let progress = harness.engine.progress
        var random = SplitMix64(seed: seed)
        disk.cutPower(using: &random)
        harness.engine.close()
        let again = try EngineHarness(path, on: disk.files, expected: progress)
        #expect(again.engine.store.collections["c"]?.vectorCount == 5)
    }
}
