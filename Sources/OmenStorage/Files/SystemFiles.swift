internal import Glibc
package import OmenCore
internal import OmenSystem

/// The machine's own files.
package final class SystemFiles: FileSystem {
    /// The only one that is needed: it has no state.
    package static let shared = SystemFiles()

    private init() {}

    package func exists(_ path: String) throws(OmenError) -> Bool {
        if access(path, F_OK) == 0 { return true }
        let code = errno
        if code == ENOENT { return false }
        throw systemError("access", path, code)
    }

    package func kind(of path: String) throws(OmenError) -> FileKind? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let code = errno
            if code == ENOENT { return nil }
            throw systemError("lstat", path, code)
        }
        return FileKind(status.st_mode)
    }

    /// Makes a directory of mode 0700.
    package func makeDirectory(_ path: String) throws(OmenError) -> DirectoryMaking {
        if mkdir(path, 0o700) == 0 { return .made }
        let code = errno
        switch code {
        case EEXIST:
            var status = stat()
            try systemCall("stat", path) { stat(path, &status) }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw OmenError(.ioFailure, "mkdir \(path): there is a file of that name")
            }
            return .wasThere
        case ENOENT: return .lacksParent
        default: throw systemError("mkdir", path, code)
        }
    }

    package func names(in path: String) throws(OmenError) -> [String] {
        guard let stream = opendir(path) else { throw systemError("opendir", path, errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // readdir tells its end from a failure only through errno.
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                if code == 0 { break }
                throw systemError("readdir", path, code)
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    package func open(
        _ path: String,
        _ access: FileAccess
    ) throws(OmenError) -> (any OpenFile)? {
        try File(existing: path, access)
    }

    package func rename(_ path: String, to newPath: String) throws(OmenError) {
        try systemCall("rename", path) { Glibc.rename(path, newPath) }
    }

    package func link(_ path: String, to newPath: String) throws(OmenError) {
        try systemCall("link", path) { Glibc.link(path, newPath) }
    }

    package func remove(_ path: String) throws(OmenError) {
        if unlink(path) == 0 { return }
        let code = errno
        if code != ENOENT { throw systemError("unlink", path, code) }
    }

    package func removeDirectory(_ path: String) throws(OmenError) {
        try systemCall("rmdir", path) { rmdir(path) }
    }

    package func syncDirectory(_ path: String) throws(OmenError) {
        let descriptor = try systemCall("open", path) {
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { close(descriptor) }
        try systemCall("fsync", path) { fsync(descriptor) }
    }

    package func lock(
        _ path: String,
        for use: LockUse
    ) throws(OmenError) -> (any FileLock)? {
        switch use {
        case .owning: try LockFile.acquire(path)
        case .reading: try LockFile.acquireForReading(path)
        }
    }
}

extension FileKind {
    /// - Parameter mode: Of stat(2).
    init(_ mode: mode_t) {
        self =
            switch mode & S_IFMT {
            case S_IFREG: .regularFile
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            case S_IFCHR, S_IFBLK: .device
            default: .unknown
            }
    }
}
