/// An address at which one process listens and others connect.
///
/// All that listens or connects names its address by this type: another kind of address is one more
/// case, and the compiler tells each place that has to know it.
package enum Endpoint: Hashable, Sendable {
    /// A Unix socket, which lies in the file system under a path.
    case unix(path: String)

    /// Makes sure that the system can take the address.
    ///
    /// - Throws: `.badRequest` for a path that is empty, too long or has a zero byte.
    package func validate() throws(OmenError) {
        switch self {
        case .unix(let path):
            let byteCount = path.utf8.count
            guard (1...Limits.socketPathByteCountMax).contains(byteCount), !path.utf8.contains(0)
            else {
                throw OmenError(
                    .badRequest,
                    "socket path \(path) has \(byteCount) bytes, expected 1...\(Limits.socketPathByteCountMax)"
                )
            }
        }
    }
}

extension Endpoint: CustomStringConvertible {
    /// The address as users write it.
    package var description: String {
        switch self {
        case .unix(let path): path
        }
    }
}
