package import OmenCore

/// What the files of a shard lie on: the seam between the shard and the machine.
///
/// `SystemFiles` is the machine's own; tests and the simulation put a disk in memory in its place,
/// which forgets what was not synced. Paths are made by `Directory`, which is what everything else
/// calls. Nothing on the path of a search goes through here: searches read mapped memory.
package protocol FileSystem: AnyObject, Sendable {
    /// Whether something of that name is there.
    func exists(_ path: String) throws(OmenError) -> Bool
    /// What has the name, itself and not what a link leads to; nil when nothing has it.
    func kind(of path: String) throws(OmenError) -> FileKind?
    /// Makes one directory; durable after a sync of its parent.
    func makeDirectory(_ path: String) throws(OmenError) -> DirectoryMaking
    /// Names of all entries of a directory except `.` and `..`, in any order.
    func names(in path: String) throws(OmenError) -> [String]
    /// Opens a regular file; nil when there is none and `access` does not create it.
    ///
    /// - Throws: `.corrupt` when something else has the name, and says what.
    func open(_ path: String, _ access: FileAccess) throws(OmenError) -> (any OpenFile)?
    /// Renames over what is there; durable after a sync of the directory.
    func rename(_ path: String, to newPath: String) throws(OmenError)
    /// Gives a file a second name; durable after a sync of the directory of that name.
    func link(_ path: String, to newPath: String) throws(OmenError)
    /// Deletes a file, if it is there; durable after a sync of the directory.
    func remove(_ path: String) throws(OmenError)
    /// Deletes an empty directory; durable after a sync of its parent.
    func removeDirectory(_ path: String) throws(OmenError)
    /// Makes creations, renames and removals in a directory durable.
    func syncDirectory(_ path: String) throws(OmenError)
    /// Takes the lock of a directory, which is a file of that name.
    ///
    /// - Returns: The lock, held while the object lives; nil when `use` is `.reading` and there is
    ///   no such file, so nobody can hold it.
    /// - Throws: `.locked`, naming the process that has it.
    func lock(_ path: String, for use: LockUse) throws(OmenError) -> (any FileLock)?
}

/// One open file, which belongs to one thread at a time.
///
/// Space that ran out is `.resourceExhausted`; every other failure of a write or sync means that
/// the file can no longer be trusted through this object.
package protocol OpenFile: AnyObject {
    var path: String { get }
    func byteCount() throws(OmenError) -> Int
    /// Fills `buffer` with bytes from `offset` on; with fewer at the file's end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(OmenError) -> Int
    /// Writes a prefix of `bytes` at `offset` and returns how much (pwrite(2)).
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int
    /// Reserves space for the first `byteCount` bytes; new bytes read as zero.
    func allocate(byteCount: Int) throws(OmenError)
    func truncate(byteCount: Int) throws(OmenError)
    /// Makes the written bytes and the file's size durable (fdatasync(2)).
    func syncData() throws(OmenError)
    /// Makes bytes and metadata durable (fsync(2)).
    func sync() throws(OmenError)
    /// Closes now, so that a failure is seen; the file is closed either way.
    func close() throws(OmenError)
    /// All bytes of the file as memory, which nobody may change in the file.
    func map() throws(OmenError) -> MappedFile
    /// Puts a private copy of bytes of the file in the place of memory.
    ///
    /// - Parameters:
    ///   - offset: A multiple of 4 KiB.
    ///   - byteCount: A multiple of 4 KiB.
    ///   - address: Page-aligned start of as many bytes of a `ReservedRegion`.
    /// - Throws: `.ioFailure` or `.resourceExhausted`; the memory is as it was then.
    func map(
        from offset: Int,
        byteCount: Int,
        over address: UnsafeMutableRawPointer
    ) throws(OmenError)
}

/// The right to be the only process at a directory, held until the object goes.
package protocol FileLock: AnyObject, Sendable {}

/// How a file is opened.
package enum FileAccess: Sendable {
    case read
    case readWrite
    /// Makes the file, and empties what is there.
    case create
}

/// Why a lock is taken.
package enum LockUse: Sendable {
    /// To be the only process there; the file is made, and our process id is written into it.
    case owning
    /// To make sure that nobody is there, and keep owners out, without writing anything.
    case reading
}

/// What became of the wish to make a directory.
package enum DirectoryMaking: Sendable {
    case made
    case wasThere
    case lacksParent
}

/// What has a name in a directory (inode(7)).
package enum FileKind: Sendable {
    case regularFile
    case directory
    case symbolicLink
    case fifo
    case socket
    case device
    case unknown
}

extension FileKind: CustomStringConvertible {
    package var description: String {
        switch self {
        case .regularFile: "a regular file"
        case .directory: "a directory"
        case .symbolicLink: "a symbolic link"
        case .fifo: "a FIFO"
        case .socket: "a socket"
        case .device: "a device"
        case .unknown: "no regular file"
        }
    }
}

/// Writes all of `bytes` at `offset`, repeating short writes.
///
/// - Throws: Whatever the file throws; then any prefix of the bytes may have been written.
func writeAll(
    _ bytes: UnsafeRawBufferPointer,
    to file: any OpenFile,
    at offset: Int
) throws(OmenError) {
    var done = 0
    while done < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
        let count = try file.write(rest, at: offset + done)
        guard count > 0 else {
            throw OmenError(.ioFailure, "write accepted 0 of \(rest.count) bytes")
        }
        done += count
    }
}

/// Writes all of an array.
func writeAll(_ bytes: [UInt8], to file: any OpenFile, at offset: Int) throws(OmenError) {
    try withBytes(of: bytes) { buffer throws(OmenError) in
        try writeAll(buffer, to: file, at: offset)
    }
}

/// The array's bytes for a body with typed errors, which the standard library does not offer.
func withBytes<Value>(
    of bytes: [UInt8],
    _ body: (UnsafeRawBufferPointer) throws(OmenError) -> Value
) throws(OmenError) -> Value {
    try bytes.withUnsafeBytes { buffer in
        Result { () throws(OmenError) in try body(buffer) }
    }.get()
}
