internal import OmenSystem
internal import Glibc
internal import OmenCore

/// A connected, non-blocking socket whose waits have deadlines.
final class ClientSocket {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = close(descriptor) }

    /// Connects, waiting while the listener's backlog is full.
    ///
    /// - Throws: `.unavailable` when nobody listens there, `.badRequest` for an address that the
    ///   system cannot take, else `.ioFailure`.
    static func connect(
        to endpoint: Endpoint,
        deadline: ContinuousClock.Instant
    ) throws(OmenError) -> ClientSocket {
        try endpoint.validate()
        let descriptor = try endpoint.makeSocket()
        let socket = ClientSocket(descriptor: descriptor)
        while true {
            if endpoint.connect(descriptor) == 0 { return socket }
            switch errno {
            case EINTR: continue
            case EAGAIN where ContinuousClock.now < deadline:
                try Stop.check()
                usleep(5000)
            case ENOENT, ECONNREFUSED:
                throw OmenError(.unavailable, "no cluster is running at \(endpoint)")
            case EAGAIN:
                throw OmenError(.unavailable, "the cluster at \(endpoint) accepts no connections")
            case let code:
                throw OmenError(
                    .ioFailure,
                    "cannot connect to \(endpoint): \(systemErrorText(code))"
                )
            }
        }
    }

    /// Waits until bytes can be received, or sent if `wantsToSend`, or the deadline has passed; a
    /// thread that may be stopped only until it must look again.
    func wait(toSend wantsToSend: Bool, deadline: ContinuousClock.Instant) throws(OmenError) {
        var entry = pollfd(
            fd: descriptor,
            events: Int16(POLLIN) | (wantsToSend ? Int16(POLLOUT) : 0),
            revents: 0
        )
        let left = ContinuousClock.now.duration(to: deadline)
        let longest = Stop.current == nil ? 60_000 : Double(Stop.lookInterval)
        let milliseconds = left <= .zero ? 0 : min(left / .milliseconds(1), longest).rounded(.up)
        guard poll(&entry, 1, Int32(milliseconds)) >= 0 || errno == EINTR else {
            throw OmenError(
                .ioFailure,
                "cannot wait for the coordinator: \(systemErrorText(errno))"
            )
        }
    }

    /// Sends what the system takes now.
    ///
    /// - Returns: Bytes taken, 0 when the socket is full.
    /// - Throws: `.unavailable` when the connection is gone.
    func send(_ bytes: UnsafeRawBufferPointer) throws(OmenError) -> Int {
        let count = Glibc.send(
            descriptor,
            bytes.baseAddress,
            bytes.count,
            Int32(MSG_NOSIGNAL)
        )
        if count >= 0 { return count }
        guard errno == EAGAIN || errno == EINTR else { throw Self.lost(systemErrorText(errno)) }
        return 0
    }

    /// Receives what is there.
    ///
    /// - Returns: Bytes received, 0 when nothing is there yet.
    /// - Throws: `.unavailable` when the connection is gone.
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws(OmenError) -> Int {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return count }
        if count == 0 { throw Self.lost("closed by the coordinator") }
        guard errno == EAGAIN || errno == EINTR else { throw Self.lost(systemErrorText(errno)) }
        return 0
    }

    private static func lost(_ reason: String) -> OmenError {
        OmenError(.unavailable, "lost the connection to the coordinator: \(reason)")
    }
}
