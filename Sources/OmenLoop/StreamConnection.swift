internal import CUV
package import OmenCore

/// One end of a Unix stream socket.
///
/// Life: made by `EventLoop.listen` or `adopt`, silent until `startReading()`; ends by `close()`,
/// `abort()`, an error or the peer's end, and then calls `onClose` exactly once, from the loop.
/// Nothing is called back after that, and never from inside a call to this object.
package final class StreamConnection: LoopHandle {
    /// Bytes as they came, borrowed for the call.
    package var onBytes: (UnsafeRawBufferPointer) -> Void = { _ in }
    /// The peer has sent its last byte and may still be reading.
    ///
    /// When nil, the connection closes itself after what is queued has been sent.
    package var onEnd: (() -> Void)?
    /// Everything queued has been taken by the system.
    package var onDrain: () -> Void = {}
    /// The system took a part of what had to wait for room in the socket.
    package var onProgress: () -> Void = {}
    /// The last call; nil unless an error ended the connection.
    package var onClose: (OmenError?) -> Void = { _ in }

    /// Most bytes that one `onBytes` gives, for an owner who counts the memory they take.
    package var readByteCountMax = LoopState.readBufferByteCount

    /// Byte arrays not yet given to libuv; the first without its first `sentByteCount` bytes.
    private var waiting: [[UInt8]] = []
    private var waitingByteCount = 0
    private var sentByteCount = 0
    /// Whether a write that the system did not take at once is with libuv.
    private var isWriting = false
    private var isUnflushed = false
    private var closesWhenDrained = false
    private var error: OmenError?

    /// Most byte arrays in one system call.
    private static let arrayCountMax = 32
    /// Largest part of the queue handed to libuv when the socket is full; about a socket's buffer.
    private static let writeByteCountMax = 256 << 10

    init(state: LoopState) {
        super.init(state: state, uv_pipe_t.self)
        // Cannot fail: only fills in memory.
        uv_pipe_init(state.uv, pointer(as: uv_pipe_t.self), 0)
        attach()
    }

    private var stream: UnsafeMutablePointer<uv_stream_t> { pointer(as: uv_stream_t.self) }

    /// Whether writes are still accepted.
    package var isOpen: Bool { !isClosing && !closesWhenDrained }

    /// Bytes queued and not yet taken by the system.
    package var queuedByteCount: Int {
        isClosing ? 0 : waitingByteCount + uv_stream_get_write_queue_size(stream)
    }

    // MARK: Reading

    /// Starts or resumes reading; idempotent.
    package func startReading() {
        guard isOpen else { return }
        let result = uv_read_start(
            stream,
            { handle, _, buffer in
                guard let connection: StreamConnection = LoopHandle.object(handle) else { return }
                let memory = connection.state.readBuffer
                buffer?.pointee = uv_buf_init(
                    memory.baseAddress?.assumingMemoryBound(to: CChar.self),
                    UInt32(min(memory.count, max(1, connection.readByteCountMax)))
                )
            },
            { handle, count, buffer in
                guard let connection: StreamConnection = LoopHandle.object(handle) else { return }
                connection.didRead(count, buffer?.pointee.base)
            }
        )
        // EALREADY: reading already. Anything else was reported by the read or write that broke.
        if result < 0, result != UV_EALREADY.rawValue { fail("cannot read", result) }
    }

    /// Stops reading: the system's buffer fills and the peer has to wait; idempotent.
    ///
    /// While paused, the peer's end is noticed only by writing.
    package func pauseReading() {
        guard !isClosing else { return }
        uv_read_stop(stream)
    }

    private func didRead(_ count: Int, _ bytes: UnsafeMutablePointer<CChar>?) {
        // 0 is "would block".
        guard count != 0, isOpen else { return }
        if count > 0 {
            onBytes(UnsafeRawBufferPointer(start: bytes, count: count))
        } else if count == Int(UV_EOF.rawValue) {
            // Reading on would report the end again and again.
            uv_read_stop(stream)
            if let onEnd { onEnd() } else { close() }
        } else {
            fail("cannot read", Int32(truncatingIfNeeded: count))
        }
    }

    // MARK: Writing

    /// Queues bytes; they leave at the end of the turn, together with all others of this turn.
    ///
    /// Ignored once the connection is closing. Watch `queuedByteCount`: the queue has no limit.
    package func write(_ bytes: [UInt8]) {
        guard isOpen, !bytes.isEmpty else { return }
        waiting.append(bytes)
        waitingByteCount += bytes.count
        scheduleFlush()
    }

    private func scheduleFlush() {
        guard !isUnflushed else { return }
        isUnflushed = true
        state.unflushed.append(self)
    }

    /// Offers the queue to the system; the rest goes when the socket has room again.
    func flush() {
        isUnflushed = false
        guard !isClosing, !isWriting else { return }
        while !waiting.isEmpty {
            let offered = waiting.prefix(Self.arrayCountMax).reduce(-sentByteCount) {
                $0 + $1.count
            }
            let result = tryWrite()
            if result == UV_EAGAIN.rawValue { break }
            if result < 0 { return fail("cannot write", result) }
            consume(Int(result))
            if Int(result) < offered { break }
        }
        if waiting.isEmpty { didDrain() } else { writeWhenPossible() }
    }

    private func didDrain() {
        if !state.isTearingDown { onDrain() }
        if closesWhenDrained, waiting.isEmpty, !isWriting { beginClose() }
    }

    /// Forgets `count` sent bytes at the front of the queue.
    private func consume(_ count: Int) {
        waitingByteCount -= count
        sentByteCount += count
        var whole = 0
        while whole < waiting.count, sentByteCount >= waiting[whole].count {
            sentByteCount -= waiting[whole].count
            whole += 1
        }
        waiting.removeFirst(whole)
    }

    /// One writev of the first arrays.
    private func tryWrite() -> Int32 {
        let count = min(waiting.count, Self.arrayCountMax)
        return withUnsafeTemporaryAllocation(of: uv_buf_t.self, capacity: count) { buffers in
            tryWrite(from: 0, buffers)
        }
    }

    /// Nests one scope per array, so that all of them are borrowed during the call.
    private func tryWrite(
        from index: Int,
        _ buffers: UnsafeMutableBufferPointer<uv_buf_t>
    ) -> Int32 {
        guard index < buffers.count else {
            return uv_try_write(stream, buffers.baseAddress, UInt32(buffers.count))
        }
        return waiting[index].withUnsafeBytes { bytes in
            let part = UnsafeRawBufferPointer(rebasing: bytes[(index == 0 ? sentByteCount : 0)...])
            buffers[index] = uv_buf_t(
                base: UnsafeMutableRawPointer(mutating: part.baseAddress)?
                    .assumingMemoryBound(to: CChar.self),
                len: part.count
            )
            return tryWrite(from: index + 1, buffers)
        }
    }

    /// Copies the front of the queue, which libuv then keeps until the socket took it.
    private func writeWhenPossible() {
        let request = QueuedWrite(
            connection: self,
            byteCount: min(waitingByteCount, Self.writeByteCountMax)
        )
        var filled = 0
        for (index, array) in waiting.enumerated() where filled < request.payload.count {
            array.withUnsafeBytes { bytes in
                let part = bytes[(index == 0 ? sentByteCount : 0)...]
                    .prefix(request.payload.count - filled)
                request.payload[filled...].copyBytes(from: part)
                filled += part.count
            }
        }
        let result = request.submit(to: stream)
        if result < 0 { return fail("cannot write", result) }
        isWriting = true
        consume(filled)
    }

    fileprivate func didWrite(_ status: Int32) {
        isWriting = false
        guard !isClosing else { return }
        if status < 0 { return fail("cannot write", status) }
        flush()
        if !isClosing, !state.isTearingDown { onProgress() }
    }

    // MARK: Ending

    /// Stops reading and closes once everything queued is sent; idempotent.
    ///
    /// A peer that does not read keeps the connection open: bound the wait and `abort()`.
    package func close() {
        guard isOpen else { return }
        uv_read_stop(stream)
        closesWhenDrained = true
        if waiting.isEmpty, !isWriting { beginClose() }
    }

    /// Closes at once; what is queued is lost.
    package func abort() { beginClose() }

    private func fail(_ what: String, _ result: Int32) {
        guard !isClosing else { return }
        error = OmenError(.ioFailure, "\(what): \(uvMessage(result))")
        beginClose()
    }

    override func willClose() {
        waiting = []
        waitingByteCount = 0
    }

    override func didClose() {
        let onClose = onClose
        onBytes = { _ in }
        onEnd = nil
        onDrain = {}
        onProgress = {}
        self.onClose = { _ in }
        if !state.isTearingDown { onClose(error) }
    }
}

/// A write that waits for room in the socket; lives until its callback.
private final class QueuedWrite {
    let payload: UnsafeMutableRawBufferPointer
    private let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
    private let connection: StreamConnection

    init(connection: StreamConnection, byteCount: Int) {
        self.connection = connection
        payload = .allocate(byteCount: byteCount, alignment: 16)
    }

    deinit {
        payload.deallocate()
        request.deallocate()
    }

    func submit(to stream: UnsafeMutablePointer<uv_stream_t>) -> Int32 {
        var buffer = uv_buf_t(
            base: payload.baseAddress?.assumingMemoryBound(to: CChar.self),
            len: payload.count
        )
        let retained = Unmanaged.passRetained(self)
        request.pointee.data = retained.toOpaque()
        let result = uv_write(request, stream, &buffer, 1) { request, status in
            guard let data = request?.pointee.data else { return }
            let write = Unmanaged<QueuedWrite>.fromOpaque(data).takeRetainedValue()
            write.connection.didWrite(status)
        }
        // On an immediate error libuv does not call back.
        if result < 0 { retained.release() }
        return result
    }
}
