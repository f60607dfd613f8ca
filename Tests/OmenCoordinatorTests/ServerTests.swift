import OmenSystem
import Glibc
import OmenCore
import OmenWire
import Synchronization
import Testing

@testable import OmenCoordinator

/// The cluster that `FakeWorker` is of.
private let testCluster = ClusterUUID(high: 1, low: 2)

/// A blocking connection to a coordinator.
private final class TestClient {
    private let descriptor: Int32
    private var decoder = FrameDecoder(.fromCoordinator(of: testCluster))
    private var inbox: [Envelope] = []
    private var chunks = ReplyAssembler()
    /// Messages that were chunks of replies.
    private(set) var chunkCount = 0
    private var sequence: UInt64 = 0

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw OmenError(.ioFailure, "connect: errno \(errno)") }
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &patience,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    deinit { close(descriptor) }

    func send(raw bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    func endOwnHalf() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(_ message: Message) {
        sequence += 1
        send(raw: message.framed(requestID: sequence))
    }

    func receive() throws -> Envelope {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while inbox.isEmpty {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { throw OmenError(.ioFailure, "read: \(count)") }
            buffer.withUnsafeBytes {
                decoder.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
            while let envelopes = try decoder.next() {
                chunkCount += envelopes.count { $0.chunk != nil }
                inbox += try envelopes.compactMap { try chunks.take($0) }
            }
        }
        return inbox.removeFirst()
    }

    func ask(_ message: Message) throws -> Message {
        send(message)
        return try receive().message
    }

    func upsert(_ numbers: [UInt64]) throws -> Message {
        let key = RequestKey(client: 5, sequence: sequence + 1)
        return try ask(.write(WriteRequest(key: key, operation: .upsert(batch("c", numbers)))))
    }

    func status() throws -> ClusterStatus {
        guard case .clusterStatus(let status) = try ask(.status) else {
            throw OmenError(.badRequest, "no status")
        }
        return status
    }

    /// Asks for status until `condition` holds; most 600 s.
    func wait(until condition: (ClusterStatus) -> Bool) throws -> ClusterStatus {
        for _ in 0..<60_000 {
            let status = try status()
            if condition(status) { return status }
            usleep(10_000)
        }
        throw OmenError(.unavailable, "waited in vain: \(try status())")
    }
}

/// A coordinator on a thread of its own, over processes of `FakeWorker`.
private final class RunningServer: Sendable {
    let directory: String
    var socketPath: String { directory + "/omen.sock" }
    private let thread: BackgroundThread
    private let outcome = Outcome()

    final class Outcome: Sendable {
        let result = Mutex<Int32?>(nil)
    }

    init(
        shards: Int,
        executable: String? = nil,
        change: (inout CoordinatorCore.Configuration) -> Void = { _ in }
    ) throws {
        var template = Array("/tmp/omen-coordinator-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw OmenError(.ioFailure, "mkdtemp") }
        directory = template.withUnsafeBufferPointer { pointer in
            pointer.baseAddress.map { String(cString: $0) } ?? ""
        }
        let program = CommandLine.arguments[0]
        let products = program[..<(program.lastIndex(of: "/") ?? program.startIndex)]
        var core = CoordinatorCore.Configuration(
            directory: try ClusterDirectory(shardCount: shards),
            pid: UInt32(getpid()),
            endpoint: .unix(path: directory + "/omen.sock"),
            nonce: 99
        )
        change(&core)
        let configuration = CoordinatorServer.Configuration(
            core: core,
            cluster: testCluster,
            launcher: WorkerLauncher(
                executable: executable ?? products + "/FakeWorker",
                dataDirectory: directory
            ),
            storeDirectory: { _ in },
            storeDrops: { _ in }
        )
        let outcome = outcome
        let isListening = Outcome()
        thread = try BackgroundThread {
            do throws(OmenError) {
                let server = try CoordinatorServer(configuration)
                let code = try server.run { isListening.result.withLock { $0 = 1 } }
                outcome.result.withLock { $0 = code }
            } catch { outcome.result.withLock { $0 = -1 } }
        }
        for _ in 0..<60_000 where isListening.result.withLock({ $0 }) == nil { usleep(10_000) }
    }

    /// Waits for the server to end by itself.
    func exitCode() -> Int32? {
        thread.join()
        rmdir(directory)
        return outcome.result.withLock { $0 }
    }
}

@Suite(.serialized) struct ServerTests {
    private func allReady(_ status: ClusterStatus) -> Bool {
        status.workers.allSatisfy { $0.state == .ready }
    }

    @Test func servesWritesSearchesAndStatusOverRealProcessesAndStops() throws {
        let server = try RunningServer(shards: 3)
        let client = try TestClient(server.socketPath)
        let status = try client.wait(until: allReady)
        #expect(Set(status.workers.map(\.pid)).count == 3)
        guard case .written(let reply) = try client.upsert(Array(1...100)) else {
            Issue.record("no write reply")
            return
        }
        #expect(reply.counts.upserted == 100)
        #expect(
            try client.ask(.count(collection: "c"))
                == .counted(CountReply(count: 100, coverage: Coverage(shardsTotal: 3)))
        )
        guard case .hits(let hits) = try client.ask(.search(query("c", k: 5))) else {
            Issue.record("no hits")
            return
        }
        #expect(hits.hits.map(\.id) == (1...5).map { .number($0) })
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
        #expect(access(server.socketPath, F_OK) != 0)
    }

    @Test func manyRequestsInOneFrameAreAllAnswered() throws {
        let server = try RunningServer(shards: 2)
        let client = try TestClient(server.socketPath)
        _ = try client.wait(until: allReady)
        _ = try client.upsert([1, 2, 3])
        var encoder = FrameEncoder(.clients())
        for id in 1...500 as ClosedRange<UInt64> {
            encoder.append(Envelope(requestID: 10_000 + id, message: .count(collection: "c")))
        }
        client.send(raw: encoder.finish())
        var answered: Set<UInt64> = []
        for _ in 0..<500 {
            let envelope = try client.receive()
            answered.insert(envelope.requestID)
            guard case .counted(let reply) = envelope.message else {
                Issue.record("\(envelope)")
                return
            }
            #expect(reply.count == 3)
        }
        #expect(answered.count == 500)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aReplyThatFitsNoFrameTravelsInChunksFromWorkerToClient() throws {
        let server = try RunningServer(shards: 1)
        let client = try TestClient(server.socketPath)
        _ = try client.wait(until: allReady)
        _ = try client.upsert([1])
        let ids = (0..<1100).map { RecordID.number($0) }
        let request = GetRequest(collection: "c", ids: ids, withVector: false)
        guard case .records(let reply) = try client.ask(.get(request)) else {
            Issue.record("no records")
            return
        }
        #expect(!Message.records(reply).fitsFrame)
        #expect(reply.records.map(\.id) == ids)
        #expect(reply.records.allSatisfy { $0.metadata?.count == Limits.metadataByteCountMax })
        #expect(client.chunkCount > 60)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    /// A coordinator takes nothing from a client that means another cluster.
    @Test func aClientOfAnotherClusterIsToldAndDisconnected() throws {
        let server = try RunningServer(shards: 1)
        let good = try TestClient(server.socketPath)
        _ = try good.wait(until: allReady)
        let stranger = try TestClient(server.socketPath)
        let other = FrameScope.clients(of: ClusterUUID(high: 8, low: 9))
        stranger.send(raw: Message.ping.framed(requestID: 1, scope: other))
        guard case .failure(let error) = try stranger.receive().message else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .protocolViolation)
        #expect(error.message.contains("cluster \(other.cluster), expected \(testCluster)"))
        #expect(throws: OmenError.self) { try stranger.receive() }
        #expect(try good.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aKilledWorkerIsSeenAtOnceAndStartedAgain() throws {
        let server = try RunningServer(shards: 2)
        let client = try TestClient(server.socketPath)
        let before = try client.wait(until: allReady)
        kill(Int32(before.workers[1].pid), SIGKILL)
        // On a busy machine it may be started again before it is asked for.
        let dead = try client.wait { $0.workers[1].state != .ready || $0.workers[1].restarts > 0 }
        // The end of its socket and its exit are seen one after the other; a socket with a request
        // that the worker had not read yet ends with a reset.
        let reasons = [
            "its connection ended", "killed by signal 9",
            "cannot read: ECONNRESET: connection reset by peer",
        ]
        #expect(reasons.contains(dead.workers[1].lastError))
        let after = try client.wait(until: allReady)
        #expect(after.workers[1].pid != before.workers[1].pid)
        #expect(after.workers[1].restarts == 1)
        #expect(after.workers[0].pid == before.workers[0].pid)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aWorkerThatCrashesOnAWriteLeavesItsOutcomeUnknown() throws {
        let server = try RunningServer(shards: 1)
        let client = try TestClient(server.socketPath)
        _ = try client.wait(until: allReady)
        guard case .failure(let error) = try client.upsert([666]) else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .unknownOutcome)
        _ = try client.wait(until: allReady)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aHungWorkerIsReplaced() throws {
        let server = try RunningServer(shards: 1) { $0.timing.heartbeatTimeout = second }
        let client = try TestClient(server.socketPath)
        let before = try client.wait(until: allReady)
        guard case .failure(let error) = try client.upsert([667]) else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .unknownOutcome)
        let after = try client.wait(until: allReady)
        #expect(after.workers[0].pid != before.workers[0].pid)
        #expect(kill(Int32(before.workers[0].pid), 0) != 0)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func brokenBytesCostOnlyTheirConnection() throws {
        let server = try RunningServer(shards: 1)
        let good = try TestClient(server.socketPath)
        _ = try good.wait(until: allReady)
        let bad = try TestClient(server.socketPath)
        bad.send(raw: Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        guard case .failure(let error) = try bad.receive().message else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .protocolViolation)
        #expect(throws: OmenError.self) { try bad.receive() }
        #expect(try good.ask(.ping) == .done)
        #expect(try good.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aClientThatEndsItsHalfStillGetsItsAnswers() throws {
        let server = try RunningServer(shards: 1)
        let good = try TestClient(server.socketPath)
        _ = try good.wait(until: allReady)
        _ = try good.upsert([1])
        let half = try TestClient(server.socketPath)
        half.send(.count(collection: "c"))
        half.endOwnHalf()
        guard case .counted(let reply) = try half.receive().message else {
            Issue.record("no count")
            return
        }
        #expect(reply.count == 1)
        #expect(throws: OmenError.self) { try half.receive() }
        #expect(try good.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func aSecondCoordinatorAtTheSameSocketIsRefused() throws {
        let server = try RunningServer(shards: 1)
        let client = try TestClient(server.socketPath)
        let core = CoordinatorCore.Configuration(
            directory: try ClusterDirectory(shardCount: 1),
            pid: 1,
            endpoint: .unix(path: server.socketPath),
            nonce: 1
        )
        let second = try CoordinatorServer(
            CoordinatorServer.Configuration(
                core: core,
                cluster: testCluster,
                launcher: WorkerLauncher(
                    executable: "/nowhere",
                    dataDirectory: server.directory
                ),
                storeDirectory: { _ in },
                storeDrops: { _ in }
            )
        )
        let refusal = #expect(throws: OmenError.self) { try second.run() }
        #expect(refusal?.code == .locked)
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    /// A process that an earlier coordinator started, or that was replaced, names another epoch.
    @Test func aWorkerOfAnotherEpochIsRefusedByNameAndKilled() throws {
        let program = CommandLine.arguments[0]
        let products = program[..<(program.lastIndex(of: "/") ?? program.startIndex)]
        var path = Array("/tmp/omen-stale-worker-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        try #require(descriptor >= 0)
        let script = path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { unlink(script) }
        let text = """
            #!/bin/sh
            exec \(products)/FakeWorker $(echo "$@" | sed 's/--epoch [0-9]*/--epoch 1/')
            """
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
        #expect(fchmod(descriptor, 0o700) == 0)
        close(descriptor)
        let server = try RunningServer(shards: 1, executable: script)
        let client = try TestClient(server.socketPath)
        let status = try client.wait { $0.workers[0].lastError.contains("epoch") }
        #expect(status.workers[0].state != .ready)
        #expect(status.workers[0].lastError.contains("the frame is of epoch 1, expected "))
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }

    @Test func anExecutableThatIsNotThereMakesShardsBackOff() throws {
        let server = try RunningServer(shards: 1, executable: "/nowhere")
        let client = try TestClient(server.socketPath)
        let status = try client.status()
        #expect(status.workers[0].state == .backoff)
        #expect(status.workers[0].lastError.contains("cannot start"))
        #expect(try client.ask(.stop) == .done)
        #expect(server.exitCode() == 0)
    }
}
