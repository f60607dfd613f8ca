import OmenSystem
import Glibc
import OmenCore
import OmenWire
import Synchronization
import Testing

/// A coordinator that does what a test tells it, over a real socket.
final class TestServer: Sendable {
    enum Response: Sendable {
        case reply(Message)
        case silence
        case hangUp
        case bytes([UInt8])
        /// Answers an older request too.
        case replies([Envelope])
    }

    private struct State: Sendable {
        var connections: Set<Int32> = []
        var accepted = 0
        var isStopped = false
    }

    let path: String
    /// Where clients connect.
    var endpoint: Endpoint { .unix(path: path) }
    /// The cluster that it pretends to be.
    private let cluster: ClusterUUID
    private let listener: Int32
    private let state = Mutex(State())
    private let handler: @Sendable (Envelope) -> Response

    init(
        path: String,
        cluster: ClusterUUID = ClusterUUID(high: 1, low: 2),
        _ handler: @escaping @Sendable (Envelope) -> Response
    ) throws {
        self.path = path
        self.cluster = cluster
        self.handler = handler
        unlink(path)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        try #require(listen(listener, 16) == 0)
        _ = try BackgroundThread { self.acceptAll() }
    }

    var acceptedCount: Int { state.withLock { $0.accepted } }

    /// Ends every connection and removes the socket, as a coordinator that dies.
    func stop() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.isStopped = true
            unlink(path)
            shutdown(listener, Int32(SHUT_RDWR))
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    private func acceptAll() {
        while true {
            let connection = accept(listener, nil, nil)
            if connection < 0 { break }
            let isWelcome = state.withLock { state in
                guard !state.isStopped else { return false }
                state.accepted += 1
                state.connections.insert(connection)
                return true
            }
            guard isWelcome, (try? BackgroundThread { self.serve(connection) }) != nil else {
                close(connection)
                continue
            }
        }
        close(listener)
    }

    private func serve(_ connection: Int32) {
        defer {
            state.withLock { _ = $0.connections.remove(connection) }
            close(connection)
        }
        var decoder = FrameDecoder(.fromClient(of: .unknown))
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(connection, &buffer, buffer.count)
            if count <= 0 { return }
            buffer[..<count].withUnsafeBytes { decoder.append($0) }
            do {
                while let envelopes = try decoder.next() {
                    for envelope in envelopes {
                        switch handler(envelope) {
                        case .reply(let message):
                            let frame = message.framed(
                                requestID: envelope.requestID,
                                scope: .clients(of: cluster)
                            )
                            send(frame, connection)
                        case .silence: break
                        case .hangUp: return
                        case .bytes(let bytes): send(bytes, connection)
                        case .replies(let replies):
                            var encoder = FrameEncoder(.clients(of: cluster))
                            for reply in replies { encoder.append(reply) }
                            send(encoder.finish(), connection)
                        }
                    }
                }
            } catch {
                Issue.record("the client sent nonsense: \(error)")
                return
            }
        }
    }

    private func send(_ bytes: [UInt8], _ connection: Int32) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }
}

/// Runs `body` with a server of its own on a socket of its own.
func withServer(
    _ handler: @escaping @Sendable (Envelope) -> TestServer.Response,
    _ body: (TestServer) throws -> Void
) throws {
    try withSocketPath { path in
        let server = try TestServer(path: path, handler)
        defer { server.stop() }
        try body(server)
    }
}

func withSocketPath(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/omen-XXXXXX".utf8CString)
    let isMade = template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { mkdtemp($0) != nil } ?? false
    }
    try #require(isMade)
    let directory = String(
        decoding: template.dropLast().map(UInt8.init(bitPattern:)),
        as: UTF8.self
    )
    defer {
        unlink(directory + "/s")
        rmdir(directory)
    }
    try body(directory + "/s")
}

/// Writes as the cluster applies them: once per key, whatever is sent.
final class WriteModel: Sendable {
    private let applied = Mutex<[RequestKey: UInt64]>([:])

    /// Applies unless it was before; the counts are those of the first time.
    func apply(_ request: WriteRequest) -> WriteCounts {
        guard case .upsert(let batch) = request.operation else { return WriteCounts() }
        let count = UInt64(Set(batch.ids).count)
        applied.withLock { $0[request.key] = count }
        return WriteCounts(upserted: count)
    }

    var keyCount: Int { applied.withLock { $0.count } }
    var vectorCount: UInt64 { applied.withLock { $0.values.reduce(0, +) } }
    var keys: Set<RequestKey> { applied.withLock { Set($0.keys) } }
}

func batch(_ number: Int, vectors: Int = 3) -> UpsertBatch {
    UpsertBatch(
        collection: "default",
        element: .u8,
        dim: 4,
        ids: (0..<vectors).map { .number(UInt64(number * vectors + $0)) },
        vectors: Array(repeating: UInt8(truncatingIfNeeded: number), count: vectors * 4)
    )
}

let whole = Coverage(shardsTotal: 2)

func written(_ counts: WriteCounts, _ coverage: Coverage = whole) -> TestServer.Response {
    .reply(.written(WriteReply(counts: counts, coverage: coverage)))
}
