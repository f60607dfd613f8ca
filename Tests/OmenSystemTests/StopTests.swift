import OmenSystem
import OmenCore
import Synchronization
import Testing

struct StopTests {
    @Test func aRequestEndsThisAndEveryLaterCall() {
        let stop = Stop()
        #expect(!stop.isDue)
        stop.request()
        #expect(stop.isDue)
        stop.begin()
        #expect(stop.isDue)
        #expect(throws: OmenError(.stopped, "the call was stopped")) { try stop.check() }
    }

    @Test func aLimitCountsFromTheFirstLookOfEachCall() {
        let stop = Stop(limitMilliseconds: 1)
        stop.begin()
        #expect(!stop.isDue)
        while !stop.isDue {}
        // Due until the next call begins.
        #expect(stop.isDue)
        stop.begin()
        #expect(!stop.isDue)
    }

    @Test func eachThreadHasItsOwn() throws {
        let mine = Stop()
        Stop.use(mine)
        defer { Stop.use(nil) }
        let other = Stop()
        let seen = Mutex<[Bool]>([])
        let thread = try BackgroundThread {
            let before = Stop.current == nil
            Stop.use(other)
            let after = Stop.current === other
            seen.withLock { $0 = [before, after] }
        }
        thread.join()
        #expect(seen.withLock { $0 } == [true, true])
        #expect(Stop.current === mine)
        mine.request()
        #expect(throws: OmenError.self) { try Stop.check() }
        #expect(!other.isDue)
    }

    @Test func threadsThatShareWorkHaveTheCallersOne() {
        let stop = Stop()
        Stop.use(stop)
        defer { Stop.use(nil) }
        let found = Mutex(0)
        BackgroundThread.share(8) { _ in
            if Stop.current === stop { found.withLock { $0 += 1 } }
        }
        #expect(found.withLock { $0 } == 8)
    }
}
