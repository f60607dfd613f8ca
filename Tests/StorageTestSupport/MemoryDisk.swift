package import OmenCore
package import OmenStorage

/// A disk in memory that loses what was not synced, fails on request, and can be cut off after any
/// number of operations.
///
/// A file has bytes that processes see and bytes that survive a power cut. A power cut keeps, drops
/// or tears (at 512 bytes) each unsynced write by chance, in any combination, and keeps some prefix
/// of the unsynced changes of names. A failed sync leaves the bytes visible, marks them clean and
/// never stores them, as Linux does.
package final class MemoryDisk: LogStorage, @unchecked Sendable {
    package init() {}

    package enum Change {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)

        package func apply(to bytes: inout [UInt8]) {
            switch self {
            case .resize(let count): resize(&bytes, count)
            case .write(let offset, let new):
                resize(&bytes, max(bytes.count, offset + new.count))
                bytes.replaceSubrange(offset..<offset + new.count, with: new)
            }
        }

        private func resize(_ bytes: inout [UInt8], _ count: Int) {
            if count < bytes.count {
                bytes.removeLast(bytes.count - count)
            } else {
                bytes += [UInt8](repeating: 0, count: count - bytes.count)
            }
        }
    }

    package final class Node {
        package var visible: [UInt8] = []
        package var durable: [UInt8] = []
        package var unsynced: [Change] = []
    }

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

    package private(set) var visibleNames: [String: Node] = [:]
    private var durableNames: [String: Node] = [:]
    private var nameChanges: [(inout [String: Node]) -> Void] = []
    package private(set) var operationCount = 0
    private var isGone = false
    package var faults: [Fault] = []
    /// Largest write that is accepted at once.
    package var writeByteCountMax = Int.max
    /// Names of what was done, for tests of order.
    package var history: [String] = []

    /// Counts an operation; throws when it is to fail.
    func step(_ what: String) throws(OmenError) {
        operationCount += 1
        history.append(what)
        if isGone { throw OmenError(.ioFailure, "the disk is gone") }
        guard let fault = faults.first(where: { $0.operation == operationCount }) else { return }
        isGone = fault.isLast
        throw fault.error
    }

    package func names() throws(OmenError) -> [String] { visibleNames.keys.sorted() }

    package func map(_ name: String) throws(OmenError) -> MappedFile {
        guard let node = visibleNames[name] else { throw OmenError(.ioFailure, "no \(name)") }
        return MappedFile(copying: node.visible)
    }

    package func create(_ name: String) throws(OmenError) -> any LogDevice {
        try step("create \(name)")
        let node = Node()
        changeNames { $0[name] = node }
        return MemoryDevice(disk: self, node: node, name: name)
    }

    package func open(_ name: String) throws(OmenError) -> any LogDevice {
        guard let node = visibleNames[name] else { throw OmenError(.ioFailure, "no \(name)") }
        return MemoryDevice(disk: self, node: node, name: name)
    }

    package func rename(_ name: String, to newName: String) throws(OmenError) {
        try step("rename \(name)")
        guard visibleNames[name] != nil else { throw OmenError(.ioFailure, "no \(name)") }
        changeNames { names in
            if let node = names.removeValue(forKey: name) { names[newName] = node }
        }
    }

    package func remove(_ name: String) throws(OmenError) {
        try step("remove \(name)")
        changeNames { $0[name] = nil }
    }

    package func syncDirectory() throws(OmenError) {
        try step("sync directory")
        for change in nameChanges { change(&durableNames) }
        nameChanges = []
    }

    private func changeNames(_ change: @escaping (inout [String: Node]) -> Void) {
        change(&visibleNames)
        nameChanges.append(change)
    }

    /// The process died; the machine did not.
    ///
    /// What was visible stays.
    package func killProcess() {
        isGone = false
        faults = []
        operationCount = 0
    }

    /// The power went.
    package func cutPower(using generator: inout SplitMix64) {
        killProcess()
        for change in nameChanges.prefix(.random(in: 0...nameChanges.count, using: &generator)) {
            change(&durableNames)
        }
        nameChanges = []
        visibleNames = durableNames
        // Sorted, so that a seed gives the same run every time.
        for (_, node) in visibleNames.sorted(by: { $0.key < $1.key }) {
            for change in node.unsynced { lose(change, of: node, using: &generator) }
            node.unsynced = []
            node.visible = node.durable
        }
    }

    private func lose(_ change: Change, of node: Node, using generator: inout SplitMix64) {
        switch (change, Int.random(in: 0..<3, using: &generator)) {
        case (_, 0): return
        case (.write(let offset, let bytes), 1):
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, ((offset + start) / 512 + 1) * 512 - offset)
                if Bool.random(using: &generator) {
                    Change.write(offset: offset + start, bytes: Array(bytes[start..<end]))
                        .apply(to: &node.durable)
                }
                start = end
            }
        default: change.apply(to: &node.durable)
        }
    }
}

private final class MemoryDevice: LogDevice {
    let disk: MemoryDisk
    let node: MemoryDisk.Node
    let name: String

    init(disk: MemoryDisk, node: MemoryDisk.Node, name: String) {
        self.disk = disk
        self.node = node
        self.name = name
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(OmenError) -> Int {
        let accepted = Array(bytes.prefix(disk.writeByteCountMax))
        do {
            try disk.step("write \(name)")
        } catch {
            // What fails may still have got somewhere.
            change(.write(offset: offset, bytes: Array(accepted.prefix(accepted.count / 2))))
            throw error
        }
        change(.write(offset: offset, bytes: accepted))
        return accepted.count
    }

    func allocate(byteCount: Int) throws(OmenError) {
        try disk.step("allocate \(name)")
        // A little, so that tests stay fast; it must read as zeros.
        let count = min(byteCount, (node.visible.count / 4096 + 1) * 4096)
        if count > node.visible.count { change(.resize(count)) }
    }

    func truncate(byteCount: Int) throws(OmenError) {
        try disk.step("truncate \(name)")
        change(.resize(byteCount))
    }

    func syncData() throws(OmenError) { try sync() }

    func sync() throws(OmenError) {
        do {
            try disk.step("sync \(name)")
        } catch {
            node.unsynced = []
            throw error
        }
        for change in node.unsynced { change.apply(to: &node.durable) }
        node.unsynced = []
    }

    private func change(_ change: MemoryDisk.Change) {
        change.apply(to: &node.visible)
        node.unsynced.append(change)
    }
}
