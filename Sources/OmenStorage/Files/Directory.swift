package import OmenCore

/// A directory of ours: the operations on names, and the sync that makes them durable.
///
/// Names are made by us, never taken from a client; a name with a slash is a bug.
package struct Directory: Equatable, Sendable {
    /// What unfinished files end with; the owner of the directory removes them when it starts.
    package static let temporarySuffix = ".tmp"

    package let path: String
    private let files: any FileSystem

    /// Names a directory, which need not be there.
    ///
    /// - Parameters:
    ///   - path: Of the directory.
    ///   - files: What it lies on: the machine's own files, or a test's.
    package init(_ path: String, on files: any FileSystem = SystemFiles.shared) {
        self.path = path
        self.files = files
    }

    package static func == (left: Directory, right: Directory) -> Bool {
        left.path == right.path && left.files === right.files
    }

    package func path(of name: String) -> String {
        precondition(
            !name.isEmpty && !name.utf8.contains(UInt8(ascii: "/")) && name != "..",
            "file name \(name)"
        )
        return path + "/" + name
    }

    package func subdirectory(_ name: String) -> Directory {
        Directory(path(of: name), on: files)
    }

    /// Makes the directory (mode 0700) unless it is there, and its missing parents, durably.
    package func create() throws(OmenError) {
        switch try files.makeDirectory(path) {
        case .made: return try parent.sync()
        case .wasThere: return
        case .lacksParent: break
        }
        guard parent != self else {
            throw OmenError(.ioFailure, "mkdir \(path): no such directory")
        }
        try parent.create()
        guard case .made = try files.makeDirectory(path) else {
            throw OmenError(.ioFailure, "mkdir \(path): it changed meanwhile")
        }
        try parent.sync()
    }

    /// True when something of that name is there.
    package func contains(_ name: String) throws(OmenError) -> Bool {
        try files.exists(path(of: name))
    }

    /// True when the directory itself is there.
    package func exists() throws(OmenError) -> Bool { try files.exists(path) }

    /// Names of all entries except `.` and `..`, sorted bytewise.
    package func names() throws(OmenError) -> [String] {
        try files.names(in: path).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Deletes a file; one that is already gone is fine.
    ///
    /// Durable after the next `sync`.
    package func remove(_ name: String) throws(OmenError) { try files.remove(path(of: name)) }

    /// Renames over what is there.
    ///
    /// Durable after the next `sync`.
    package func rename(_ name: String, to newName: String) throws(OmenError) {
        try files.rename(path(of: name), to: path(of: newName))
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
        try files.removeDirectory(path)
        try parent.sync()
    }

    /// Gives a file a second name, in another directory; both share its bytes.
    ///
    /// Durable after the next `sync` of that directory.
    package func link(_ name: String, into other: Directory) throws(OmenError) {
        try files.link(path(of: name), to: other.path(of: name))
    }

    /// Makes creations, renames and removals in this directory durable.
    package func sync() throws(OmenError) { try files.syncDirectory(path) }

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
        try open(name, .read).byteCount()
    }

    /// The directory that this one is in.
    package var parent: Directory {
        // By bytes: a slash and a combining mark behind it are one character, and still a slash.
        var trimmed = Substring(path).utf8
        while trimmed.count > 1 && trimmed.last == UInt8(ascii: "/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: UInt8(ascii: "/")) else {
            return Directory(".", on: files)
        }
        let head = trimmed[..<slash]
        return Directory(head.isEmpty ? "/" : String(decoding: head, as: UTF8.self), on: files)
    }

    /// Makes sure that what has the directory's name, if anything, is a directory.
    ///
    /// For directories whose names we chose: a symbolic link could lead to another shard's files.
    /// - Throws: `.corrupt`, naming what is there instead.
    package func checkKind() throws(OmenError) {
        switch try files.kind(of: path) {
        case nil, .directory: return
        case .some(let kind):
            throw OmenError(
                .corrupt,
                "\(path) is \(kind), expected a directory: move it away"
            )
        }
    }
}

extension Directory {
    /// An open file.
    ///
    /// - Parameters:
    ///   - name: Of the file.
    ///   - access: What it is opened for.
    /// - Returns: The file.
    /// - Throws: `.ioFailure`, also when it is missing and not created; `.corrupt` when something
    ///   that is no regular file has the name.
    package func open(_ name: String, _ access: FileAccess) throws(OmenError) -> any OpenFile {
        guard let file = try openIfThere(name, access) else {
            throw OmenError(.ioFailure, "open \(path(of: name)): there is no such file")
        }
        return file
    }

    /// As `open`, but nil when there is no such file.
    func openIfThere(
        _ name: String,
        _ access: FileAccess
    ) throws(OmenError) -> (any OpenFile)? {
        try files.open(path(of: name), access)
    }

    /// All bytes of a file as memory, which nobody may change in the file meanwhile.
    package func map(_ name: String) throws(OmenError) -> MappedFile {
        try open(name, .read).map()
    }

    /// Takes the lock of this directory.
    ///
    /// - Parameter name: Of the lock file, made when it is missing.
    /// - Returns: The lock, held while the object lives.
    /// - Throws: `.locked`, naming the process that has it; `.ioFailure`.
    package func lock(_ name: String) throws(OmenError) -> any FileLock {
        guard let lock = try files.lock(path(of: name), for: .owning) else {
            throw OmenError(.ioFailure, "open \(path(of: name)): there is no such file")
        }
        return lock
    }

    /// Makes sure that nobody holds the lock of this directory, and keeps owners out.
    ///
    /// - Parameter name: Of the lock file.
    /// - Returns: What keeps owners out while it lives; nil when there is no such file, so nobody
    ///   can hold it.
    /// - Throws: `.locked`, naming the process that has it; `.ioFailure`.
    package func lockForReading(_ name: String) throws(OmenError) -> (any FileLock)? {
        try files.lock(path(of: name), for: .reading)
    }
}

extension Directory {
    /// Replaces the file `name` with `bytes` so that a crash leaves the old or the new, never a
    /// mixture: temporary file, fsync, rename, fsync of the directory.
    package func replace(_ name: String, with bytes: [UInt8]) throws(OmenError) {
        let temporary = name + Self.temporarySuffix
        let file = try open(temporary, .create)
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
        guard let file = try openIfThere(name, .read) else { return nil }
        let count = try file.byteCount()
        guard count <= byteCountMax else {
            throw OmenError(
                .corrupt,
                "\(path) has \(count) bytes, expected at most \(byteCountMax)"
            )
        }
        var bytes = [UInt8](repeating: 0, count: count)
        // `withUnsafeMutableBytes` does not carry typed throws, so the outcome is a value.
        try bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(OmenError) in
                var done = 0
                while done < count {
                    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                    let got = try file.read(into: rest, at: done)
                    guard got > 0 else {
                        throw OmenError(.ioFailure, "read \(path): it shrank while read")
                    }
                    done += got
                }
            }
        }.get()
        return bytes
    }
}
