import Glibc
import OmenCore
import Synchronization
import Testing

@testable import OmenLoop

extension LoopTests {
    @Suite struct TimersAndThreads {
        @Test func timersFireInOrderAndNotEarly() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let start = loop.now
            var fired: [String] = []
            loop.timer(after: .milliseconds(40)) {
                fired.append("late")
                #expect(loop.now - start >= 39_000_000)
                loop.stop()
            }
            loop.timer(after: .milliseconds(10)) { fired.append("early") }
            let cancelled = loop.timer(after: .milliseconds(20)) { fired.append("never") }
            cancelled.cancel()
            cancelled.cancel()
            run(loop)
            #expect(fired == ["early", "late"])
        }

        @Test func repeatingTimersStopWhenCancelledInsideTheirBody() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            var count = 0
            var timer: LoopTimer?
            timer = loop.timer(after: .zero, repeating: .milliseconds(2)) {
                count += 1
                if count == 5 {
                    timer?.cancel()
                    loop.timer(after: .milliseconds(20)) { loop.stop() }
                }
            }
            run(loop)
            #expect(count == 5)
        }

        @Test func durationsRoundUpToMilliseconds() {
            #expect(Duration.nanoseconds(1).wholeMilliseconds == 1)
            #expect(Duration.milliseconds(3).wholeMilliseconds == 3)
            #expect(Duration.seconds(-1).wholeMilliseconds == 0)
            #expect(Duration.seconds(Int64.max).wholeMilliseconds == UInt64(Int64.max))
        }

        @Test func idleWorkLetsIOThrough() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (left, right) = try connectionPair(loop)
            right.onBytes = { right.write(Array($0)) }
            var roundTrips = 0
            var slices = 0
            var slicesSeen: [Int] = []
            left.onBytes = { bytes in
                roundTrips += 1
                slicesSeen.append(slices)
                if roundTrips == 100 { loop.stop() } else { left.write(Array(bytes)) }
            }
            let work = loop.idleWork {
                slices += 1
                return true
            }
            work.start()
            work.start()
            left.startReading()
            right.startReading()
            left.write([1])
            run(loop)
            #expect(roundTrips == 100)
            // Each direction takes a turn, and each turn does one slice.
            #expect(slicesSeen == slicesSeen.sorted())
            #expect((100...400).contains(slices), "\(slices) slices")
        }

        @Test func idleWorkStopsWhenThereIsNoMoreAndStartsAgain() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            var left = 3
            var total = 0
            var ends = 0
            var work: IdleWork?
            work = loop.idleWork {
                left -= 1
                total += 1
                if left == 0 {
                    // Later, for it to have stopped, and to be seen if it goes on.
                    loop.timer(after: .milliseconds(20)) {
                        ends += 1
                        let (isRunning, expected) = (work?.isRunning ?? true, ends == 1 ? 3 : 5)
                        #expect(!isRunning && total == expected)
                        if ends == 2 { return loop.stop() }
                        left = 2
                        work?.start()
                    }
                }
                return left > 0
            }
            work?.start()
            run(loop)
            #expect(total == 5)
        }

        @Test func otherThreadsWakeTheLoop() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let queue = Mutex<[Int]>([])
            var seen: [Int] = []
            let wakeup = try loop.wakeup {
                seen += queue.withLock { items in
                    defer { items = [] }
                    return items
                }
                if seen.count == 4000 { loop.stop() }
            }
            for thread in 0..<4 {
                detach {
                    for index in 0..<1000 {
                        queue.withLock { $0.append(thread * 1000 + index) }
                        wakeup.signal()
                    }
                }
            }
            run(loop)
            #expect(seen.sorted() == Array(0..<4000))
            loop.close()
            wakeup.signal()
        }

        @Test func signalsArrive() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            var count = 0
            try loop.onSignal(SIGUSR2) {
                count += 1
                loop.stop()
            }
            loop.timer(after: .milliseconds(5)) { kill(getpid(), SIGUSR2) }
            run(loop)
            #expect(count == 1)
        }

        @Test func aLoopThatIsDroppedFreesWhatItHolds() throws {
            final class Token {}
            weak var token: Token?
            var loop: EventLoop? = try EventLoop()
            if let loop {
                let held = Token()
                token = held
                let (left, right) = try connectionPair(loop)
                left.onBytes = { _ in _ = held }
                left.onClose = { _ in Issue.record("\(held) was called back by a dead loop") }
                left.startReading()
                right.write(pattern(1_000_000))
                loop.timer(after: .seconds(100)) { _ = held }
                loop.runOnce()
            }
            #expect(token != nil)
            loop = nil
            #expect(token == nil)
        }

        private func detach(_ body: @escaping @Sendable () -> Void) {
            final class Box: Sendable {
                let body: @Sendable () -> Void
                init(_ body: @escaping @Sendable () -> Void) { self.body = body }
            }
            var thread = pthread_t()
            let box = Unmanaged.passRetained(Box(body)).toOpaque()
            let result = pthread_create(
                &thread,
                nil,
                { box in
                    guard let box else { return nil }
                    Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body()
                    return nil
                },
                box
            )
            #expect(result == 0)
            pthread_detach(thread)
        }
    }
}
