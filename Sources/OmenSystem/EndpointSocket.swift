internal import Glibc
package import OmenCore

extension Endpoint {
    /// Makes a socket that can be connected to the endpoint: non-blocking, and closed at `exec`.
    ///
    /// - Returns: Its descriptor, which the caller closes.
    /// - Throws: `.ioFailure` when the system gives none.
    package func makeSocket() throws(OmenError) -> Int32 {
        let family: Int32
        switch self {
        case .unix: family = AF_UNIX
        }
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(family, Int32(kind), 0)
        guard descriptor >= 0 else {
            throw OmenError(.ioFailure, "cannot make a socket: \(systemErrorText(errno))")
        }
        return descriptor
    }

    /// Connects a socket to the endpoint (connect(2), unix(7)).
    ///
    /// - Parameter descriptor: What `makeSocket` returned.
    /// - Returns: What connect(2) returns: 0, or -1 with the reason in `errno`.
    /// - Precondition: `validate` does not throw; longer paths are cut.
    package func connect(_ descriptor: Int32) -> Int32 {
        switch self {
        case .unix(let path): connectUnix(descriptor, to: path)
        }
    }
}

/// Connects a socket of the family AF_UNIX to a path.
private func connectUnix(_ descriptor: Int32, to path: String) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) {
        $0.copyBytes(from: path.utf8.prefix(Limits.socketPathByteCountMax))
    }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
