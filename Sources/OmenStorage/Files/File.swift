internal import OmenSystem
internal import Glibc
package import OmenCore

/// An open regular file; the only owner of its descriptor.
///
/// Descriptors are close-on-exec, new files have mode 0600. Not synchronised: one thread at a time.
final class File {
    let path: String
    private(set) var descriptor: Int32

    /// Opens or creates the file.
    ///
    /// - Throws: `.ioFailure`, also when the file is missing or is not a regular file.
    convenience init(_ path: String, _ access: FileAccess) throws(OmenError) {
        guard let file = try File(existing: path, access) else {
            throw systemError("open", path, ENOENT)
        }
        self.init(file)
    }

    private init(_ other: File) {
        path = other.path
        descriptor = other.descriptor
        other.descriptor = -1
    }

    /// Opens the file; nil when there is none.
    ///
    /// Neither follows a symbolic link nor waits for the other end of a FIFO.
    /// - Throws: `.corrupt` when something that is no regular file has the name.
    init?(existing path: String, _ access: FileAccess) throws(OmenError) {
        let flags =
            switch access {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_TRUNC
            }
        self.path = path
        descriptor = -1
        guard let opened = try openRegularFile(path, flags) else { return nil }
        descriptor = opened
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }
}

extension File: OpenFile {
    func close() throws(OmenError) {
        let closing = descriptor
        descriptor = -1
        if Glibc.close(closing) != 0 {
            let code = errno
            // The descriptor is gone either way (close(2)).
            if code != EINTR { throw systemError("close", path, code) }
        }
    }

    func byteCount() throws(OmenError) -> Int {
        var status = stat()
        try systemCall("stat", path) { fstat(descriptor, &status) }
        return Int(status.st_size)
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(OmenError) -> Int {
        try systemCall("read", path) {
            pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
        }
    }

    func map() throws(OmenError) -> MappedFile { try MappedFile(self) }

    func map(
        from offset: Int,
        byteCount: Int,
        over address: UnsafeMutableRawPointer
    ) throws(OmenError) {
        let mapped = mmap(
            address,
            byteCount,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
            descriptor,
            off_t(offset)
        )
        guard mapped == address else {
            let code = errno
            guard code == ENOMEM else { throw systemError("mmap", path, code) }
            throw OmenError(.resourceExhausted, "\(path): mmap failed with errno \(code)")
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int {
        try systemCall("write", path) {
            pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset))
        }
    }

    func allocate(byteCount: Int) throws(OmenError) {
        while true {
            // Returns its error instead of setting errno.
            let code = posix_fallocate(descriptor, 0, off_t(byteCount))
            switch code {
            case 0: return
            case EINTR: continue
            // The file system cannot reserve: writing will find out whether there is space.
            case EOPNOTSUPP, EINVAL, ENOSYS: return
            default: throw systemError("fallocate", path, code)
            }
        }
    }

    func truncate(byteCount: Int) throws(OmenError) {
        try systemCall("truncate", path) { ftruncate(descriptor, off_t(byteCount)) }
    }

    func syncData() throws(OmenError) {
        try systemCall("fdatasync", path) { fdatasync(descriptor) }
    }

    func sync() throws(OmenError) {
        try systemCall("fsync", path) { fsync(descriptor) }
    }
}

/// Opens a regular file, without following a symbolic link or waiting for a FIFO's other end.
///
/// - Parameters:
///   - path: A name that we chose, in a directory of ours.
///   - flags: As for open(2); `O_CLOEXEC`, `O_NOFOLLOW` and `O_NONBLOCK` are added.
/// - Returns: The descriptor, which the caller closes; nil when there is no such file.
/// - Throws: `.corrupt` when something else has the name, and says what.
package func openRegularFile(_ path: String, _ flags: Int32) throws(OmenError) -> Int32? {
    var opened: Int32 = -1
    repeat {
        opened = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    } while opened < 0 && errno == EINTR
    let code = errno
    var status = stat()
    guard opened >= 0 else {
        if code == ENOENT { return nil }
        // A link, a directory, a FIFO nobody reads, a socket: say what it is.
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else {
            throw systemError("open", path, code)
        }
        throw wrongKind(path, status.st_mode)
    }
    guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        Glibc.close(opened)
        throw wrongKind(path, status.st_mode)
    }
    return opened
}

private func wrongKind(_ path: String, _ mode: mode_t) -> OmenError {
    OmenError(.corrupt, "\(path) is \(FileKind(mode)), expected a regular file")
}
