internal import CUV
internal import Glibc
package import OmenCore
internal import OmenSystem

/// A socket that listens at an endpoint.
package final class Listener: LoopHandle {
    /// Where it listens.
    package let endpoint: Endpoint
    private var onConnection: (StreamConnection) -> Void

    fileprivate init(
        state: LoopState,
        endpoint: Endpoint,
        onConnection: @escaping (StreamConnection) -> Void
    ) {
        self.endpoint = endpoint
        self.onConnection = onConnection
        super.init(state: state, uv_pipe_t.self)
        // Cannot fail: only fills in memory.
        uv_pipe_init(state.uv, pointer(as: uv_pipe_t.self), 0)
        attach()
    }

    /// Connections the system holds until the loop gets to them.
    private static let backlog: Int32 = 1024

    fileprivate func start() throws(OmenError) {
        do throws(OmenError) {
            try checkUV(bind(), "cannot bind \(endpoint)")
            let listening = uv_listen(pointer(as: uv_stream_t.self), Self.backlog) {
                handle,
                status in
                guard let listener: Listener = LoopHandle.object(handle) else { return }
                listener.accept(status)
            }
            try checkUV(listening, "cannot listen at \(endpoint)")
        } catch {
            beginClose()
            throw error
        }
    }

    /// Gives the socket its address; returns libuv's code.
    private func bind() -> Int32 {
        switch endpoint {
        case .unix(let path):
            // Listening before a chmod would let others in meanwhile (Redis, CVE-2023-45145).
            let mask = umask(0o077)
            defer { umask(mask) }
            return uv_pipe_bind(pointer(as: uv_pipe_t.self), path)
        }
    }

    /// A failed accept (no descriptors left, the client gone) costs that client only.
    private func accept(_ status: Int32) {
        guard status >= 0, !isClosing else { return }
        let connection = StreamConnection(state: state)
        guard
            uv_accept(pointer(as: uv_stream_t.self), connection.pointer(as: uv_stream_t.self)) == 0
        else {
            connection.abort()
            return
        }
        onConnection(connection)
    }

    /// Stops listening and removes the socket's file; idempotent, accepted connections live on.
    package func close() { beginClose() }

    override func didClose() { onConnection = { _ in } }
}

extension EventLoop {
    /// Listens at an endpoint.
    ///
    /// The file of a Unix socket is only for the user of this process; one that was left behind by
    /// a dead process is replaced.
    /// - Parameters:
    ///   - endpoint: Where to listen.
    ///   - onConnection: Gets each new connection, which reads nothing before `startReading()`.
    /// - Returns: The listener, needed only to close it.
    /// - Throws: `.badRequest` for an address that the system cannot take, `.locked` when someone
    ///   listens there, `.ioFailure` when the system refuses or the path is no socket.
    package func listen(
        at endpoint: Endpoint,
        onConnection: @escaping (StreamConnection) -> Void
    ) throws(OmenError) -> Listener {
        try endpoint.validate()
        switch endpoint {
        case .unix(let path): try removeStaleSocket(path)
        }
        let listener = Listener(state: state, endpoint: endpoint, onConnection: onConnection)
        try listener.start()
        return listener
    }

    /// Makes way for a Unix socket.
    private func removeStaleSocket(_ path: String) throws(OmenError) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFSOCK else {
            throw OmenError(.ioFailure, "\(path) exists and is not a socket")
        }
        guard try !Self.someoneListens(at: .unix(path: path)) else {
            throw OmenError(.locked, "another process listens at \(path)")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw OmenError(
                .ioFailure,
                "cannot remove the stale socket \(path): \(systemErrorText(errno))"
            )
        }
    }

    private static func someoneListens(at endpoint: Endpoint) throws(OmenError) -> Bool {
        let descriptor = try endpoint.makeSocket()
        defer { _ = Glibc.close(descriptor) }
        let result = endpoint.connect(descriptor)
        // Only a refusal proves that nobody is there; a full backlog (EAGAIN) proves the contrary.
        return result == 0 || errno != ECONNREFUSED
    }

    /// Takes over an open stream socket, such as one inherited from the parent.
    ///
    /// - Parameter descriptor: Made non-blocking, closed with the connection; the caller's again
    ///   when this throws.
    /// - Returns: A connection that reads nothing before `startReading()`.
    /// - Throws: `.ioFailure` for a descriptor that is no open stream socket.
    package func adopt(descriptor: Int32) throws(OmenError) -> StreamConnection {
        let connection = StreamConnection(state: state)
        let result = uv_pipe_open(connection.pointer(as: uv_pipe_t.self), descriptor)
        if result < 0 { connection.abort() }
        try checkUV(result, "cannot take over descriptor \(descriptor)")
        return connection
    }

    /// Two connected sockets, one to `adopt`, one for a child to inherit.
    ///
    /// Both are close-on-exec; after `spawn` close the child's with `EventLoop.close(descriptor:)`.
    package static func socketPair() throws(OmenError) -> (ours: Int32, childs: Int32) {
        var pair: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else {
            throw OmenError(
                .ioFailure,
                "cannot make a socket pair: \(systemErrorText(errno))"
            )
        }
        return (pair[0], pair[1])
    }

    /// Closes a descriptor that no connection owns.
    package static func close(descriptor: Int32) { _ = Glibc.close(descriptor) }
}
