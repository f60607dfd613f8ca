internal import OmenSystem
internal import OmenCore
internal import Synchronization

/// What the handles of one kind that C holds stand for.
///
/// A handle is a number and no address, so that one that was closed, or never was one, is an error
/// and not a crash.
private final class HandleTable<Value: Sendable>: Sendable {
    private struct State {
        var values: [UInt: Value] = [:]
        var next: UInt = 1
    }

    private let state = Mutex(State())

    func add(_ value: Value) -> OpaquePointer? {
        let number = state.withLock { state in
            defer { state.next += 1 }
            state.values[state.next] = value
            return state.next
        }
        return OpaquePointer(bitPattern: number)
    }

    func value(_ handle: OpaquePointer) -> Value? {
        state.withLock { $0.values[UInt(bitPattern: handle)] }
    }

    func remove(_ handle: OpaquePointer) -> Value? {
        state.withLock { $0.values.removeValue(forKey: UInt(bitPattern: handle)) }
    }
}

/// What the handles that C holds stand for.
enum Handles {
    private static let stores = HandleTable<any RecordStore>()
    private static let filters = HandleTable<Filter>()

    static func add(_ store: any RecordStore) -> OpaquePointer? { stores.add(store) }

    /// What a call works on, at its beginning.
    ///
    /// - Throws: `.unavailable` when it is closed, `.stopped` when the caller wants no more calls.
    static func store(_ handle: OpaquePointer?) throws(OmenError) -> any RecordStore {
        guard let handle else { throw OmenError(.badRequest, "the database is null") }
        if let stop = Stop.current {
            stop.begin()
            try stop.check()
        }
        guard let store = stores.value(handle) else {
            throw OmenError(.unavailable, "the database is closed")
        }
        return store
    }

    static func remove(_ handle: OpaquePointer?) -> (any RecordStore)? {
        handle.flatMap { stores.remove($0) }
    }

    static func add(_ filter: Filter) -> OpaquePointer? { filters.add(filter) }

    /// - Throws: `.badRequest` for null, and for a filter that was freed.
    static func filter(_ handle: OpaquePointer?) throws(OmenError) -> Filter {
        guard let handle else { throw OmenError(.badRequest, "the filter is null") }
        guard let filter = filters.value(handle) else {
            throw OmenError(.badRequest, "the filter was freed")
        }
        return filter
    }

    static func removeFilter(_ handle: OpaquePointer?) {
        if let handle { _ = filters.remove(handle) }
    }
}
