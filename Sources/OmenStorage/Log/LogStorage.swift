package import OmenCore

/// The file operations the log needs, and no more: the seam where tests and the simulator put
/// failing disks.
package protocol LogStorage: Sendable {
    /// Names of all files, sorted.
    func names() throws(OmenError) -> [String]
    /// The whole file for reading.
    func map(_ name: String) throws(OmenError) -> MappedFile
    /// An empty file for writing; replaces what a crash left under that name.
    func create(_ name: String) throws(OmenError) -> any LogDevice
    /// An existing file for writing.
    func open(_ name: String) throws(OmenError) -> any LogDevice
    /// Renames over what is there; durable after `syncDirectory`.
    func rename(_ name: String, to newName: String) throws(OmenError)
    /// Deletes the file, if it is there; durable after `syncDirectory`.
    func remove(_ name: String) throws(OmenError)
    /// Makes all renames and removals durable.
    func syncDirectory() throws(OmenError)
}

/// One open log file.
///
/// Space that ran out is `.resourceExhausted`; every other failure of a write or sync means that
/// the file can no longer be trusted through this descriptor.
package protocol LogDevice: AnyObject {
    /// Writes a prefix of `bytes` at `offset` and returns how much (pwrite(2)).
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int
    /// Reserves space for the first `byteCount` bytes; new bytes read as zero.
    func allocate(byteCount: Int) throws(OmenError)
    func truncate(byteCount: Int) throws(OmenError)
    /// Makes the written bytes and the file's size durable (fdatasync(2)).
    func syncData() throws(OmenError)
    /// Makes bytes and metadata durable (fsync(2)).
    func sync() throws(OmenError)
}

/// The log files of one shard in its directory.
package struct LogDirectory: LogStorage {
    private let directory: Directory

    package init(_ directory: Directory) { self.directory = directory }

    package func names() throws(OmenError) -> [String] { try directory.names() }

    package func map(_ name: String) throws(OmenError) -> MappedFile {
        try MappedFile(path: directory.path(of: name))
    }

    package func create(_ name: String) throws(OmenError) -> any LogDevice {
        try File(directory.path(of: name), .create)
    }

    package func open(_ name: String) throws(OmenError) -> any LogDevice {
        try File(directory.path(of: name), .readWrite)
    }

    package func rename(_ name: String, to newName: String) throws(OmenError) {
        try directory.rename(name, to: newName)
    }

    package func remove(_ name: String) throws(OmenError) { try directory.remove(name) }

    package func syncDirectory() throws(OmenError) { try directory.sync() }
}
