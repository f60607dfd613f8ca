import OmenCore
import OmenShard
import OmenWire
import Testing

@testable import OmenWorker

@Suite struct SearchQueueTests {
    @Test func whatIsNotBegunByItsDeadlineIsDropped() throws {
        let store = ShardStore()
        let schema = CollectionSchema(dim: 2, element: .u8)
        _ = try store.apply(
            lsn: 1,
            .createCollection(name: "c", schema: schema),
            WriteVersions(1)
        )
        let query = SearchRequest(
            collection: "c",
            element: .u8,
            dim: 2,
            vectors: [1, 2, 3, 4],
            count: 2,
            limit: 1
        )
        var queue = SearchQueue()
        queue.append(7, try store.beginSearch(query), deadline: 100)
        queue.append(8, try store.beginSearch(query), deadline: 200)
        // Each runs its first query; the second one of request 7 comes too late.
        for _ in 0..<2 {
            let answer = queue.step(now: 99)
            #expect(answer == nil)
        }
        let third = queue.step(now: 100)
        let late = try #require(third)
        #expect(late.requestID == 7)
        guard case .failure(let error) = late.answer else {
            Issue.record("answer: \(late.answer.kind)")
            return
        }
        #expect(error.code == .unavailable)
        let fourth = queue.step(now: 199)
        let whole = try #require(fourth)
        #expect(whole.requestID == 8)
        #expect(whole.answer.kind == .hits)
        #expect(queue.isEmpty)
    }
}
