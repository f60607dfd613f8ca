internal import OmenSystem
public import COmenDB
internal import Glibc
internal import OmenClient
internal import OmenCore
internal import OmenEmbedded

// What `omendb.h` declares, which says what each function does. The compiler checks that the two
// agree. No error and no Swift value leaves but through these.

/// The version of `omendb.h` that this library has.
@c @implementation
public func omendb_abi_version() -> UInt32 { UInt32(OMENDB_ABI_VERSION) }

// MARK: - Opening and closing

/// Opens or makes a database in this process.
@c @implementation
public func omendb_open(
    _ path: UnsafePointer<CChar>!,
    _ durability: Int32,
    _ interval_ms: UInt32,
    _ database: UnsafeMutablePointer<OpaquePointer?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(database, "database")
        guard let path else {
            target.pointee = Handles.add(EmbeddedStore(try Database()))
            return
        }
        let opened = try Database(
            path: try Arguments.text(path, "path"),
            durability: try Arguments.durability(durability, intervalMilliseconds: interval_ms)
        )
        target.pointee = Handles.add(EmbeddedStore(opened))
    }
}

/// Connects to a running cluster.
@c @implementation
public func omendb_connect(
    _ socket_path: UnsafePointer<CChar>!,
    _ database: UnsafeMutablePointer<OpaquePointer?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(database, "database")
        let store = try ClusterStore(
            at: .unix(path: try Arguments.text(socket_path, "socket path"))
        )
        target.pointee = Handles.add(store)
    }
}

/// Ends a database or a connection.
@c @implementation
public func omendb_close(
    _ database: OpaquePointer!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in try Handles.remove(database)?.close() }
}

// MARK: - Collections

/// Makes a collection.
@c @implementation
public func omendb_create(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ schema: UnsafePointer<omendb_schema>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let name = try Arguments.text(collection, "collection")
        let schema = try Arguments.schema(try Arguments.present(schema, "schema").pointee)
        _ = try Handles.store(database).write(.createCollection(name: name, schema: schema))
    }
}

/// Removes a collection.
@c @implementation
public func omendb_drop(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let name = try Arguments.text(collection, "collection")
        _ = try Handles.store(database).write(.dropCollection(name: name))
    }
}

/// Removes all records of a collection.
@c @implementation
public func omendb_clear(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let name = try Arguments.text(collection, "collection")
        _ = try Handles.store(database).write(.clearCollection(name: name))
    }
}

// MARK: - Writing

/// Inserts or replaces records.
@c @implementation
public func omendb_upsert(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ batch: UnsafePointer<omendb_batch>!,
    _ counts: UnsafeMutablePointer<omendb_counts>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        counts?.pointee = omendb_counts()
        var parts = try UpsertParts(
            try Arguments.present(batch, "batch").pointee,
            collection: try Arguments.text(collection, "collection")
        )
        let store = try Handles.store(database)
        if parts.ranges.count > 1 {
            try parts.check(against: try store.schema(of: parts.collection))
        }
        let checked = parts
        let ranges = checked.ranges
        func write() throws(OmenError) {
            for part in ranges {
                do throws(OmenError) {
                    if part.lowerBound > 0 { try Stop.check() }
                    let done = try checked.write(part, to: store)
                    counts?.pointee.upserted += done.upserted
                    counts?.pointee.replaced += done.replaced
                    counts?.pointee.rows = UInt64(part.upperBound)
                } catch {
                    guard part.lowerBound > 0 else { throw error }
                    throw OmenError(
                        error.code,
                        "\(error.message); the first \(part.lowerBound) of \(checked.count) vectors are stored"
                    )
                }
            }
        }
        // One write comes whole by itself.
        guard ranges.count > 1 else { return try write() }
        try store.adding(checked.count, to: checked.collection, write)
    }
}

/// Removes records.
@c @implementation
public func omendb_delete(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ ids: UnsafePointer<omendb_ids>!,
    _ counts: UnsafeMutablePointer<omendb_counts>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        counts?.pointee = omendb_counts()
        let name = try Arguments.text(collection, "collection")
        let given = try Arguments.present(ids, "ids").pointee
        let store = try Handles.store(database)
        let count = try Arguments.count(given.count, "ids")
        for first in stride(from: 0, to: count, by: Limits.batchCountMax) {
            let range = first..<min(first + Limits.batchCountMax, count)
            if first > 0 { try Stop.check() }
            let part = try Arguments.ids(given, range)
            counts?.pointee.deleted += try store.write(.delete(collection: name, ids: part)).deleted
            counts?.pointee.rows = UInt64(range.upperBound)
        }
    }
}

/// Calibrates searches with queries.
@c @implementation
public func omendb_calibrate(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ vectors: UnsafeRawPointer!,
    _ count: UInt64,
    _ dim: UInt32,
    _ element: Int32,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let sample = try Arguments.sample(
            vectors,
            count: count,
            dim: dim,
            element: element,
            collection: try Arguments.text(collection, "collection")
        )
        _ = try Handles.store(database).write(.calibrate(sample))
    }
}

/// Writes what changed into files from which opening is fast.
@c @implementation
public func omendb_checkpoint(
    _ database: OpaquePointer!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in try Handles.store(database).checkpoint() }
}
