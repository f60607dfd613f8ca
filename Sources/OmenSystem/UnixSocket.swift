internal import Glibc
internal import OmenCore

/// Connects a socket to a path (unix(7)).
///
/// - Parameters:
///   - descriptor: A stream socket of the family AF_UNIX.
///   - path: Of at most `Limits.socketPathByteCountMax` bytes; longer paths are cut.
/// - Returns: What connect(2) returns: 0, or -1 with the reason in `errno`.
package func connectUnix(_ descriptor: Int32, to path: String) -> Int32 {
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
