internal import OmenSystem
internal import OmenCore
internal import Synchronization

/// What the handles that C holds stand for.
///
/// A handle is a number and no address, so that one that was closed, or never was one, is an error
/// and not a crash.
enum Handles {
    private struct HandleTable {
        var stores: [UInt: any RecordStore] = [:]
        var next: UInt = 1
    }

    private static let table = Mutex(HandleTable())

    static func add(_ store: any RecordStore) -> OpaquePointer? {
        let number = table.withLock { table in
            defer { table.next += 1 }
            table.stores[table.next] = store
            return table.next
        }
        return OpaquePointer(bitPattern: number)
    }

    /// What a call works on, at its beginning.
    ///
    /// - Throws: `.unavailable` when it is closed, `.stopped` when the caller wants no more calls.
    static func store(_ handle: OpaquePointer?) throws(OmenError) -> any RecordStore {
        guard let handle else { throw OmenError(.badRequest, "the database is null") }
        if let stop = Stop.current {
            stop.begin()
            try stop.check()
        }
        let number = UInt(bitPattern: handle)
        guard let store = table.withLock({ $0.stores[number] }) else {
            throw OmenError(.unavailable, "the database is closed")
        }
        return store
    }

    static func remove(_ handle: OpaquePointer?) -> (any RecordStore)? {
        guard let handle else { return nil }
        return table.withLock { $0.stores.removeValue(forKey: UInt(bitPattern: handle)) }
    }
}
