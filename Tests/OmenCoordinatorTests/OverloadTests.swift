import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct QueueTimeTests {
    @Test func measuresWhatAQueryTakesWhileThereAreSome() {
        var queue = QueueTime()
        #expect(queue.nanoseconds(forQueries: 100) == 0)
        var now: UInt64 = second
        for _ in 0..<100 { queue.began(queryCount: 1, now: now) }
        for _ in 0..<100 {
            now += 2 * millisecond
            queue.ended(queryCount: 1, now: now)
        }
        #expect(queue.nanosecondsPerQuery == 2e6)
        // An hour in which nobody asked says nothing about the worker.
        now += 3600 * second
        queue.began(queryCount: 1, now: now)
        queue.ended(queryCount: 1, now: now + 2 * millisecond)
        #expect(queue.nanosecondsPerQuery == 2e6)
    }

    @Test func aShortSearchDoesNotWaitForAllOfALongOne() {
        var queue = QueueTime()
        queue.began(queryCount: 1000, now: 0)
        queue.ended(queryCount: 1000, now: second)
        for _ in 0..<3 { queue.began(queryCount: 1000, now: second) }
        #expect(queue.nanoseconds(forQueries: 1) == 4 * millisecond)
        #expect(queue.nanoseconds(forQueries: 1000) == 4 * second)
        #expect(queue.nanoseconds(forQueries: 1 << 40) > 1000 * second)
    }
}

/// An open loop over a core whose two workers take a fixed time for each query, in simulated time.
private struct OpenLoop {
    var fixture: Fixture
    let nanosecondsPerQuery: [UInt64]
    private var queues: [[(id: UInt64, deadline: UInt64)]] = [[], []]
    private var freeAt: [UInt64] = [0, 0]
    private(set) var complete = 0
    private(set) var partial = 0
    private(set) var refused = 0
    private(set) var shortest: UInt32 = .max
    private var sequence: UInt64 = 0

    init(nanosecondsPerQuery: [UInt64]) throws {
        fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        self.nanosecondsPerQuery = nanosecondsPerQuery
        for client in 2...8 as ClosedRange<UInt64> {
            fixture.step(.clientConnected(client: client))
        }
    }

    /// Asks `rate` searches a second for some seconds; every answer is counted.
    mutating func run(rate: UInt64, seconds: UInt64) {
        let begin = fixture.now
        let end = begin + seconds * second
        var asked: UInt64 = 0
        var nextTick = begin
        freeAt = [begin, begin]
        while fixture.now < end {
            // In steps of a tenth of a millisecond, so that asking and answering alternate.
            fixture.now += millisecond / 10
            while asked < (fixture.now - begin) * rate / second {
                asked += 1
                sequence += 1
                fixture.ask(.search(query("c", k: 1)), id: sequence, client: 1 + asked % 8)
                take()
            }
            for shard in 0..<2 { work(shard) }
            if fixture.now >= nextTick {
                nextTick += 50 * millisecond
                fixture.step(.tick)
                take()
            }
        }
    }

    private mutating func take() {
        for sent in fixture.sent {
            guard case .shardSearch(let order) = sent.message else {
                if sent.message == .ping { fixture.worker(sent.shard, sent.id, .done) }
                continue
            }
            let timeout = UInt64(order.request.timeoutMilliseconds) * millisecond
            queues[Int(sent.shard)].append((sent.id, fixture.now + timeout))
        }
        for reply in fixture.replies {
            switch reply.message {
            case .hits(let reply) where reply.coverage.isPartial: partial += 1
            case .hits: complete += 1
            case .failure(let error):
                refused += 1
                shortest = min(shortest, error.retryAfterMilliseconds)
            default: break
            }
        }
    }

    private mutating func work(_ shard: Int) {
        while let next = queues[shard].first, freeAt[shard] <= fixture.now {
            queues[shard].removeFirst()
            var answer = hits([[(1, 1)]])
            if next.deadline <= fixture.now {
                answer = failure(.unavailable, "its time was over")
            } else {
                freeAt[shard] =
                    max(freeAt[shard], fixture.now - millisecond / 10)
                    + nanosecondsPerQuery[shard]
            }
            fixture.worker(UInt32(shard), next.id, answer)
            take()
        }
    }
}

@Suite struct OverloadTests {
    /// Slow searches: a queue by number alone holds seconds of work here.
    @Test(arguments: [[UInt64(5), 5], [1, 5], [20, 1]])
    func underFourTimesTheLoadAlmostAsManyAreAnsweredWholeAndNoneByHalves(
        milliseconds: [UInt64]
    ) throws {
        let times = milliseconds.map { $0 * millisecond }
        let highest = second / (times.max() ?? 1)
        var loop = try OpenLoop(nanosecondsPerQuery: times)
        loop.run(rate: highest * 4, seconds: 20)
        #expect(loop.partial == 0)
        #expect(loop.complete >= Int(highest) * 20 * 8 / 10)
        #expect(loop.refused > loop.complete)
        #expect(loop.shortest > 0, "every refusal says when to come back")
    }

    @Test func anIdleShardIsAskedHoweverSlowItWas() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.ask(.search(query("c", k: 1)))
        let part = fixture.sent[0]
        fixture.now += 1900 * millisecond
        fixture.worker(0, part.id, hits([[(1, 1)]]))
        fixture.ask(.search(query("c", k: 1)), id: 2)
        #expect(fixture.sent.count == 1)
        // The next would wait for that one and then need its own time.
        fixture.ask(.search(query("c", k: 1)), id: 3)
        #expect(fixture.error?.code == .resourceExhausted)
        #expect(fixture.error?.retryAfterMilliseconds ?? 0 >= 10)
    }
}

@Suite struct FairReadTests {
    @Test func clientsTakeTurnsAndKeepTheirOwnOrder() {
        var queue = ReadQueue()
        for (id, client) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (6, 2)] as [(UInt64, UInt64)] {
            queue.append(ReadQueue.WaitingRead(id: id, message: .ping, cost: 100), of: client)
        }
        #expect(queue.count == 6 && queue.clientCount == 3)
        #expect(queue.countBefore(1) == 9 && queue.countBefore(2) == 6)
        // Nobody was served yet, so that one who comes now is behind each one's first.
        #expect(queue.countBefore(4) == 3)
        var order: [UInt64] = []
        while let entry = queue.next() { order.append(entry.id) }
        #expect(order == [1, 4, 5, 2, 6, 3])
        #expect(queue.count == 0 && queue.clientCount == 0)
    }

    @Test func aClientWhoseReadsAreDearHasFewerTurns() {
        var queue = ReadQueue()
        for id in 0..<100 as Range<UInt64> {
            queue.append(ReadQueue.WaitingRead(id: id, message: .ping, cost: 1000), of: 1)
            queue.append(ReadQueue.WaitingRead(id: 1000 + id, message: .ping, cost: 100), of: 2)
        }
        var taken = (dear: 0, cheap: 0)
        while taken.cheap < 100, let entry = queue.next() {
            if entry.id < 1000 { taken.dear += 1 } else { taken.cheap += 1 }
        }
        #expect((9...11).contains(taken.dear))
        // Whoever comes now is next, and has no claim for the time before.
        queue.append(ReadQueue.WaitingRead(id: 5000, message: .ping, cost: 100), of: 3)
        queue.append(ReadQueue.WaitingRead(id: 5001, message: .ping, cost: 100), of: 3)
        let ids = (0..<3).compactMap { _ in queue.next()?.id }
        #expect(ids.contains(5000))
    }

    /// A client that asks once is answered after one round, whatever the others have asked.
    @Test func oneThatAsksLittleIsNotBehindOneThatAsksALot() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        var sent: [Sent] = []
        for index in 0..<500 {
            fixture.ask(.count(collection: "c"), id: UInt64(index))
            sent += fixture.sent
        }
        #expect(sent.count == Limits.sentReadCountMax)
        fixture.step(.clientConnected(client: 2))
        fixture.ask(.count(collection: "c"), id: 9, client: 2)
        var answersBefore = 0
        while true {
            let next = sent.removeFirst()
            fixture.worker(0, next.id, .counted(CountReply(count: 1, coverage: .one)))
            sent += fixture.sent
            if fixture.replies.contains(where: { $0.client == 2 }) { break }
            answersBefore += 1
        }
        #expect(answersBefore <= Limits.sentReadCountMax + 2)
        while let next = sent.first {
            sent.removeFirst()
            fixture.worker(0, next.id, .counted(CountReply(count: 1, coverage: .one)))
            sent += fixture.sent
        }
        #expect(fixture.core.pendingCount == 0)
        #expect(fixture.core.workerRequestsInFlight(0) == 0)
        #expect(fixture.core.workerBytesInFlight(0) == 0)
    }

    @Test func whatNobodyWaitsForIsNeverSent() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        var sent: [Sent] = []
        for index in 0..<100 {
            fixture.ask(.search(query("c", k: 1)), id: UInt64(index))
            sent += fixture.sent
        }
        let count = sent.count
        #expect(count < 100)
        fixture.tick(after: 2 * second)
        #expect(fixture.core.pendingCount == 0)
        for next in sent {
            fixture.worker(0, next.id, hits([[(1, 1)]]))
            #expect(fixture.sent.isEmpty)
        }
        #expect(fixture.core.workerRequestsInFlight(0) == 0)
        // What is asked now is sent with the time that is left of it.
        fixture.ask(.search(query("c", k: 1)), id: 200)
        guard case .shardSearch(let order) = fixture.sent.first?.message else {
            Issue.record("no search was sent")
            return
        }
        #expect(order.request.timeoutMilliseconds == 2000)
    }
}

@Suite struct CheckpointPaceTests {
    @Test func someCheckpointsAreBegunAtOnceAndMoreInProportionToWhatTheyTake() throws {
        var fixture = try Fixture.ready(shards: 1)
        func begun() -> [Sent] { fixture.sent.filter { $0.message == .checkpoint } }
        for index in 0..<UInt64(Limits.checkpointBurst) {
            fixture.ask(.checkpoint, id: index)
            let parts = begun()
            try #require(parts.count == 1)
            fixture.now += 100 * millisecond
            fixture.worker(0, parts[0].id, .done)
            #expect(fixture.onlyReply == .done)
        }
        // Two that ask now are one checkpoint, after twenty times what the last one took.
        fixture.ask(.checkpoint, id: 20)
        #expect(begun().isEmpty)
        fixture.ask(.checkpoint, id: 21)
        #expect(begun().isEmpty)
        fixture.tick(after: 1000 * millisecond)
        #expect(begun().isEmpty)
        fixture.tick(after: 1000 * millisecond)
        let parts = begun()
        #expect(parts.count == 2)
        for part in parts { fixture.worker(0, part.id, .done) }
        #expect(fixture.core.pendingCount == 0)
    }
}
