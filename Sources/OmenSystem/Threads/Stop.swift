package import OmenCore
internal import Glibc
internal import Synchronization

/// A wish that long calls end early: what a caller who no longer wants an answer raises.
///
/// A thread has at most one at a time, `current`, for all calls that it makes; whatever takes long
/// looks at it at least every few milliseconds and then throws `.stopped`. A write is stopped only
/// before it is handed in, so that it is whole or not there.
package final class Stop: Sendable {
    private let requested = Atomic<Bool>(false)
    /// Nanoseconds after which calls end by themselves; 0: never.
    private let limit: Int64
    /// When the call under way first looked, on the monotonic clock; 0: not yet.
    ///
    /// Counting begins there and not with the call, so that short calls read no clock.
    private let firstLook = Atomic<Int64>(0)

    /// - Parameter limitMilliseconds: Time after which a call ends by itself; 0 for none.
    package init(limitMilliseconds: Int = 0) { limit = Int64(limitMilliseconds) * 1_000_000 }

    /// Ends the call under way, and every later one; any thread may call it.
    package func request() { requested.store(true, ordering: .relaxed) }

    /// Notes that a new call begins, for the limit.
    package func begin() {
        if limit > 0 { firstLook.store(0, ordering: .relaxed) }
    }

    /// Whether the call under way should end.
    package var isDue: Bool {
        if requested.load(ordering: .relaxed) { return true }
        guard limit > 0 else { return false }
        let now = Int64(MonotonicClock.now)
        let first = firstLook.load(ordering: .relaxed)
        if first == 0 { firstLook.store(now, ordering: .relaxed) }
        return first > 0 && now - first >= limit
    }

    /// - Throws: `.stopped` when the call under way should end.
    package func check() throws(OmenError) {
        if isDue { throw Self.error }
    }

    /// What a call that was stopped throws; a write that throws it changed nothing.
    package static var error: OmenError { OmenError(.stopped, "the call was stopped") }

    /// Longest wait between two looks, in milliseconds, of what waits for something else.
    package static let lookInterval = 20
}

extension Stop {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key) { held in
            guard let held else { return }
            Unmanaged<Stop>.fromOpaque(held).release()
        }
        precondition(code == 0, "no key for a thread's own memory: errno \(code)")
        return key
    }()

    /// The wish of this thread's caller, if it can have one.
    package static var current: Stop? {
        guard let held = pthread_getspecific(key) else { return nil }
        return Unmanaged<Stop>.fromOpaque(held).takeUnretainedValue()
    }

    /// Makes `stop` the one of all calls on this thread from now on; nil for none.
    package static func use(_ stop: Stop?) {
        let old = pthread_getspecific(key)
        let new = stop.map { Unmanaged.passRetained($0).toOpaque() }
        let code = pthread_setspecific(key, new)
        precondition(code == 0, "no memory for a thread's own value: errno \(code)")
        if let old { Unmanaged<Stop>.fromOpaque(old).release() }
    }

    /// - Throws: `.stopped` when what this thread does should end.
    package static func check() throws(OmenError) { try current?.check() }
}
