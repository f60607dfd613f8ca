import OmenCore
import OmenIndex
import Testing

@testable import OmenShard

/// A shard against a dictionary: random writes, with checkpoints and rebuilds running under them,
/// reopened again and again.
///
/// A third part follows all of it.
///
/// Under the thread sanitizer this is the test of what the threads of checkpoint and rebuild may
/// read while the owner appends, deletes, links, searches, clears and drops.
@Suite struct ShardModelTests {
    private struct Stored: Equatable {
        var vector: [UInt8]
        var metadata: [UInt8]?
    }

    private static let names = ["a", "b", "c"]
    private static let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)

    private final class Model {
        var collections: [String: [RecordID: Stored]] = [:]
        var random: SplitMix64

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        func draw(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

        func id() -> RecordID {
            let number = UInt64(draw(0..<400))
            return number % 3 == 0 ? .text("text-\(number)") : .number(number)
        }

        /// The next operation, applied to the model; and what it must say that it deleted.
        func operation() -> (WriteOperation, deleted: Int?) {
            let name = names[draw(0..<names.count)]
            guard let records = collections[name] else {
                collections[name] = [:]
                return (.createCollection(name: name, schema: schema), 0)
            }
            switch draw(0..<40) {
            case 0:
                collections[name] = nil
                return (.dropCollection(name: name), records.count)
            case 1:
                collections[name] = [:]
                return (.clearCollection(name: name), records.count)
            case 2..<14:
                let ids = (0..<draw(1..<30)).map { _ in id() }
                var deleted = 0
                for id in ids where collections[name]?.removeValue(forKey: id) != nil {
                    deleted += 1
                }
                return (.delete(collection: name, ids: ids), deleted)
            default: return (.upsert(upsert(into: name)), 0)
            }
        }

        private func upsert(into name: String) -> UpsertBatch {
            let ids = (0..<draw(1..<60)).map { _ in id() }
            var vectors: [UInt8] = []
            var metadata: [[UInt8]] = []
            for id in ids {
                let vector = (0..<8).map { _ in UInt8(draw(0..<256)) }
                let text = draw(0..<2) == 0 ? [] : Array("{\"n\":\(draw(0..<1_000_000))}".utf8)
                vectors += vector
                metadata.append(text)
                collections[name]?[id] = Stored(
                    vector: vector,
                    metadata: text.isEmpty ? nil : text
                )
            }
            return UpsertBatch(
                collection: name,
                element: .u8,
                dim: 8,
                ids: ids,
                vectors: vectors,
                metadata: metadata
            )
        }
    }

    private func compare(_ harness: EngineHarness, _ model: Model, _ what: Comment) throws {
        let store = harness.engine.store
        #expect(Set(store.schemas.keys) == Set(model.collections.keys), what)
        for (name, records) in model.collections {
            let collection = try store.collection(name)
            #expect(collection.vectorCount == records.count, what)
            let hits = try harness.exact([UInt8](repeating: 99, count: 8), k: 1000, in: name)
            let found = hits.map {
                ($0.id, Stored(vector: $0.vector ?? [], metadata: $0.metadata))
            }
            #expect(Dictionary(found) { first, _ in first } == records, what)
            #expect(hits.count == records.count, what)
            try collection.index.checkInvariants()
            try expectMarks(collection, what)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func agreesWithADictionaryWhileCheckpointsRun(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            let model = Model(seed: seed)
            for life in 0..<4 {
                let what: Comment = "seed \(seed), life \(life)"
                let harness = try EngineHarness(
                    directory,
                    durability: .none,
                    partTypes: PartTypes(derived: [MarkPart.self])
                )
                try compare(harness, model, what)
                for step in 0..<120 {
                    let (operation, deleted) = model.operation()
                    let counts = try harness.write(operation)
                    if let deleted { #expect(counts.deleted == UInt64(deleted), what) }
                    if step % 10 == 3 { harness.engine.checkpoint(ticket: 1 << 40) }
                    if step % 7 == 5 { harness.engine.maintain() }
                    _ = harness.engine.work(atMost: model.draw(1..<40))
                    guard let name = model.collections.keys.sorted().first else { continue }
                    _ = try harness.exact([UInt8](repeating: 5, count: 8), k: 5, in: name)
                }
                try compare(harness, model, what)
                // Every other life ends as if it were killed.
                if life % 2 == 0 { harness.engine.close() }
            }
        }
    }
}
