internal import COmenDB
internal import OmenCore

/// Runs `body`, and makes its error one of C's.
func call(
    _ error: UnsafeMutablePointer<omendb_error>?,
    _ body: () throws(OmenError) -> Void
) -> Int32 {
    do throws(OmenError) {
        try body()
        return 0
    } catch let failure {
        guard let error else { return failure.code.rawValue }
        error.pointee.code = failure.code.rawValue
        error.pointee.retry_after_ms = failure.retryAfterMilliseconds
        withUnsafeMutableBytes(of: &error.pointee.message) { target in
            // Cut between characters.
            var count = 0
            for character in failure.message {
                let bytes = character.utf8
                guard count + bytes.count < target.count else { break }
                for byte in bytes {
                    target[count] = byte
                    count += 1
                }
            }
            target[count] = 0
        }
        return failure.code.rawValue
    }
}

/// Where a result goes; null until there is one.
func outlet<Value>(
    _ pointer: UnsafeMutablePointer<Value?>?,
    _ what: String
) throws(OmenError) -> UnsafeMutablePointer<Value?> {
    guard let pointer else { throw OmenError(.badRequest, "\(what) is null") }
    pointer.pointee = nil
    return pointer
}
