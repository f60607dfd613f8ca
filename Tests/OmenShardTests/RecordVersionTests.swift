import OmenCore
import OmenSystem
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)

/// When records were written, as rows keep it.
@Suite struct RecordVersionTests {
    private func versions(_ harness: EngineHarness) throws -> [RecordID: UInt64] {
        let ids = try harness.engine.store.collection("c").storedRecords().ids
        let records = try harness.engine.store.records(ids, in: "c", withVector: false)
        var versions: [RecordID: UInt64] = [:]
        for record in records {
            let version: UInt64 = try #require(record.version)
            versions[record.id] = version
        }
        return versions
    }

    @Test func theRecordsOfOneWriteHaveOneVersionAndLaterWritesLargerOnes() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            defer { harness.engine.close() }
            let start = TimeSource.system.microsecondsSince1970
            try harness.write(.createCollection(name: "c", schema: schema))
            try harness.write(.upsert(batch(300, seed: 1)))
            let first = try versions(harness)
            #expect(Set(first.values).count == 1)
            try harness.write(.upsert(batch(100, start: 250, seed: 2, texts: false)))
            let second = try versions(harness)
            for (id, version) in second {
                guard case .number(let number) = id else { continue }
                #expect((version == first[.number(0)]) == (number < 250), "\(id)")
                #expect((start...TimeSource.system.microsecondsSince1970).contains(version))
            }
            #expect(Set(second.values).count == 2)
            #expect(second[.number(250)] == second.values.max())
        }
    }

    @Test func versionsSurviveReplayCheckpointAndBuild() throws {
        try withTemporaryDirectory { directory in
            var expected: [RecordID: UInt64] = [:]
            func reopened(_ body: (EngineHarness) throws -> Void) throws {
                let harness = try EngineHarness(directory)
                defer { harness.engine.close() }
                if !expected.isEmpty { #expect(try versions(harness) == expected) }
                try body(harness)
                expected = try versions(harness)
            }
            try reopened { harness in
                try harness.write(.createCollection(name: "c", schema: schema))
                for part in UInt64(0)..<12 {
                    try harness.write(.upsert(batch(100, start: part * 90, seed: part)))
                }
                try harness.write(.delete(collection: "c", ids: (0..<100).map { .number($0) }))
            }
            try reopened { harness in
                #expect(harness.engine.replayedCount == 14)
                try harness.checkpoint()
            }
            try reopened { harness in
                #expect(harness.engine.replayedCount == 0)
                let newest = try #require(expected.values.max())
                #expect(harness.engine.core.appliedVersion > newest, "the delete had one")
                try harness.write(.upsert(batch(50, start: 500, seed: 77, texts: true)))
                #expect(try versions(harness)[.text("id-500")].map { $0 > newest } == true)
                let before = try versions(harness)
                try harness.settle()
                let collection = try harness.engine.store.collection("c")
                #expect(collection.orderCount > 0 && collection.deletedCount == 0)
                #expect(try versions(harness) == before)
                try harness.checkpoint()
            }
            try reopened { harness in #expect(harness.engine.replayedCount == 0) }
        }
    }
}
