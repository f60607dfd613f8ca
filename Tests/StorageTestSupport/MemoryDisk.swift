package import OmenCore
package import OmenStorage

/// A disk in memory that loses what was not synced, fails on request, and can be cut off after any
/// number of operations.
///
/// A file has bytes that processes see and bytes that survive a power cut. A power cut keeps, drops
/// or tears (at 512 bytes) each unsynced write by chance, in any combination, and keeps some prefix
/// of the unsynced changes of each directory's names. A failed sync leaves the bytes visible, marks
/// them clean and never stores them, as Linux does. One thread at a time may use it.
package final class MemoryDisk: @unchecked Sendable {
    package struct Fault {
        /// Counts operations that change something, from 1.
        package var operation: Int
        package var error: OmenError
        /// Fail all later operations too: the process or the machine is gone.
        package var isLast: Bool

        package init(operation: Int, error: OmenError, isLast: Bool) {
            self.operation = operation
            self.error = error
            self.isLast = isLast
        }
    }

    let root = MemoryFolder()
    /// Counts the processes that used the disk one after the other.
    private(set) var generation = 0
    /// Whether nothing that the process does reaches the disk any more.
    private var isGone = false
    /// The locks that the process holds, by path.
    var heldLocks: Set<String> = []
    package private(set) var operationCount = 0
    package var faults: [Fault] = []
    /// Largest write that is accepted at once.
    package var writeByteCountMax = Int.max
    /// Names of what was done, for tests of order.
    package private(set) var history: [String] = []
    /// Called before each operation that changes something.
    package var beforeStep: (_ what: String) -> Void = { _ in }
    /// Called when a fault that is the last one strikes.
    package var whenGone: () -> Void = {}

    private static let home = "disk"
    /// Path of the directory that the tests' files lie in.
    package static let homePath = "/" + home

    package init() {
        root.durable[Self.home] = .folder(MemoryFolder())
        root.visible = root.durable
    }

    /// The directory that the tests' files lie in, as the process that runs now sees it.
    package var directory: Directory {
        Directory(Self.homePath, on: files)
    }

    /// The disk as the process sees it that runs now.
    package var files: MemoryFiles { MemoryFiles(self, generation) }

    /// The file that a path leads to.
    package func node(_ path: String) -> MemoryNode? {
        var entry: MemoryEntry? = .folder(root)
        for name in path.split(separator: "/") {
            guard case .folder(let folder) = entry else { return nil }
            entry = folder.visible[String(name)]
        }
        return if case .file(let node) = entry { node } else { nil }
    }

    /// The files in that directory, by name.
    package var visibleNames: [String: MemoryNode] {
        guard case .folder(let folder) = root.visible[Self.home] else { return [:] }
        return folder.visible.compactMapValues { entry in
            if case .file(let node) = entry { node } else { nil }
        }
    }

    /// Counts an operation; throws when it is to fail.
    func step(_ what: String, of caller: Int) throws(OmenError) {
        if caller == generation { beforeStep(what) }
        // The process may have come to its end meanwhile.
        guard caller == generation else { throw OmenError(.ioFailure, "the process is gone") }
        operationCount += 1
        history.append(what)
        if isGone { throw OmenError(.ioFailure, "the disk is gone") }
        guard let fault = faults.first(where: { $0.operation == operationCount }) else { return }
        if fault.isLast {
            isGone = true
            whenGone()
        }
        throw fault.error
    }

    /// The process died; the machine did not.
    ///
    /// What was visible stays. What the process still tries to do changes nothing.
    package func killProcess() {
        generation += 1
        isGone = false
        heldLocks = []
        faults = []
        operationCount = 0
        history = []
    }

    /// The power went.
    package func cutPower(using generator: inout SplitMix64) {
        killProcess()
        var seen: Set<ObjectIdentifier> = []
        root.cutPower(&seen, using: &generator)
    }

    /// Takes all files away, as a lost file system or an operator's mistake does.
    package func empty() {
        killProcess()
        root.durable = [Self.home: .folder(MemoryFolder())]
        root.visible = root.durable
        root.changes = []
    }
}

/// What a name in a directory of a `MemoryDisk` stands for.
enum MemoryEntry {
    case file(MemoryNode)
    case folder(MemoryFolder)
}

/// The bytes of one file.
package final class MemoryNode {
    /// What processes see.
    package var visible: [UInt8] = []
    /// What survives a power cut.
    package var durable: [UInt8] = []
    var unsynced: [Change] = []

    enum Change {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)

        func apply(to bytes: inout [UInt8]) {
            switch self {
            case .resize(let count): resize(&bytes, count)
            case .write(let offset, let new):
                resize(&bytes, max(bytes.count, offset + new.count))
                bytes.withUnsafeMutableBytes { target in
                    let place = UnsafeMutableRawBufferPointer(rebasing: target[offset...])
                    new.withUnsafeBytes { place.copyMemory(from: $0) }
                }
            }
        }

        private func resize(_ bytes: inout [UInt8], _ count: Int) {
            if count < bytes.count {
                bytes.removeLast(bytes.count - count)
            } else if count > bytes.count {
                bytes.append(contentsOf: [UInt8](repeating: 0, count: count - bytes.count))
            }
        }
    }

    /// Inverts a bit of one byte, as a disk does that rots.
    package func rot(at offset: Int) {
        visible[offset] ^= 4
        if offset < durable.count { durable[offset] ^= 4 }
    }

    func change(_ change: Change) {
        change.apply(to: &visible)
        unsynced.append(change)
    }

    func sync() {
        for change in unsynced { change.apply(to: &durable) }
        unsynced = []
    }

    func cutPower(using generator: inout SplitMix64) {
        for change in unsynced { lose(change, using: &generator) }
        unsynced = []
        visible = durable
    }

    private func lose(_ change: Change, using generator: inout SplitMix64) {
        switch (change, Int.random(in: 0..<3, using: &generator)) {
        case (_, 0): return
        case (.write(let offset, let bytes), 1):
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, ((offset + start) / 512 + 1) * 512 - offset)
                if Bool.random(using: &generator) {
                    Change.write(offset: offset + start, bytes: Array(bytes[start..<end]))
                        .apply(to: &durable)
                }
                start = end
            }
        default: change.apply(to: &durable)
        }
    }
}

/// The names of one directory.
final class MemoryFolder {
    var visible: [String: MemoryEntry] = [:]
    var durable: [String: MemoryEntry] = [:]
    var changes: [(inout [String: MemoryEntry]) -> Void] = []

    func change(_ change: @escaping (inout [String: MemoryEntry]) -> Void) {
        change(&visible)
        changes.append(change)
    }

    func sync() {
        for change in changes { change(&durable) }
        changes = []
    }

    func cutPower(_ seen: inout Set<ObjectIdentifier>, using generator: inout SplitMix64) {
        for change in changes.prefix(.random(in: 0...changes.count, using: &generator)) {
            change(&durable)
        }
        changes = []
        visible = durable
        // Sorted, so that a seed gives the same run every time.
        for (_, entry) in visible.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .folder(let folder): folder.cutPower(&seen, using: &generator)
            case .file(let node):
                // A file may have two names.
                guard seen.insert(ObjectIdentifier(node)).inserted else { continue }
                node.cutPower(using: &generator)
            }
        }
    }
}
