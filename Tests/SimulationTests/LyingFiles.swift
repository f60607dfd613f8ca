import OmenCore
import OmenShard
import StorageTestSupport

@testable import OmenStorage

/// The disk of a shard with a planted bug between the two.
///
/// What a mutant does not concern goes through as it is.
final class LyingFiles: FileSystem, @unchecked Sendable {
    let real: MemoryFiles
    let mutant: Mutant
    let identity: ShardIdentity
    /// Whether the shard is still being opened.
    var isOpening = true
    /// Bytes of files as they were before they rotted, by path.
    let unrotted: [String: [UInt8]]
    private var lastRenamed = ""

    init(
        _ real: MemoryFiles,
        _ mutant: Mutant,
        _ identity: ShardIdentity,
        unrotted: [String: [UInt8]]
    ) {
        self.real = real
        self.mutant = mutant
        self.identity = identity
        self.unrotted = unrotted
    }

    static func isLog(_ path: String) -> Bool { path.hasSuffix(LogSegment.suffix) }
    static func isManifest(_ path: String) -> Bool {
        path.hasSuffix(ShardManifest.fileName + Directory.temporarySuffix)
    }
    static func isShardFile(_ path: String) -> Bool { path.contains("/ckpt-") }

    private func parent(_ path: String) -> Directory {
        Directory(path, on: real).parent
    }

    func exists(_ path: String) throws(OmenError) -> Bool { try real.exists(path) }
    func kind(of path: String) throws(OmenError) -> FileKind? { try real.kind(of: path) }
    func makeDirectory(_ path: String) throws(OmenError) -> DirectoryMaking {
        try real.makeDirectory(path)
    }

    func names(in path: String) throws(OmenError) -> [String] {
        let names = try real.names(in: path)
        guard mutant == .skipLastSegment, isOpening else { return names }
        let segments = names.filter { LogSegment.firstLSN(of: $0) != nil }.sorted()
        return names.filter { segments.count < 2 || $0 != segments.last }
    }

    func open(_ path: String, _ access: FileAccess) throws(OmenError) -> (any OpenFile)? {
        if mutant == .removeLogBeforeCheckpoint, access == .create, Self.isShardFile(path) {
            let directory = parent(path)
            let segments = try directory.names().filter { LogSegment.firstLSN(of: $0) != nil }
            for name in segments.dropLast() { try directory.remove(name) }
            try directory.sync()
        }
        guard let file = try real.open(path, access) else { return nil }
        return LyingFile(self, file)
    }

    func rename(_ path: String, to newPath: String) throws(OmenError) {
        if mutant == .removeFilesBeforeManifest, Self.isManifest(path) {
            let directory = parent(path)
            let bytes = try directory.read(
                ShardManifest.fileName + Directory.temporarySuffix,
                byteCountMax: .max
            )
            let next = try ShardManifest.decode(bytes ?? [], path: path)
            let needed = Set(next.current.collections.map(\.file))
            for name in try directory.names()
            where ShardFileName.isValid(name) && !needed.contains(name) {
                try directory.remove(name)
            }
            try directory.sync()
        }
        lastRenamed = newPath
        try real.rename(path, to: newPath)
    }

    func link(_ path: String, to newPath: String) throws(OmenError) {
        try real.link(path, to: newPath)
    }
    func remove(_ path: String) throws(OmenError) { try real.remove(path) }
    func removeDirectory(_ path: String) throws(OmenError) { try real.removeDirectory(path) }

    func syncDirectory(_ path: String) throws(OmenError) {
        let isSkipped =
            mutant == .leaveManifestNameUnsynced && lastRenamed.hasSuffix(ShardManifest.fileName)
        lastRenamed = ""
        if !isSkipped { try real.syncDirectory(path) }
    }

    func lock(_ path: String, for use: LockUse) throws(OmenError) -> (any FileLock)? {
        try real.lock(path, for: use)
    }
}

/// One file of `LyingFiles`.
private final class LyingFile: OpenFile {
    private let files: LyingFiles
    private let real: any OpenFile

    init(_ files: LyingFiles, _ real: any OpenFile) {
        self.files = files
        self.real = real
    }

    var path: String { real.path }
    func byteCount() throws(OmenError) -> Int { try real.byteCount() }

    func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(OmenError) -> Int {
        guard files.mutant == .trustRottenFile, let whole = files.unrotted[path] else {
            return try real.read(into: buffer, at: offset)
        }
        let bytes = whole.dropFirst(offset).prefix(buffer.count)
        buffer.copyBytes(from: bytes)
        return bytes.count
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int {
        guard files.mutant == .storeNoRequestKeys, LyingFiles.isManifest(path) else {
            return try real.write(bytes, at: offset)
        }
        var manifest = try ShardManifest.decode(Array(bytes), path: path)
        manifest.current.requests = []
        manifest.previous?.requests = []
        try writeAll(manifest.encode(), to: real, at: offset)
        return bytes.count
    }

    func allocate(byteCount: Int) throws(OmenError) { try real.allocate(byteCount: byteCount) }
    func truncate(byteCount: Int) throws(OmenError) { try real.truncate(byteCount: byteCount) }

    func syncData() throws(OmenError) {
        if files.mutant == .acknowledgeBeforeSync, LyingFiles.isLog(path) { return }
        try sync()
    }

    func sync() throws(OmenError) {
        switch files.mutant {
        case .trustUnsyncedShardFiles where LyingFiles.isShardFile(path): return
        case .renameUnsyncedManifest where LyingFiles.isManifest(path): return
        case .believeFailedSync where LyingFiles.isLog(path):
            do throws(OmenError) {
                try real.sync()
            } catch {
                // A process that has ended cannot go on even with this bug.
                guard error.code == .ioFailure, error.message == Simulation.diskError.message
                else { throw error }
            }
        default: try real.sync()
        }
    }

    func close() throws(OmenError) { try real.close() }

    func map() throws(OmenError) -> MappedFile {
        let whole = try real.map()
        guard files.mutant == .skipLastBatch, files.isOpening, LyingFiles.isLog(path),
            let end = lastBatch(of: whole.bytes)
        else { return whole }
        return MappedFile(copying: Array(whole.bytes[..<end]))
    }

    /// Where the last batch of a segment begins; nil without batches.
    private func lastBatch(of bytes: UnsafeRawBufferPointer) -> Int? {
        let name = String(path.split(separator: "/").last ?? "")
        guard let firstLSN = LogSegment.firstLSN(of: name) else { return nil }
        do throws(OmenError) {
            let scan = try LogScanner.examine(
                [LogSegmentBytes(name: name, bytes: bytes)],
                identity: files.identity,
                from: firstLSN,
                visit: { _, _ in }
            )
            return scan.tail?.last.batchOffsets.last
        } catch { return nil }
    }

    func map(
        from offset: Int,
        byteCount: Int,
        over address: UnsafeMutableRawPointer
    ) throws(OmenError) {
        try real.map(from: offset, byteCount: byteCount, over: address)
    }
}
