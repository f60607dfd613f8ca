import Foundation
import OmenCore
import OmenWire
import OmenWorker
import Testing

private let dim = 128

private let schema = CollectionSchema(dim: dim, element: .u8)

private func order(
    _ count: Int,
    exact: Bool,
    in collection: String = "c",
    checkedAgainst schema: CollectionSchema = schema
) throws -> ShardOrder {
    var query = SearchRequest(
        collection: collection,
        element: .u8,
        dim: dim,
        vectors: [UInt8](repeating: 7, count: count * dim),
        count: count,
        limit: 3
    )
    query.effort = exact ? .exact : .standard
    return ShardOrder(alone: try query.validated(against: schema))
}

/// A worker with a thousand vectors.
private func withWorker(_ body: (WorkerHarness) throws -> Void) throws {
    let directory = NSTemporaryDirectory() + "omen-worker-\(UUID().uuidString)"
    defer {
        do { try FileManager.default.removeItem(atPath: directory) } catch {
            Issue.record("cannot remove \(directory): \(error)")
        }
    }
    let worker = try WorkerHarness(directory)
    defer { worker.leave() }
    try worker.write(.createCollection(name: "c", schema: schema))
    var random = SplitMix64(seed: 99)
    let count = 1000
    let batch = UpsertBatch(
        collection: "c",
        element: .u8,
        dim: dim,
        ids: (0..<UInt64(count)).map { .number($0) },
        vectors: (0..<count * dim).map { _ in UInt8.random(in: 0...255, using: &random) }
    )
    try worker.write(.upsert(try batch.validated(against: schema)))
    try body(worker)
}

/// A scope that differs in one field from that of the harness.
private func otherScopes() -> [FrameScope] {
    let scope = WorkerHarness.scope
    var scopes = [scope, scope, scope, scope]
    scopes[0].cluster.high += 1
    scopes[1].cluster = .unknown
    scopes[2].shard += 1
    scopes[3].epoch += 1
    return scopes
}

@Suite struct WorkerServerTests {
    /// A coordinator of another cluster, shard or time gets no answer, whatever it asks.
    @Test(arguments: otherScopes())
    func aFrameOfAnotherClusterShardOrEpochEndsTheWorker(scope: FrameScope) throws {
        let directory = NSTemporaryDirectory() + "omen-worker-\(UUID().uuidString)"
        defer {
            do { try FileManager.default.removeItem(atPath: directory) } catch {
                Issue.record("cannot remove \(directory): \(error)")
            }
        }
        let worker = try WorkerHarness(directory)
        try worker.send([(1, .ping)])
        #expect(try worker.next().message == .done)
        try worker.send([(2, .ping)], scope: scope)
        #expect(throws: OmenError.self) { try worker.next() }
        #expect(worker.leave() == .failed)
    }

    /// What a client sends was not checked, and a worker checks no values.
    @Test func aClientsWriteIsNotTaken() throws {
        try withWorker { worker in
            let operation = WriteOperation.delete(collection: "c", ids: [.number(1)])
            let key = RequestKey(client: 0, sequence: 0)
            try worker.send([
                (10, .write(WriteRequest(key: key, operation: operation))),
                (11, .count(collection: "c")),
            ])
            guard case .failure(let error) = try worker.next().message,
                case .counted(let reply) = try worker.next().message
            else {
                Issue.record("no failure and count")
                return
            }
            #expect(error.code == .protocolViolation && reply.count == 1000)
        }
    }

    /// A worker that does not answer heartbeats is taken for hung and killed, so a large
    /// batch of exact queries would have cost the shard its process, and the retry the next one.
    @Test func aLongSearchHoldsUpNeitherHeartbeatsNorShortSearches() throws {
        try withWorker { worker in
            try worker.send([
                (10, .shardSearch(try order(1000, exact: true))), (11, .ping),
                (12, .shardSearch(try order(1, exact: false))),
            ])
            var answers: [UInt64: Message] = [:]
            var order: [UInt64] = []
            while order.count < 3 {
                let answer = try worker.next()
                order.append(answer.requestID)
                answers[answer.requestID] = answer.message
            }
            #expect(order == [11, 12, 10])
            guard case .hits(let long) = answers[10], case .hits(let short) = answers[12] else {
                Issue.record("answers: \(answers.mapValues(\.kind))")
                return
            }
            #expect(long.hitCounts == [UInt32](repeating: 3, count: 1000))
            #expect(Array(long.hits.suffix(3)) == short.hits)
        }
    }

    @Test func aSearchThatFailsIsAnsweredOnce() throws {
        try withWorker { worker in
            let wrong = try order(1, exact: true, in: "nowhere")
            let right = try order(2, exact: true)
            try worker.send([(20, .shardSearch(wrong)), (21, .shardSearch(right))])
            let first = try worker.next()
            #expect(first.requestID == 20)
            guard case .failure(let error) = first.message else {
                Issue.record("answer: \(first)")
                return
            }
            #expect(error.code == .notFound)
            #expect(try worker.next().requestID == 21)
        }
    }

    /// The coordinator checked it before the collection was dropped and made again.
    @Test(arguments: [
        CollectionSchema(dim: dim, metric: .ip, element: .u8), CollectionSchema(dim: dim),
    ])
    func aSearchThatWasCheckedForAnotherSchemaIsRefusedByName(other: CollectionSchema) throws {
        try withWorker { worker in
            let late = try order(1, exact: true, checkedAgainst: other)
            try worker.send([(20, .shardSearch(late))])
            let answer = try worker.next()
            guard case .failure(let error) = answer.message else {
                Issue.record("answer: \(answer)")
                return
            }
            #expect(error.code == .unavailable)
            #expect(error.message.contains("made again"), "\(error)")
            try worker.send([(21, .shardSearch(order(1, exact: true)))])
            let next = try worker.next()
            #expect(next.message.kind == .hits)
        }
    }

    /// Its queries would be read beyond their end.
    @Test func aSearchOfAnotherDimensionThanTheCollectionHasNowIsRefusedByName() throws {
        try withWorker { worker in
            try worker.write(.dropCollection(name: "c"))
            let longer = CollectionSchema(dim: 2 * dim, element: .u8)
            try worker.write(.createCollection(name: "c", schema: longer))
            try worker.send([(20, .shardSearch(order(1, exact: true))), (21, .ping)])
            guard case .failure(let error) = try worker.next().message else {
                Issue.record("the search was taken")
                return
            }
            #expect(error.code == .unavailable)
            #expect(try worker.next().message == .done)
        }
    }

    @Test func stoppingSavesEverythingAndCloses() throws {
        try withWorker { worker in
            try worker.send([(30, .shardSearch(try order(3, exact: true))), (31, .stop)])
            var last: UInt64 = 0
            while last != 31 { last = try worker.next().requestID }
            #expect(throws: (any Error).self) { try worker.next() }
        }
    }
}
