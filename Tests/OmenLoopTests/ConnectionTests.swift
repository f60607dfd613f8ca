import Glibc
import OmenCore
import Testing

@testable import OmenLoop

extension LoopTests {
    @Suite struct Connections {
        @Test func echoesWhatItGets() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (server, client) = try connectionPair(loop)
            server.onBytes = { server.write(Array($0)) }
            var received: [UInt8] = []
            client.onBytes = { bytes in
                received += bytes
                if received.count == 10 { client.close() }
            }
            var ended: [String] = []
            client.onClose = { error in
                #expect(error == nil)
                ended.append("client")
            }
            server.onClose = { error in
                #expect(error == nil)
                ended.append("server")
                loop.stop()
            }
            server.startReading()
            client.startReading()
            client.write(Array("hello".utf8))
            client.write([])
            client.write(Array("world".utf8))
            run(loop)
            #expect(received == Array("helloworld".utf8))
            #expect(ended == ["client", "server"])
        }

        @Test func writesOfOneTurnLeaveTogether() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (writer, reader) = try connectionPair(loop)
            var reads: [Int] = []
            reader.onBytes = { bytes in
                reads.append(bytes.count)
                loop.stop()
            }
            reader.startReading()
            // More arrays than one system call takes.
            for _ in 0..<100 { writer.write([1, 2, 3]) }
            #expect(writer.queuedByteCount == 300)
            run(loop)
            #expect(reads == [300])
            #expect(writer.queuedByteCount == 0)
        }

        @Test func whatTurnEndWritesLeavesInTheSameTurn() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (writer, reader) = try connectionPair(loop)
            var turns = 0
            loop.onTurnEnd {
                turns += 1
                if turns == 1 { writer.write([7]) }
            }
            reader.onBytes = { _ in loop.stop() }
            reader.startReading()
            run(loop)
            #expect(turns == 1)
        }

        @Test func bigWritesWaitForTheReaderAndArriveWhole() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (writer, reader) = try connectionPair(loop)
            let chunk = pattern(1_000_003)
            var received: [UInt8] = []
            var drains = 0
            writer.onDrain = { drains += 1 }
            reader.onBytes = { received += $0 }
            reader.onClose = { _ in loop.stop() }
            for _ in 0..<5 { writer.write(chunk) }
            // Nobody reads: the socket fills and the rest stays with us.
            loop.timer(after: .milliseconds(50)) {
                #expect(writer.queuedByteCount > 4_000_000)
                #expect(drains == 0)
                reader.startReading()
                writer.close()
            }
            run(loop)
            #expect(drains == 1)
            #expect(received.count == 5 * chunk.count)
            #expect(received == Array([chunk, chunk, chunk, chunk, chunk].joined()))
        }

        @Test func aPausedReaderMakesTheWriterWait() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (writer, reader) = try connectionPair(loop)
            var received = 0
            var isPaused = false
            reader.onBytes = { bytes in
                #expect(!isPaused)
                received += bytes.count
                isPaused = true
                reader.pauseReading()
                loop.timer(after: .milliseconds(2)) {
                    isPaused = false
                    reader.startReading()
                }
            }
            reader.onClose = { _ in loop.stop() }
            reader.startReading()
            writer.write(pattern(2_000_000))
            writer.close()
            run(loop)
            #expect(received == 2_000_000)
        }

        @Test func halfClosedPeersStillGetTheirReplies() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (ours, theirs) = try EventLoop.socketPair()
            let server = try loop.adopt(descriptor: ours)
            var request: [UInt8] = []
            server.onBytes = { request += $0 }
            server.onEnd = {
                // The answer comes later, as from a worker.
                loop.timer(after: .milliseconds(20)) {
                    server.write(Array("reply".utf8))
                    server.close()
                }
            }
            var ends = 0
            server.onClose = { error in
                #expect(error == nil)
                ends += 1
                loop.stop()
            }
            server.startReading()
            #expect(send(theirs, "ask", 3, 0) == 3)
            #expect(shutdown(theirs, Int32(SHUT_WR)) == 0)
            run(loop)
            var buffer = [UInt8](repeating: 0, count: 16)
            let count = read(theirs, &buffer, 16)
            #expect(request == Array("ask".utf8))
            #expect(buffer.prefix(max(0, count)) == Array("reply".utf8)[...])
            #expect(ends == 1)
            EventLoop.close(descriptor: theirs)
        }

        @Test func aPeerThatIsGoneEndsTheConnectionWithAnError() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (ours, theirs) = try EventLoop.socketPair()
            let connection = try loop.adopt(descriptor: ours)
            var failure: OmenError?
            var ends = 0
            connection.onClose = { error in
                failure = error
                ends += 1
                loop.stop()
            }
            // Unread bytes at the peer make its close a reset.
            connection.startReading()
            connection.write(Array("never read".utf8))
            loop.timer(after: .milliseconds(20)) { EventLoop.close(descriptor: theirs) }
            run(loop)
            #expect(failure?.code == .ioFailure)
            #expect(failure?.message.contains("ECONNRESET") == true)
            #expect(ends == 1)
            connection.write([1])
            connection.startReading()
            connection.close()
            connection.abort()
            #expect(connection.queuedByteCount == 0)
        }

        @Test func writingToAPeerThatIsGoneIsNotASignal() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (ours, theirs) = try EventLoop.socketPair()
            let connection = try loop.adopt(descriptor: ours)
            EventLoop.close(descriptor: theirs)
            var failure: OmenError?
            connection.onClose = { error in
                failure = error
                loop.stop()
            }
            connection.write([1])
            run(loop)
            #expect(failure?.message.contains("EPIPE") == true)
        }

        @Test func abortLosesTheQueueAndReportsOnce() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            let (writer, reader) = try connectionPair(loop)
            var ends = 0
            writer.onClose = { error in
                #expect(error == nil)
                ends += 1
            }
            reader.onClose = { _ in loop.stop() }
            writer.write(pattern(3_000_000))
            loop.timer(after: .milliseconds(20)) {
                writer.abort()
                writer.abort()
                #expect(ends == 0)
                reader.startReading()
            }
            run(loop)
            #expect(ends == 1)
        }

        @Test func closingInsideEveryCallbackIsSafe() throws {
            let loop = try EventLoop()
            defer { loop.close() }
            for step in 0..<4 {
                let (left, right) = try connectionPair(loop)
                left.onBytes = { _ in step == 0 ? left.abort() : left.close() }
                left.onDrain = { if step == 2 { left.abort() } }
                left.onEnd = { left.abort() }
                right.onDrain = { if step == 3 { right.close() } }
                right.onBytes = { _ in }
                var open = 2
                let closed: (OmenError?) -> Void = { _ in
                    open -= 1
                    if open == 0 { loop.stop() }
                }
                left.onClose = closed
                right.onClose = closed
                left.startReading()
                right.startReading()
                left.write([1])
                right.write([2])
                run(loop)
                #expect(open == 0)
            }
        }
    }
}
