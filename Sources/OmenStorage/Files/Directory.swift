internal import OmenSystem
internal import Glibc
package import OmenCore

/// A directory of ours: the operations on names, and the sync that makes them durable.
///
/// Names are made by us, never taken from a client; a name with a slash is a bug.
package struct Directory: Equatable, Sendable {
    /// What unfinished files end with; the owner of the directory removes them when it starts.
    package static let temporarySuffix = ".tmp"

    package let path: String

    package init(_ path: String) { self.path = path }

    package func path(of name: String) -> String {
        precondition(
            !name.isEmpty && !name.utf8.contains(UInt8(ascii: "/")) && name != "..",
            "file name \(name)"
        )
        return path + "/" + name
    }

    package func subdirectory(_ name: String) -> Directory { Directory(path(of: name)) }

    /// Makes the directory (mode 0700) unless it is there, and its missing parents, durably.
    package func create() throws(OmenError) {
        if Glibc.mkdir(path, 0o700) == 0 { return try parent.sync() }
        let code = errno
        switch code {
        case EEXIST: return try checkIsDirectory()
        case ENOENT where parent != self:
            try parent.create()
            try systemCall("mkdir", path) { Glibc.mkdir(path, 0o700) }
            try parent.sync()
        default: throw systemError("mkdir", path, code)
        }
    }

    /// True when something of that name is there.
    package func contains(_ name: String) throws(OmenError) -> Bool {
        let path = path(of: name)
        if access(path, F_OK) == 0 { return true }
        let code = errno
        if code == ENOENT { return false }
        throw systemError("access", path, code)
    }

    /// True when the directory itself is there.
    package func exists() throws(OmenError) -> Bool {
        if access(path, F_OK) == 0 { return true }
        let code = errno
        if code == ENOENT { return false }
        throw systemError("access", path, code)
    }

    /// Names of all entries except `.` and `..`, sorted bytewise.
    package func names() throws(OmenError) -> [String] {
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
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Deletes a file; one that is already gone is fine.
    ///
    /// Durable after the next `sync`.
    package func remove(_ name: String) throws(OmenError) {
        let path = path(of: name)
        if unlink(path) == 0 { return }
        let code = errno
        if code != ENOENT { throw systemError("unlink", path, code) }
    }

    /// Renames over what is there.
    ///
    /// Durable after the next `sync`.
    package func rename(_ name: String, to newName: String) throws(OmenError) {
        let source = path(of: name)
        let target = path(of: newName)
        try systemCall("rename", source) { Glibc.rename(source, target) }
    }

    /// Renames an entry, if it is there, and numbers the new name so that it is free.
    ///
    /// Durable after the next `sync`.
    package func setAside(_ name: String, as newName: String) throws(OmenError) {
        guard try contains(name) else { return }
        var number = 1
        while try contains("\(newName)-\(number)") { number += 1 }
        try rename(name, to: "\(newName)-\(number)")
    }

    /// Deletes the directory and the files in it; one that is missing is fine.
    ///
    /// - Throws: `.ioFailure` when something in it is a directory.
    package func removeWithFiles() throws(OmenError) {
        guard try exists() else { return }
        try checkKind()
        for name in try names() { try remove(name) }
        try systemCall("rmdir", path) { rmdir(path) }
        try parent.sync()
    }

    /// Gives a file a second name, in another directory; both share its bytes.
    ///
    /// Durable after the next `sync` of that directory.
    package func link(_ name: String, into other: Directory) throws(OmenError) {
        let source = path(of: name)
        let target = other.path(of: name)
        try systemCall("link", source) { Glibc.link(source, target) }
    }

    /// Makes creations, renames and removals in this directory durable.
    package func sync() throws(OmenError) {
        let descriptor = try systemCall("open", path) {
            open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { close(descriptor) }
        try systemCall("fsync", path) { fsync(descriptor) }
    }

    /// Deletes what an interrupted writer left behind, and returns the names.
    ///
    /// - Precondition: The caller holds the directory's lock and writes nothing at the moment.
    @discardableResult
    package func removeTemporaryFiles() throws(OmenError) -> [String] {
        let leftovers = try names().filter { $0.hasSuffix(Self.temporarySuffix) }
        for name in leftovers { try remove(name) }
        if !leftovers.isEmpty { try sync() }
        return leftovers
    }

    /// Bytes of one file.
    package func byteCount(of name: String) throws(OmenError) -> Int {
        var status = stat()
        let path = path(of: name)
        try systemCall("stat", path) { stat(path, &status) }
        return Int(status.st_size)
    }

    /// The directory that this one is in.
    package var parent: Directory {
        // By bytes: a slash and a combining mark behind it are one character, and still a slash.
        var trimmed = Substring(path).utf8
        while trimmed.count > 1 && trimmed.last == UInt8(ascii: "/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: UInt8(ascii: "/")) else { return Directory(".") }
        let head = trimmed[..<slash]
        return Directory(head.isEmpty ? "/" : String(decoding: head, as: UTF8.self))
    }

    private func checkIsDirectory() throws(OmenError) {
        var status = stat()
        try systemCall("stat", path) { stat(path, &status) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw OmenError(.ioFailure, "mkdir \(path): there is a file of that name")
        }
    }

    /// Makes sure that what has the directory's name, if anything, is a directory.
    ///
    /// For directories whose names we chose: a symbolic link could lead to another shard's files.
    /// - Throws: `.corrupt`, naming what is there instead.
    package func checkKind() throws(OmenError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let code = errno
            if code == ENOENT { return }
            throw systemError("lstat", path, code)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw OmenError(
                .corrupt,
                "\(path) is \(fileKindName(status.st_mode)), expected a directory: move it away"
            )
        }
    }
}

extension Directory {
    /// Replaces the file `name` with `bytes` so that a crash leaves the old or the new, never a
    /// mixture: temporary file, fsync, rename, fsync of the directory.
    package func replace(_ name: String, with bytes: [UInt8]) throws(OmenError) {
        let temporary = name + Self.temporarySuffix
        let file = try File(path(of: temporary), .create)
        let written = Result { () throws(OmenError) in
            try writeAll(bytes, to: file, at: 0)
            try file.sync()
            try file.close()
        }
        if case .failure(let error) = written {
            try remove(temporary)
            throw error
        }
        try rename(temporary, to: name)
        try sync()
    }

    /// All bytes of a file, nil when there is none.
    package func read(_ name: String, byteCountMax: Int) throws(OmenError) -> [UInt8]? {
        let path = path(of: name)
        guard let file = try File(existing: path, .read) else { return nil }
        let count = try file.byteCount()
        guard count <= byteCountMax else {
            throw OmenError(
                .corrupt,
                "\(path) has \(count) bytes, expected at most \(byteCountMax)"
            )
        }
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let start = done
            let got = try systemCall("read", path) {
                bytes.withUnsafeMutableBytes { buffer in
                    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
                    return pread(file.descriptor, rest.baseAddress, rest.count, off_t(start))
                }
            }
            guard got > 0 else { throw OmenError(.ioFailure, "read \(path): it shrank while read") }
            done += got
        }
        return bytes
    }
}
