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
            guard case .search(let query) = sent.message else {
                if sent.message == .ping { fixture.worker(sent.shard, sent.id, .done) }
                continue
            }
            let timeout = UInt64(query.timeoutMilliseconds) * millisecond
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
