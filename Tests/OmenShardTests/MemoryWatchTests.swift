import OmenCore
import Testing

@testable import OmenShard

@Suite struct MemoryWatchTests {
    private let key = RequestKey(client: 0, sequence: 0)

    private func upsert(_ count: Int) throws -> ShardWrite {
        let batch = batch(count, seed: 1)
        let schema = CollectionSchema(dim: batch.dim, element: batch.element)
        return ShardWrite(key: key, operation: .upsert(try batch.validated(against: schema)))
    }

    @Test func theSystemIsAskedOnceASecondAndOnlyForWrites() throws {
        var askedCount = 0
        var watch = MemoryWatch {
            askedCount += 1
            return askedCount
        }
        let start: UInt64 = 7_000_000_000
        let write = try upsert(10)
        #expect(watch.availableByteCount == .max)
        for operation in [
            .delete(collection: "c", ids: []), CheckedOperation.dropCollection(name: "c"),
        ] {
            let hasAsked = watch.note(ShardWrite(key: key, operation: operation), now: start)
            #expect(!hasAsked)
        }
        #expect(askedCount == 0)
        for tick in 0..<100 {
            _ = watch.note(write, now: start + UInt64(50 * tick) * 1_000_000)
        }
        #expect(askedCount == 5)
        #expect(watch.availableByteCount == 5)
    }

    @Test func muchThatIsWrittenIsAskedForSooner() throws {
        var askedCount = 0
        var watch = MemoryWatch {
            askedCount += 1
            return nil
        }
        let large = try upsert(10_000)
        let start: UInt64 = 7_000_000_000
        var byteCount = 0
        for _ in 0..<200 {
            _ = watch.note(large, now: start)
            byteCount += large.operationByteCount
        }
        #expect(askedCount >= byteCount / MemoryWatch.byteCountMax - 1)
        #expect(askedCount < 40)
        #expect(watch.availableByteCount == .max, "without an answer nothing is refused")
    }
}
