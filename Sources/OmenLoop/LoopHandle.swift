internal import CUV
internal import OmenCore

/// A libuv handle: memory the loop points to, and the object its callbacks reach.
///
/// The loop holds a reference from `attach` to the close callback, so memory outlives every use
/// libuv makes of it, whatever the owner does. The memory is freed with the object, never inside
/// another callback.
package class LoopHandle {
    let state: LoopState
    let memory: UnsafeMutableRawPointer
    package private(set) var isClosing = false

    init<Handle>(state: LoopState, _ type: Handle.Type) {
        self.state = state
        memory = .allocate(
            byteCount: MemoryLayout<Handle>.size,
            alignment: MemoryLayout<Handle>.alignment
        )
    }

    deinit { memory.deallocate() }

    var base: UnsafeMutablePointer<uv_handle_t> { memory.assumingMemoryBound(to: uv_handle_t.self) }

    func pointer<Handle>(as type: Handle.Type) -> UnsafeMutablePointer<Handle> {
        memory.assumingMemoryBound(to: type)
    }

    /// Gives the loop its reference; right after the handle's `uv_..._init` succeeded.
    func attach() { base.pointee.data = Unmanaged.passRetained(self).toOpaque() }

    /// The object behind a handle that libuv hands to a callback.
    static func object<Handle, Object: LoopHandle>(
        _ handle: UnsafeMutablePointer<Handle>?,
        as type: Object.Type = Object.self
    ) -> Object? {
        guard let handle else { return nil }
        let base = UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
        guard let data = base.pointee.data else { return nil }
        return Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue() as? Object
    }

    /// Starts closing; idempotent.
    ///
    /// `didClose` follows from the loop, never from inside this call.
    func beginClose() {
        guard !isClosing else { return }
        isClosing = true
        willClose()
        uv_close(base) { handle in
            guard let data = handle?.pointee.data else { return }
            let object = Unmanaged<LoopHandle>.fromOpaque(data).takeRetainedValue()
            object.didClose()
        }
    }

    /// Called once, before libuv is told.
    func willClose() {}

    /// Called once, when libuv no longer uses the memory; drop every user closure here.
    func didClose() {}
}

/// What a loop's handles share; outlives the loop for those who still hold one.
final class LoopState {
    let uv: UnsafeMutablePointer<uv_loop_t>
    /// The one buffer all connections read into: libuv fills it and calls back at once.
    let readBuffer: UnsafeMutableRawBufferPointer
    var turnEndBodies: [() -> Void] = []
    /// Connections with bytes queued since the last flush.
    var unflushed: [StreamConnection] = []
    /// The next turn has something to do whatever happens outside.
    var hasWorkLeft = false
    /// User code is no longer called: the loop is going away.
    var isTearingDown = false

    static let readBufferByteCount = 256 << 10

    init() {
        uv = .allocate(capacity: 1)
        readBuffer = .allocate(byteCount: Self.readBufferByteCount, alignment: 64)
    }

    deinit {
        uv.deallocate()
        readBuffer.deallocate()
    }
}

/// Turns a negative libuv result into an error that says what was tried.
@discardableResult
func checkUV(
    _ result: Int32,
    _ what: @autoclosure () -> String,
    _ code: OmenError.Code = .ioFailure
) throws(OmenError) -> Int32 {
    guard result < 0 else { return result }
    throw OmenError(code, "\(what()): \(uvMessage(result))")
}

/// libuv's words for a negative result, such as "EADDRINUSE: address already in use".
func uvMessage(_ result: Int32) -> String {
    "\(String(cString: uv_err_name(result))): \(String(cString: uv_strerror(result)))"
}
