internal import OmenSystem
internal import Glibc
package import OmenCore

/// The right to be the only process at a directory, held until the object goes.
///
/// flock(2) on a file that is never deleted: the kernel lets go when the process dies, however it
/// dies. Not fcntl locks: closing any other descriptor of the file would drop those.
package final class LockFile: FileLock, @unchecked Sendable {
    let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the lock and writes our process id into the file.
    ///
    /// - Throws: `.locked`, naming the process that has it.
    package static func acquire(_ path: String) throws(OmenError) -> LockFile {
        guard let descriptor = try openRegularFile(path, O_RDWR | O_CREAT) else {
            throw systemError("open", path, ENOENT)
        }
        let lock = LockFile(descriptor: descriptor)
        try lock.lock(LOCK_EX, path)
        let pid = Array("\(getpid())\n".utf8)
        try systemCall("truncate", path) { ftruncate(descriptor, 0) }
        try systemCall("write", path) {
            pid.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        }
        return lock
    }

    /// Makes sure that nobody holds the lock, without writing anything; keeps owners out while the
    /// result lives.
    ///
    /// - Returns: Nil when there is no such file, so nobody can hold it.
    /// - Throws: `.locked`, naming the process that has it.
    package static func acquireForReading(_ path: String) throws(OmenError) -> LockFile? {
        guard let descriptor = try openRegularFile(path, O_RDONLY) else { return nil }
        let lock = LockFile(descriptor: descriptor)
        try lock.lock(LOCK_SH, path)
        return lock
    }

    /// Takes a lock that several may share, or one may have alone; writes nothing into the file.
    ///
    /// - Throws: `.locked` while others have it in a way that excludes this one.
    package static func acquireLease(_ path: String, isShared: Bool) throws(OmenError) -> LockFile {
        let descriptor = try systemCall("open", path) {
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        }
        let lock = LockFile(descriptor: descriptor)
        try lock.lock(isShared ? LOCK_SH : LOCK_EX, path)
        return lock
    }

    private func lock(_ kind: Int32, _ path: String) throws(OmenError) {
        while flock(descriptor, kind | LOCK_NB) != 0 {
            let code = errno
            switch code {
            case EINTR: continue
            case EWOULDBLOCK: throw OmenError(.locked, "\(path) is held by \(holder())")
            default: throw systemError("flock", path, code)
            }
        }
    }

    /// Who wrote its number into the file; it may be about to do so.
    private func holder() -> String {
        var text = [UInt8](repeating: 0, count: 16)
        let count = text.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        let digits = text.prefix(max(0, count)).prefix {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
        return digits.isEmpty
            ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
    }
}
