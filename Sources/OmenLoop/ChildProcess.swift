internal import CUV
package import OmenCore

/// A child process of the loop's process.
package final class ChildProcess: LoopHandle {
    /// Stays after the exit, when the number may belong to someone else already.
    package private(set) var pid: Int32 = 0
    package private(set) var isRunning = false
    private var onExit: (Int64, Int32) -> Void

    fileprivate init(state: LoopState, onExit: @escaping (Int64, Int32) -> Void) {
        self.onExit = onExit
        super.init(state: state, uv_process_t.self)
    }

    fileprivate func start(_ options: inout uv_process_options_t) -> Int32 {
        options.exit_cb = { handle, status, signal in
            guard let child: ChildProcess = LoopHandle.object(handle) else { return }
            child.didExit(status, signal)
        }
        let process = pointer(as: uv_process_t.self)
        process.initialize(to: uv_process_t())
        let result = uv_spawn(state.uv, process, &options)
        // Registered with the loop even when it failed, so it has to be closed either way.
        attach()
        if result < 0 {
            beginClose()
        } else {
            pid = process.pointee.pid
            isRunning = true
        }
        return result
    }

    private func didExit(_ status: Int64, _ signal: Int32) {
        isRunning = false
        beginClose()
        if !state.isTearingDown { onExit(status, signal) }
    }

    /// Sends a signal; does nothing once the exit was reported, because the pid may be reused.
    package func kill(_ signal: Int32) {
        guard isRunning, !isClosing else { return }
        // The only failure is a child that died this moment; its exit is reported anyway.
        _ = uv_process_kill(pointer(as: uv_process_t.self), signal)
    }

    override func didClose() { onExit = { _, _ in } }
}

extension EventLoop {
    /// Makes this process end when its parent does, whatever it is doing.
    ///
    /// Best effort: a parent that is gone already is noticed at the sockets.
    package static func endWithParent() { _ = omen_end_with_parent() }

    /// Starts a child process.
    ///
    /// The child gets `/dev/null` as standard input, our standard output and error, and of all
    /// other descriptors only those in `inherit`. To see to it, every descriptor of this process
    /// above 2 is marked close-on-exec.
    /// - Parameters:
    ///   - executable: Path, or a name to look up in PATH.
    ///   - arguments: Without the program's name.
    ///   - environment: `NAME=value` strings; nil for ours.
    ///   - inherit: Descriptor in the child -> descriptor of ours; ours stays open here.
    ///   - onExit: Exit status and, if one killed the child, the signal; called once, from the
    ///     loop.
    /// - Returns: The running child.
    /// - Throws: `.unavailable` when the system cannot start it (now).
    package func spawn(
        executable: String,
        arguments: [String],
        environment: [String]? = nil,
        inherit: [Int32: Int32] = [:],
        onExit: @escaping (_ status: Int64, _ signal: Int32) -> Void
    ) throws(OmenError) -> ChildProcess {
        // Kernels before 5.11 lack it; libuv's way misses descriptors above the first gap.
        if omen_mark_close_on_exec(3) != 0 { uv_disable_stdio_inheritance() }
        let child = ChildProcess(state: state, onExit: onExit)
        let words = CStrings([executable] + arguments)
        let variables = environment.map(CStrings.init)
        var stdio = Self.stdioContainers(inherit)
        let result = stdio.withUnsafeMutableBufferPointer { stdio in
            var options = uv_process_options_t()
            options.file = UnsafePointer(words.pointers[0])
            options.args = words.pointers.baseAddress
            options.env = variables?.pointers.baseAddress
            options.stdio_count = Int32(stdio.count)
            options.stdio = stdio.baseAddress
            return child.start(&options)
        }
        withExtendedLifetime((words, variables)) {}
        try checkUV(result, "cannot start \(executable)", .unavailable)
        return child
    }

    private static func stdioContainers(_ inherit: [Int32: Int32]) -> [uv_stdio_container_t] {
        let given = [1: 1, 2: 2].merging(inherit) { _, wanted in wanted }
        let last = given.keys.max() ?? 2
        precondition(last < 1024, "descriptor \(last) for a child")
        return (0...last).map { number in
            var container = uv_stdio_container_t()
            if let descriptor = given[number] {
                container.flags = UV_INHERIT_FD
                container.data.fd = descriptor
            } else {
                // libuv opens /dev/null for 0...2 and leaves higher ones closed.
                container.flags = UV_IGNORE
            }
            return container
        }
    }
}

/// A null-terminated array of C strings, freed with the object.
private final class CStrings {
    let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>

    init(_ strings: [String]) {
        pointers = .allocate(capacity: strings.count + 1)
        pointers.initialize(repeating: nil)
        for (index, string) in strings.enumerated() {
            let bytes = string.utf8CString
            let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
            _ = copy.initialize(from: bytes)
            pointers[index] = copy.baseAddress
        }
    }

    deinit {
        for pointer in pointers { pointer?.deallocate() }
        pointers.deallocate()
    }
}
