import Foundation
import OmenCore
import OmenIndex
import OmenStorage
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8)
private let create = WriteOperation.createCollection(name: "c", schema: schema)

@Suite struct ShardEngineTests {
    @Test func whatWasAcknowledgedIsThereAfterReopening() throws {
        try withTemporaryDirectory { directory in
            let written = batch(500, seed: 1)
            let probe = Array(written.vectors[0..<8])
            let before: [Hit]
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                #expect(try harness.write(.upsert(written)).upserted == 500)
                try harness.write(.delete(collection: "c", ids: [.number(3), .number(9999)]))
                before = try harness.exact(probe, k: 20)
                // No close: the process may as well have been killed here.
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 3)
            #expect(try harness.exact(probe, k: 20) == before)
            #expect(try harness.engine.store.collection("c").vectorCount == 499)
        }
    }

    @Test func aCheckpointIsMappedAndNotReplayed() throws {
        try withTemporaryDirectory { directory in
            let texts = batch(300, seed: 2, texts: true)
            let probe = Array(texts.vectors[80..<88])
            let before: [Hit]
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(texts))
                try harness.write(.upsert(batch(200, start: 7, seed: 3)))
                try harness.write(.delete(collection: "c", ids: [.text("id-5")]))
                harness.linkEverything()
                try harness.checkpoint()
                before = try harness.exact(probe, k: 50)
                harness.engine.close()
            }
            do {
                let harness = try EngineHarness(directory)
                #expect(harness.engine.replayedCount == 0)
                let collection = try harness.engine.store.collection("c")
                #expect(collection.linkedCount == 500)
                #expect(try harness.exact(probe, k: 50) == before)
                #expect(before.first?.id == .text("id-10"))
                // It goes on: replaced rows, new rows, another checkpoint, another opening.
                #expect(try harness.write(.upsert(texts)).replaced == 299)
                try harness.checkpoint()
                harness.engine.close()
            }
            let again = try EngineHarness(directory)
            #expect(try again.engine.store.collection("c").vectorCount == 500)
            #expect(again.engine.replayedCount == 0)
        }
    }

    @Test func writesDuringACheckpointAreKept() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(400, seed: 4)))
                harness.engine.checkpoint(ticket: 1_000_000)
                try harness.write(.upsert(batch(100, start: 350, seed: 5)))
                try harness.write(.delete(collection: "c", ids: [.number(0)]))
                try harness.checkpoint()
                try harness.write(.upsert(batch(1, start: 1000, seed: 6)))
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(try harness.engine.store.collection("c").vectorCount == 450)
            #expect(harness.engine.replayedCount == 1)
        }
    }

    @Test func aRetryAfterReopeningIsAnsweredFromTheLogOrTheCheckpoint() throws {
        try withTemporaryDirectory { directory in
            let key = RequestKey(client: 5, sequence: 77)
            let operation = WriteOperation.upsert(batch(10, seed: 7))
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(operation, key: key)
            }
            do {
                let harness = try EngineHarness(directory)
                try harness.write(.clearCollection(name: "c"))
                // Applied before the clear: repeating it would bring the records back.
                #expect(try harness.write(operation, key: key) == WriteCounts(upserted: 10))
                #expect(try harness.engine.store.collection("c").vectorCount == 0)
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(try harness.write(operation, key: key) == WriteCounts(upserted: 10))
            #expect(try harness.engine.store.collection("c").vectorCount == 0)
        }
    }

    /// A merge takes the order for granted, and an id that was written again has a younger row than
    /// its equals.
    @Test func equalDistancesAreOrderedByID() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            let vector = [UInt8](repeating: 9, count: 8)
            for id in [UInt64(5), 2, 8, 2, 1] {
                let batch = UpsertBatch(
                    collection: "c",
                    element: .u8,
                    dim: 8,
                    ids: [.number(id)],
                    vectors: vector
                )
                try harness.write(.upsert(batch))
            }
            let hits = try harness.exact(vector, k: 4)
            #expect(hits.map(\.id) == [.number(1), .number(2), .number(5), .number(8)])
        }
    }

    @Test func droppedAndClearedCollectionsStayGone() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                for name in ["c", "d", "e"] {
                    try harness.write(.createCollection(name: name, schema: schema))
                    try harness.write(.upsert(batch(20, seed: 8, collection: name)))
                }
                try harness.checkpoint()
                #expect(try harness.write(.dropCollection(name: "d")).deleted == 20)
                #expect(try harness.write(.clearCollection(name: "e")).deleted == 20)
            }
            for _ in 0..<2 {
                let harness = try EngineHarness(directory)
                #expect(harness.engine.store.ordered.map(\.name) == ["c", "e"])
                #expect(try harness.engine.store.collection("e").vectorCount == 0)
                #expect(try harness.engine.store.collection("c").vectorCount == 20)
                try harness.checkpoint()
                harness.engine.close()
            }
        }
    }

    @Test func anUnchangedCollectionKeepsItsFile() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            for name in ["c", "d"] {
                try harness.write(.createCollection(name: name, schema: schema))
                try harness.write(.upsert(batch(20, seed: 9, collection: name)))
            }
            harness.linkEverything()
            try harness.checkpoint()
            let store = harness.engine.store
            let (c, d) = (
                try store.collection("c").file?.name, try store.collection("d").file?.name
            )
            try harness.write(.delete(collection: "d", ids: [.number(1)]))
            try harness.checkpoint()
            #expect(try store.collection("c").file?.name == c)
            #expect(try store.collection("d").file?.name != d)
            harness.engine.close()
        }
    }

    @Test func linksMadeAfterACheckpointAreSavedByTheNext() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(100, seed: 10)))
                try harness.checkpoint()
                harness.linkEverything()
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(try harness.engine.store.collection("c").hotRowCount == 0)
        }
    }

    /// A collection that keeps its file is not frozen: what is linked in it while the checkpoint of
    /// another one runs is in no file yet.
    @Test func linksMadeDuringACheckpointAreSavedByTheNext() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(100, seed: 10)))
                try harness.checkpoint()
                try harness.write(.createCollection(name: "d", schema: schema))
                try harness.checkpoint(meanwhile: { harness.linkEverything() })
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(try harness.engine.store.collection("c").hotRowCount == 0)
        }
    }

    /// A full disk must not fill up with the files of checkpoints that came to nothing.
    @Test func aFailedCheckpointLeavesNoFilesAndLinkingGoesOn() throws {
        try withTemporaryDirectory { directory in
            let files = FileManager.default
            do {
                let harness = try EngineHarness(directory)
                for name in ["c", "d"] {
                    try harness.write(.createCollection(name: name, schema: schema))
                    try harness.write(.upsert(batch(20, seed: 12, collection: name)))
                }
                // Where the file of the second collection would be written.
                let obstacle = "\(directory)/ckpt-0000000000000004-0101.omd.tmp"
                try files.createDirectory(atPath: obstacle, withIntermediateDirectories: false)
                #expect(throws: OmenError.self) { try harness.checkpoint() }
                let left = try files.contentsOfDirectory(atPath: directory)
                #expect(!left.contains { $0.hasSuffix(".omd") }, "left: \(left)")
                try files.removeItem(atPath: obstacle)
                harness.linkEverything()
                #expect(!harness.engine.store.hasRowsToLink)
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 0)
            #expect(try harness.engine.store.collection("d").vectorCount == 20)
        }
    }

    /// Writes replayed behind such a file would be taken for saved in it.
    @Test func aFileNewerThanItsCheckpointIsRefused() throws {
        try withTemporaryDirectory { directory in
            let identity = ShardIdentity(cluster: ClusterUUID(high: 1, low: 2), shard: 0)
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(20, seed: 13)))
                try harness.checkpoint()
                harness.engine.close()
            }
            var manifest = try #require(
                try ShardManifest.load(Directory(directory), identity: identity)
            )
            manifest.current.appliedLSN = 1
            manifest.previous = nil
            try manifest.store(Directory(directory))
            do {
                _ = try EngineHarness(directory)
                Issue.record("the shard was opened")
            } catch let error as OmenError {
                #expect(error.code == .corrupt)
                #expect(error.message.contains("newer than the checkpoint at LSN 1"))
            }
        }
    }

    /// Metadata is asked for by the hit: few queries for all of it once took gigabytes.
    @Test func anAnswerThatNoFrameCarriesIsRefusedBeforeItIsMade() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            var large = batch(100, seed: 14)
            let text = String(repeating: "x", count: Limits.metadataByteCountMax - 8)
            large.metadata = large.ids.map { _ in Array("{\"t\":\"\(text)\"}".utf8) }
            try harness.write(.upsert(large))
            let store = harness.engine.store
            var query = SearchRequest(
                collection: "c",
                element: .u8,
                dim: 8,
                vectors: Array(large.vectors.prefix(8 * 12)),
                count: 12,
                limit: 100
            )
            #expect(try store.search(query).hits.count == 1200)
            query.withMetadata = true
            #expect(throws: OmenError.self) { try store.search(query) }
            let ids = (0..<12).flatMap { _ in large.ids }
            #expect(throws: OmenError.self) {
                try store.records(ids, in: "c", withVector: false)
            }
            #expect(try store.records(large.ids, in: "c", withVector: true).count == 100)
        }
    }

    /// Otherwise the worker's idle work would spin for as long as a checkpoint runs.
    @Test func nothingCanBeLinkedWhileACheckpointHoldsTheGraph() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(50, seed: 12)))
            let (store, collection) = (
                harness.engine.store, try harness.engine.store.collection("c")
            )
            #expect(store.hasRowsToLink)
            _ = collection.index.freeze()
            #expect(!store.hasRowsToLink)
            #expect(harness.engine.link(atMost: 10) == 0)
            collection.index.thaw()
            #expect(store.hasRowsToLink)
            harness.linkEverything()
            #expect(!store.hasRowsToLink)
        }
    }

    /// A worker that is silent for long is killed, and a large file or a few large records take
    /// long.
    @Test func openingTellsOfEveryStep() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(20, seed: 15)))
                try harness.checkpoint()
                try harness.write(.upsert(batch(20, seed: 16)))
                try harness.write(.upsert(batch(20, seed: 17)))
                harness.engine.close()
            }
            for (checksWhole, least) in [(true, 5), (false, 3)] {
                var calls: [UInt64] = []
                _ = try EngineHarness(directory, checksWhole: checksWhole) { calls.append($0) }
                #expect(calls.filter { $0 == 0 }.count >= least, "one for each section at least")
                #expect(Array(calls.suffix(2)) == [1, 2])
            }
        }
    }

    @Test func aSecondOpenerIsToldWhoHoldsTheShard() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            do {
                _ = try EngineHarness(directory)
                Issue.record("two engines opened one shard")
            } catch let error as OmenError {
                #expect(error.code == .locked)
                #expect(error.message.contains("\(getpid())"))
            }
            #expect(harness.engine.store.ordered.isEmpty)
        }
    }

    @Test func filesOfAnotherShardAreRefused() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory, shard: 1)
                try harness.write(create)
                try harness.checkpoint()
                harness.engine.close()
            }
            #expect(throws: OmenError.self) { try EngineHarness(directory, shard: 2) }
        }
    }

    @Test(arguments: ["omd", "wal"])
    func aFlippedByteIsDetectedWhenOpening(kind: String) throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(200, seed: 11)))
                try harness.checkpoint()
                for round in 0..<5 {
                    try harness.write(.upsert(batch(20, start: 1000, seed: UInt64(round))))
                }
                harness.engine.close()
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
            let name = try #require(names.last { $0.hasSuffix(kind) })
            let path = "\(directory)/\(name)"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            // In the first batch of the log, or inside the first section of the shard file.
            bytes[kind == "wal" ? 150 : 4096 + 10] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
            do {
                _ = try EngineHarness(directory)
                Issue.record("a flipped byte in \(name) was not noticed")
            } catch let error as OmenError {
                #expect(error.code == .corrupt)
                #expect(error.message.contains(name))
            }
        }
    }
}
