import OmenCore
import OmenSystem
import Synchronization
import Testing

@Suite struct ExecutorTests {
    @Test func jobsOfAQueueRunInOrderAndAllBeforeItIsClosed() throws {
        let done = Mutex<[Int]>([])
        let queue = try Threads.shared.makeQueue()
        for number in 0..<1000 {
            queue.submit { done.withLock { $0.append(number) } }
        }
        queue.close()
        #expect(done.withLock { $0 } == Array(0..<1000))
        // It is over already.
        queue.close()
    }

    @Test func aJobHasEndedWhenItIsJoined() throws {
        let done = Mutex<Int>(0)
        let jobs = try (0..<10).map { _ in
            try Threads.shared.start(.low) { done.withLock { $0 += 1 } }
        }
        for job in jobs { job.join() }
        #expect(done.withLock { $0 } == 10)
    }

    @Test func aClosedQueueTakesNothing() async {
        await #expect(processExitsWith: .failure) {
            let queue = try Threads.shared.makeQueue()
            queue.close()
            queue.submit {}
        }
    }
}

@Suite struct TimeSourceTests {
    private final class StoppedClock: SimulatedTime {
        let slept = Atomic<UInt64>(0)
        var nanoseconds: UInt64 { 5 }
        var microsecondsSince1970: UInt64 { 7 }
        func sleep(nanoseconds: UInt64) { slept.add(nanoseconds, ordering: .relaxed) }
    }

    @Test func theMachinesClocksGoOn() {
        let before = TimeSource.system.now
        TimeSource.system.sleep(nanoseconds: 2_000_000)
        #expect(TimeSource.system.now - before >= 2_000_000)
        // Between the years 2024 and 2100.
        let years: Range<UInt64> = 1_704_067_200_000_000..<4_102_444_800_000_000
        #expect(years.contains(TimeSource.system.microsecondsSince1970))
    }

    @Test func aSimulatedClockIsAskedForEverything() {
        let clock = StoppedClock()
        let time = TimeSource(simulated: clock)
        #expect(time.now == 5)
        #expect(time.microsecondsSince1970 == 7)
        time.sleep(nanoseconds: 3_600_000_000_000)
        let slept = clock.slept.load(ordering: .relaxed)
        #expect(slept == 3_600_000_000_000)
    }
}
