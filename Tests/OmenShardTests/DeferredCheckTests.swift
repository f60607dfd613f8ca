import Foundation
import OmenCore
import OmenIndex
import OmenStorage
import Testing

@testable import OmenShard

/// What opening leaves unchecked is found soon after, and goes into no new file.
@Suite struct DeferredCheckTests {
    private static let lazyKinds =
        VectorIndex.Section.allCases.filter(\.isPerRow).map(\.rawValue)
        + RecordSection.allCases.filter { $0 != .state }.map(\.rawValue)

    /// Makes a shard with a file whose sections are all there; returns the file's path.
    static func make(_ directory: String) throws -> String {
        let harness = try EngineHarness(directory)
        let schema = CollectionSchema(dim: 8, metric: .cosine, element: .u8)
        try harness.write(.createCollection(name: "c", schema: schema))
        try harness.write(.upsert(batch(300, seed: 1)))
        try harness.write(.upsert(batch(300, start: 300, seed: 2, texts: true)))
        harness.linkEverything()
        try harness.checkpoint()
        let name = try #require(harness.engine.store.ordered.first?.file?.name)
        harness.engine.close()
        return "\(directory)/\(name)"
    }

    /// Inverts a bit in the middle of a section; a second call restores it.
    static func flip(_ path: String, kind: UInt32) throws {
        let identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 0)
        let file = try openShardFile(path, identity)
        let bytes = try #require(file.bytes(of: kind))
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let section = Data(bytes)
        let place = try #require(whole.range(of: section)?.lowerBound) + section.count / 2
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try handle.seek(toOffset: UInt64(place))
        try handle.write(contentsOf: [whole[place] ^ 4])
        try handle.close()
    }

    private static func kinds(_ path: String) throws -> [UInt32] {
        let identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 0)
        return try openShardFile(path, identity).kinds
    }

    @Test func damageInAnyLargeSectionStopsTheShardSoonAfterOpening() throws {
        try withTemporaryDirectory { directory in
            let path = try Self.make(directory)
            let kinds = try Self.kinds(path).filter(Self.lazyKinds.contains)
            #expect(kinds.count >= 8)
            for kind in kinds {
                try Self.flip(path, kind: kind)
                let harness = try EngineHarness(directory)
                try harness.wait { harness.failure != nil }
                let failure = try #require(harness.failure)
                #expect(failure.code == .corrupt, "section \(kind)")
                #expect(failure.message.contains(path), "section \(kind)")
                harness.engine.close()
                try Self.flip(path, kind: kind)
            }
            let harness = try EngineHarness(directory)
            try harness.wait { !harness.engine.store.isLinkingHeld }
            #expect(harness.failure == nil)
        }
    }

    @Test func aWholeCheckFindsItBeforeAnythingIsServed() throws {
        try withTemporaryDirectory { directory in
            let path = try Self.make(directory)
            for kind in try Self.kinds(path).filter(Self.lazyKinds.contains) {
                try Self.flip(path, kind: kind)
                let error = #expect(throws: OmenError.self, "section \(kind)") {
                    _ = try EngineHarness(directory, checksWhole: true)
                }
                #expect(error?.code == .corrupt)
                try Self.flip(path, kind: kind)
            }
            _ = try EngineHarness(directory, checksWhole: true)
        }
    }

    /// A checkpoint gives new checksums to what it reads: damage would be hidden for ever.
    @Test func noCheckpointIsMadeOfDamagedRows() throws {
        try withTemporaryDirectory { directory in
            let path = try Self.make(directory)
            try Self.flip(path, kind: VectorIndex.Section.vectors.rawValue)
            let before = try FileManager.default.contentsOfDirectory(atPath: directory)
            let harness = try EngineHarness(directory)
            try harness.write(.upsert(batch(10, start: 5000, seed: 3)))
            let error = #expect(throws: OmenError.self) { try harness.checkpoint() }
            #expect(error?.message.contains(path) == true)
            let after = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(
                after.filter { $0.hasSuffix("omd") }.sorted()
                    == before.filter { $0.hasSuffix("omd") }.sorted()
            )
        }
    }

    @Test func nothingIsLinkedBeforeTheLinksAreChecked() throws {
        try withTemporaryDirectory { directory in
            _ = try Self.make(directory)
            let harness = try EngineHarness(directory)
            try harness.write(.upsert(batch(10, start: 5000, seed: 3)))
            #expect(!harness.engine.store.hasRowsToLink)
            #expect(harness.engine.link(atMost: 10) == 0)
            harness.linkEverything()
            let collection = try harness.engine.store.collection("c")
            #expect(collection.linkedCount == collection.rowCount)
        }
    }

    /// A file with such a version has checksums that hold.
    @Test func versionsAtTheLimitAreRefusedByTheirRow() throws {
        var check = RecordTable.ColumnCheck(try RecordTable())
        let kind = RecordSection.versions.rawValue
        let good: [UInt64] = [0, 7, WriteVersions.limit - 1]
        try good.withUnsafeBytes { try check.add($0, of: kind, at: 0) }
        let error = #expect(throws: OmenError.self) {
            try [1, WriteVersions.limit].withUnsafeBytes { try check.add($0, of: kind, at: 24) }
        }
        #expect(error?.code == .corrupt && error?.message.contains("row 4") == true)
    }

    /// A file with such slots has checksums that hold.
    @Test func slotsThatNameNoRowOrCountWrongAreRefused() throws {
        let table = try RecordTable()
        for number in 0..<10 {
            _ = try table.append(.number(UInt64(number)), metadata: [], version: 1)
        }
        func check(_ change: (inout [UInt32]) -> Void) throws {
            var slots = Array(UnsafeBufferPointer(start: table.slots, count: table.slotCapacity))
            change(&slots)
            var check = RecordTable.ColumnCheck(table)
            try slots.withUnsafeBytes { bytes in
                let kind = RecordSection.idSlots.rawValue
                for part in [bytes[..<400], bytes[400...]] {
                    try check.add(UnsafeRawBufferPointer(rebasing: part), of: kind, at: 0)
                }
            }
            try check.finish()
        }
        try check { _ in }
        let used = try #require((0..<table.slotCapacity).first { table.slots[$0] != 0 })
        let free = try #require((0..<table.slotCapacity).first { table.slots[$0] == 0 })
        #expect(throws: OmenError.self) { try check { $0[used] = 11 } }
        #expect(throws: OmenError.self) { try check { $0[used] = 0 } }
        #expect(throws: OmenError.self) { try check { $0[used] = .max } }
        #expect(throws: OmenError.self) { try check { $0[free] = 1 } }
    }
}
