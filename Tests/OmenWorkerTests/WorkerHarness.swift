import OmenSystem
import Foundation
import Glibc
import OmenCore
import OmenLoop
import OmenShard
import OmenStorage
import OmenWire
import OmenWorker
import Synchronization
import Testing

/// A worker on a thread of its own, and the coordinator's end of its socket.
final class WorkerHarness {
    let descriptor: Int32
    /// What the frames of both ends are about.
    static let scope = FrameScope(cluster: ClusterUUID(high: 1, low: 2), shard: 0, epoch: 77)
    private var decoder = FrameDecoder(.between(scope))
    private var received: [Envelope] = []
    private let thread: BackgroundThread
    private let outcome = Outcome()

    private final class Outcome: Sendable {
        let exit = Mutex<WorkerServer.Exit?>(nil)
    }

    /// Starts the worker and waits until it is ready.
    init(_ directory: String) throws {
        let pair = try EventLoop.socketPair()
        descriptor = pair.ours
        let configuration = WorkerServer.Configuration(
            shard: ShardEngine.Configuration(
                directory: Directory(directory),
                identity: ShardIdentity(cluster: Self.scope.cluster, shard: 0),
                durability: .none
            ),
            incarnation: 1,
            scope: Self.scope,
            descriptor: pair.childs
        )
        let outcome = outcome
        thread = try BackgroundThread {
            let exit = WorkerServer.run(configuration)
            outcome.exit.withLock { $0 = exit }
        }
        while true {
            guard case .announcement(let announcement) = try next().message else { continue }
            if announcement.state == .ready { return }
        }
    }

    /// Leaves the worker alone, so that it ends, and waits for that.
    ///
    /// - Returns: How the worker ended.
    @discardableResult
    func leave() -> WorkerServer.Exit? {
        close(descriptor)
        thread.join()
        return outcome.exit.withLock { $0 }
    }

    /// Sends requests in one frame.
    func send(
        _ requests: [(id: UInt64, message: Message)],
        scope: FrameScope = WorkerHarness.scope
    ) throws {
        var encoder = FrameEncoder(scope)
        for (id, message) in requests {
            encoder.append(Envelope(requestID: id, message: message))
        }
        let bytes = encoder.finish()
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { part in
                Glibc.write(descriptor, part.baseAddress, part.count)
            }
            try #require(count > 0)
            sent += count
        }
    }

    /// The next message of the worker.
    func next() throws -> Envelope {
        while received.isEmpty {
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, 60_000) == 1 else {
                throw OmenError(.unavailable, "no answer in a minute")
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { throw OmenError(.unavailable, "the worker has gone") }
            buffer[..<count].withUnsafeBytes { decoder.append($0) }
            while let envelopes = try decoder.next() { received += envelopes }
        }
        return received.removeFirst()
    }

    /// Sends an order to write and waits for its acknowledgement.
    func write(_ operation: CheckedOperation) throws {
        let key = RequestKey(client: 0, sequence: 0)
        try send([(1, .shardWrite(ShardWrite(key: key, operation: operation)))])
        let answer = try next()
        guard case .written = answer.message else {
            throw OmenError(.unavailable, "\(answer)")
        }
    }
}
