package import OmenCore
package import OmenStorage

/// A `MemoryDisk` as one process sees it, until that process is killed.
package final class MemoryFiles: FileSystem, @unchecked Sendable {
    private let disk: MemoryDisk
    private let generation: Int

    init(_ disk: MemoryDisk, _ generation: Int) {
        self.disk = disk
        self.generation = generation
    }

    /// A lock, which goes with the object or with the process.
    private final class Lock: FileLock, @unchecked Sendable {
        let files: MemoryFiles
        let path: String

        init(_ files: MemoryFiles, _ path: String) {
            self.files = files
            self.path = path
        }

        deinit { if files.isCurrent { files.disk.heldLocks.remove(path) } }
    }

    private func current() throws(OmenError) -> MemoryDisk {
        guard isCurrent else {
            throw OmenError(.ioFailure, "the process is gone")
        }
        return disk
    }

    func step(_ what: String) throws(OmenError) { try current().step(what, of: generation) }

    var writeByteCountMax: Int { disk.writeByteCountMax }

    /// Where a path leads: the directory that it is in, and its name there.
    private func place(_ path: String) throws(OmenError) -> (folder: MemoryFolder?, name: String) {
        let names = path.split(separator: "/").map(String.init)
        var folder: MemoryFolder? = try current().root
        for name in names.dropLast() {
            guard case .folder(let next) = folder?.visible[name] else { return (nil, "") }
            folder = next
        }
        return (folder, names.last ?? "")
    }

    private func entry(_ path: String) throws(OmenError) -> MemoryEntry? {
        let (folder, name) = try place(path)
        return folder?.visible[name]
    }

    private func folder(_ path: String) throws(OmenError) -> MemoryFolder {
        guard case .folder(let folder) = try entry(path) else {
            throw OmenError(.ioFailure, "no directory \(path)")
        }
        return folder
    }

    package func exists(_ path: String) throws(OmenError) -> Bool { try entry(path) != nil }

    package func kind(of path: String) throws(OmenError) -> FileKind? {
        switch try entry(path) {
        case .file: .regularFile
        case .folder: .directory
        case nil: nil
        }
    }

    package func makeDirectory(_ path: String) throws(OmenError) -> DirectoryMaking {
        if case .folder = try entry(path) { return .wasThere }
        let (parent, name) = try place(path)
        guard let parent else { return .lacksParent }
        try step("mkdir \(name)")
        let new = MemoryFolder()
        parent.change { $0[name] = .folder(new) }
        return .made
    }

    package func names(in path: String) throws(OmenError) -> [String] {
        Array(try folder(path).visible.keys)
    }

    package func open(
        _ path: String,
        _ access: FileAccess
    ) throws(OmenError) -> (any OpenFile)? {
        let (parent, name) = try place(path)
        if case .folder = parent?.visible[name] {
            throw OmenError(.corrupt, "\(path) is a directory, expected a regular file")
        }
        guard access == .create else {
            guard case .file(let node) = parent?.visible[name] else { return nil }
            return MemoryFile(self, node, path, name)
        }
        guard let parent else { throw OmenError(.ioFailure, "no directory of \(path)") }
        try step("create \(name)")
        let node = MemoryNode()
        parent.change { $0[name] = .file(node) }
        return MemoryFile(self, node, path, name)
    }

    package func rename(_ path: String, to newPath: String) throws(OmenError) {
        let (old, name) = try place(path)
        let (new, newName) = try place(newPath)
        try step("rename \(name)")
        guard let old, old === new, old.visible[name] != nil else {
            throw OmenError(.ioFailure, "no \(path)")
        }
        old.change { names in
            if let entry = names.removeValue(forKey: name) { names[newName] = entry }
        }
    }

    package func link(_ path: String, to newPath: String) throws(OmenError) {
        let (new, newName) = try place(newPath)
        try step("link \(newName)")
        guard let new, let found = try entry(path) else {
            throw OmenError(.ioFailure, "no \(path)")
        }
        new.change { $0[newName] = found }
    }

    package func remove(_ path: String) throws(OmenError) {
        let (parent, name) = try place(path)
        guard let parent, parent.visible[name] != nil else { return }
        try step("remove \(name)")
        parent.change { $0[name] = nil }
    }

    package func removeDirectory(_ path: String) throws(OmenError) {
        let (parent, name) = try place(path)
        try step("rmdir \(name)")
        guard let parent, case .folder(let folder) = parent.visible[name], folder.visible.isEmpty
        else { throw OmenError(.ioFailure, "no empty directory \(path)") }
        parent.change { $0[name] = nil }
    }

    package func syncDirectory(_ path: String) throws(OmenError) {
        try step("sync directory")
        try folder(path).sync()
    }

    package func lock(
        _ path: String,
        for use: LockUse
    ) throws(OmenError) -> (any FileLock)? {
        let (parent, name) = try place(path)
        guard let parent else { throw OmenError(.ioFailure, "no directory of \(path)") }
        guard !disk.heldLocks.contains(path) else {
            throw OmenError(.locked, "\(path) is held by this process")
        }
        if parent.visible[name] == nil {
            guard use == .owning else { return nil }
            // A lock file may come and go: nothing is ever read from it.
            let node = MemoryNode()
            parent.change { $0[name] = .file(node) }
        }
        disk.heldLocks.insert(path)
        return Lock(self, path)
    }
}

private final class MemoryFile: OpenFile {
    let files: MemoryFiles
    let node: MemoryNode
    let path: String
    let name: String

    init(_ files: MemoryFiles, _ node: MemoryNode, _ path: String, _ name: String) {
        self.files = files
        self.node = node
        self.path = path
        self.name = name
    }

    func byteCount() throws(OmenError) -> Int { node.visible.count }

    func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(OmenError) -> Int {
        let count = max(0, min(buffer.count, node.visible.count - offset))
        copy(offset, count, to: buffer)
        return count
    }

    private func copy(_ offset: Int, _ count: Int, to buffer: UnsafeMutableRawBufferPointer) {
        guard count > 0 else { return }
        node.visible.withUnsafeBytes { bytes in
            let source = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
            buffer.copyMemory(from: source)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int {
        let accepted = Array(bytes.prefix(files.writeByteCountMax))
        do {
            try files.step("write \(name)")
        } catch {
            // What fails may still have got somewhere.
            if files.isCurrent {
                let half = Array(accepted.prefix(accepted.count / 2))
                node.change(.write(offset: offset, bytes: half))
            }
            throw error
        }
        node.change(.write(offset: offset, bytes: accepted))
        return accepted.count
    }

    func allocate(byteCount: Int) throws(OmenError) {
        try files.step("allocate \(name)")
        // A little, so that tests stay fast; it must read as zeros.
        let count = min(byteCount, (node.visible.count / 4096 + 1) * 4096)
        if count > node.visible.count { node.change(.resize(count)) }
    }

    func truncate(byteCount: Int) throws(OmenError) {
        try files.step("truncate \(name)")
        node.change(.resize(byteCount))
    }

    func syncData() throws(OmenError) { try sync() }

    func sync() throws(OmenError) {
        do {
            try files.step("sync \(name)")
        } catch {
            if files.isCurrent { node.unsynced = [] }
            throw error
        }
        node.sync()
    }

    func close() {}

    func map() throws(OmenError) -> MappedFile { MappedFile(copying: node.visible) }

    func map(
        from offset: Int,
        byteCount: Int,
        over address: UnsafeMutableRawPointer
    ) throws(OmenError) {
        let target = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
        guard try read(into: target, at: offset) == byteCount else {
            throw OmenError(.ioFailure, "\(path) ends before offset \(offset + byteCount)")
        }
    }
}

extension MemoryFiles {
    /// Whether what this process does may still change the disk.
    fileprivate var isCurrent: Bool { disk.generation == generation }
}
