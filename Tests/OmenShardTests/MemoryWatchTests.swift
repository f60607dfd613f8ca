import OmenCore
import Testing

@testable import OmenShard

@Suite struct MemoryWatchTests {
    @Test func theSystemIsAskedOnceASecondAndOnlyForWrites() {
        var askedCount = 0
        var watch = MemoryWatch {
            askedCount += 1
            return askedCount
        }
        let start: UInt64 = 7_000_000_000
        let write = WriteOperation.upsert(batch(10, seed: 1))
        #expect(watch.availableByteCount == .max)
        for operation in [
            .delete(collection: "c", ids: []), WriteOperation.dropCollection(name: "c"),
        ] {
            let hasAsked = watch.note(operation, now: start)
            #expect(!hasAsked)
        }
        #expect(askedCount == 0)
        for tick in 0..<100 {
            _ = watch.note(write, now: start + UInt64(50 * tick) * 1_000_000)
        }
        #expect(askedCount == 5)
        #expect(watch.availableByteCount == 5)
    }

    @Test func muchThatIsWrittenIsAskedForSooner() {
        var askedCount = 0
        var watch = MemoryWatch {
            askedCount += 1
            return nil
        }
        let large = WriteOperation.upsert(batch(10_000, seed: 1))
        let start: UInt64 = 7_000_000_000
        var byteCount = 0
        for _ in 0..<200 {
            _ = watch.note(large, now: start)
            byteCount += large.encodedByteCount
        }
        #expect(askedCount >= byteCount / MemoryWatch.byteCountMax - 1)
        #expect(askedCount < 40)
        #expect(watch.availableByteCount == .max, "without an answer nothing is refused")
    }
}
