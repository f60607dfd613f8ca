internal import OmenSystem
internal import COmenDB
internal import OmenCore
internal import Synchronization

/// What the `omendb_stop` that C holds stand for.
///
/// Numbers and no addresses, as handles are: one that was freed is ignored.
private enum Stops {
    private struct StopTable {
        var stops: [UInt: Stop] = [:]
        var next: UInt = 1
    }

    private static let table = Mutex(StopTable())

    static func add(_ stop: Stop) -> OpaquePointer? {
        let number = table.withLock { table in
            defer { table.next += 1 }
            table.stops[table.next] = stop
            return table.next
        }
        return OpaquePointer(bitPattern: number)
    }

    static func find(_ stop: OpaquePointer?) -> Stop? {
        guard let stop else { return nil }
        return table.withLock { $0.stops[UInt(bitPattern: stop)] }
    }

    static func remove(_ stop: OpaquePointer?) {
        guard let stop else { return }
        table.withLock { _ = $0.stops.removeValue(forKey: UInt(bitPattern: stop)) }
    }
}

/// Makes something that long calls look at.
@c @implementation
public func omendb_stop_new(_ limit_ms: UInt32) -> OpaquePointer! {
    Stops.add(Stop(limitMilliseconds: Int(limit_ms)))
}

/// Makes it what this thread's calls look at.
@c @implementation
public func omendb_stop_use(_ stop: OpaquePointer!) { Stop.use(Stops.find(stop)) }

/// Ends the calls that look at it.
@c @implementation
public func omendb_stop_request(_ stop: OpaquePointer!) { Stops.find(stop)?.request() }

/// Forgets it.
@c @implementation
public func omendb_stop_free(_ stop: OpaquePointer!) { Stops.remove(stop) }
