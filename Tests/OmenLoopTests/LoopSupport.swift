import Glibc
import OmenCore
import Testing

@testable import OmenLoop

/// All tests of the loop; one after another, because some count the process's descriptors.
@Suite(.serialized) struct LoopTests {}

/// Runs the loop until `stop()`; fails the test instead of hanging for ever.
func run(_ loop: EventLoop, atMost limit: Duration = .seconds(600)) {
    let watchdog = loop.timer(after: limit) {
        Issue.record("the loop was still running after \(limit)")
        loop.stop()
    }
    loop.run()
    watchdog.cancel()
}

/// A directory of the test's own, with a name short enough for a socket's path.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/omen-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { mkdtemp($0) != nil } ?? false
    }
    try #require(made)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
        unlink(path + "/s")
        rmdir(path)
    }
    try body(path)
}

/// A connected, blocking client socket, or -1 with errno.
func connectSocket(_ path: String) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard result == 0 else {
        let code = errno
        close(descriptor)
        errno = code
        return -1
    }
    return descriptor
}

/// Open descriptors of this process.
func openDescriptorCount() -> Int {
    (0..<4096).count { fcntl(Int32($0), F_GETFD) != -1 }
}

/// Two connections of one loop that talk to each other.
func connectionPair(_ loop: EventLoop) throws -> (StreamConnection, StreamConnection) {
    let (left, right) = try EventLoop.socketPair()
    return (try loop.adopt(descriptor: left), try loop.adopt(descriptor: right))
}

/// Bytes that differ everywhere, so that a shifted or repeated part shows.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SplitMix64(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
}
