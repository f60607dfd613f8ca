internal import Glibc
package import OmenCore

/// Runs one system call that reports failure as -1 and `errno`.
///
/// An interrupted call is repeated. A bad descriptor or address is a bug of ours, and going on
/// could write into someone else's file, so the process ends. Every other error is thrown.
/// - Throws: `.resourceExhausted` when space or descriptors ran out, else `.ioFailure`; both name
///   the operation and the path.
@discardableResult
package func systemCall<Value: FixedWidthInteger & SignedInteger>(
    _ operation: StaticString,
    _ path: String,
    _ body: () -> Value
) throws(OmenError) -> Value {
    while true {
        let value = body()
        if value != -1 { return value }
        let code = errno
        if code == EINTR { continue }
        throw systemError(operation, path, code)
    }
}

/// The system's text for an `errno` value, on any thread.
package func systemErrorText(_ code: Int32) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
        guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else {
            return "errno \(code)"
        }
        return String(cString: base)
    }
}

/// The error to throw for an `errno` value.
package func systemError(_ operation: StaticString, _ path: String, _ code: Int32) -> OmenError {
    precondition(
        code != EBADF && code != EFAULT,
        "\(operation) \(path) failed with errno \(code), which only a bug of ours can cause"
    )
    let text = systemErrorText(code)
    switch code {
    // EFBIG is a file size limit (RLIMIT_FSIZE): space for this process has run out.
    case ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE:
        return OmenError(.resourceExhausted, "\(operation) \(path): \(text)")
    default:
        return OmenError(.ioFailure, "\(operation) \(path): \(text)")
    }
}
