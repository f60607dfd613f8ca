internal import OmenSystem
public import COmenDB
internal import Glibc
internal import OmenCore
internal import OmenShard

/// Finds the nearest records to each query.
@c @implementation
public func omendb_search(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ query: UnsafePointer<omendb_query>!,
    _ result: UnsafeMutablePointer<UnsafeMutablePointer<omendb_result>?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(result, "result")
        let name = try Arguments.text(collection, "collection")
        let given = try Arguments.present(query, "query").pointee
        let query = try Arguments.query(given, collection: name)
        let threadCount = Int(given.threads)
        let found = try Handles.store(database).search(query, threadCount: threadCount)
        target.pointee = try ResultWriter.hits(found, dim: query.dim)
    }
}

/// Finds the nearest records to one vector.
@c @implementation
public func omendb_search_one(
    _ search: UnsafeMutablePointer<omendb_single_search>!,
    _ vector: UnsafeRawPointer!
) -> Int32 {
    guard let search else { return OmenError.Code.badRequest.rawValue }
    return call(&search.pointee.error) { () throws(OmenError) in
        search.pointee.result = nil
        search.pointee.hit_count = 0
        let name = try Arguments.text(search.pointee.collection, "collection")
        let store = try Handles.store(search.pointee.database)
        guard let distances = search.pointee.distances, let numbers = search.pointee.numbers
        else { throw OmenError(.badRequest, "columns for hits are null") }
        let columns = HitColumns(distances: distances, numbers: numbers)
        let given = search.pointee.query
        let rows = try GivenVectors(
            vector,
            element: given.element,
            dim: given.dim,
            stride: nil,
            count: 1
        )
        let query = try Arguments.options(given, collection: name, element: rows.element)
        let answer = try rows.withFirstRow { vector throws(OmenError) in
            try store.search(query, vector, into: columns)
        }
        switch answer {
        case .filled(let count): search.pointee.hit_count = Int32(count)
        case .found(let found):
            search.pointee.result = try ResultWriter.hits(found, dim: query.dim)
            search.pointee.hit_count = -1
        }
    }
}

/// Reads records.
@c @implementation
public func omendb_get(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ ids: UnsafePointer<omendb_ids>!,
    _ with_vector: UInt8,
    _ result: UnsafeMutablePointer<UnsafeMutablePointer<omendb_result>?>!,
    _ vectors: UnsafeMutablePointer<UnsafeMutablePointer<omendb_vectors>?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(result, "result")
        vectors?.pointee = nil
        let name = try Arguments.text(collection, "collection")
        let given = try Arguments.present(ids, "ids").pointee
        let store = try Handles.store(database)
        let count = try Arguments.count(given.count, "ids")
        if let vectors, with_vector != 0,
            let found = try store.places(try Arguments.ids(given, 0..<count), in: name)
        {
            target.pointee = try ResultWriter.records(found)
            vectors.pointee = found.places.map { VectorsBox.make($0.vectors) }
            return
        }
        let none = Coverage(shardsTotal: 1)
        var found = FoundRecords(element: .f32, records: [], coverage: none)
        for first in stride(from: 0, to: count, by: Limits.recordsPerReply) {
            try Stop.check()
            let part = try Arguments.ids(given, first..<min(first + Limits.recordsPerReply, count))
            let records = try store.records(part, in: name, withVector: with_vector != 0)
            guard found.records.isEmpty || found.element == records.element else {
                throw OmenError(.unavailable, "the collection was dropped and made again meanwhile")
            }
            found.element = records.element
            found.records += records.records
            if records.coverage.failures.count >= found.coverage.failures.count {
                found.coverage = records.coverage
            }
        }
        target.pointee = try ResultWriter.records(found)
    }
}

/// Lists all ids, and shows the memory of their vectors.
@c @implementation
public func omendb_list(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ result: UnsafeMutablePointer<UnsafeMutablePointer<omendb_result>?>!,
    _ vectors: UnsafeMutablePointer<UnsafeMutablePointer<omendb_vectors>?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(result, "result")
        vectors?.pointee = nil
        let name = try Arguments.text(collection, "collection")
        let listed = try Handles.store(database).list(name)
        target.pointee = try ResultWriter.ids(listed)
        if let stored = listed.places?.vectors { vectors?.pointee = VectorsBox.make(stored) }
    }
}

/// Frees a result.
@c @implementation
public func omendb_result_free(_ result: UnsafeMutablePointer<omendb_result>!) { free(result) }

/// The structure that C sees, and behind it what keeps the memory.
private struct VectorsBox {
    var shown: omendb_vectors
    var kept: StoredVectors

    static func make(_ stored: StoredVectors) -> UnsafeMutablePointer<omendb_vectors> {
        let box = UnsafeMutablePointer<VectorsBox>.allocate(capacity: 1)
        let shown = omendb_vectors(
            base: stored.base,
            row_count: UInt64(stored.rowCount),
            stride: UInt64(stored.stride),
            dim: UInt32(stored.dim),
            element: Int32(stored.element.rawValue)
        )
        box.initialize(to: VectorsBox(shown: shown, kept: stored))
        return UnsafeMutableRawPointer(box).assumingMemoryBound(to: omendb_vectors.self)
    }
}

/// Lets go of the memory of vectors.
@c @implementation
public func omendb_vectors_free(_ vectors: UnsafeMutablePointer<omendb_vectors>!) {
    guard let vectors else { return }
    let box = UnsafeMutableRawPointer(vectors).assumingMemoryBound(to: VectorsBox.self)
    box.deinitialize(count: 1)
    box.deallocate()
}

/// Counts the records of a collection.
@c @implementation
public func omendb_count(
    _ database: OpaquePointer!,
    _ collection: UnsafePointer<CChar>!,
    _ count: UnsafeMutablePointer<UInt64>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        guard let count else { throw OmenError(.badRequest, "count is null") }
        let name = try Arguments.text(collection, "collection")
        count.pointee = try Handles.store(database).count(name)
    }
}

/// Tells about everything, as JSON.
@c @implementation
public func omendb_info(
    _ database: OpaquePointer!,
    _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ error: UnsafeMutablePointer<omendb_error>!
) -> Int32 {
    call(error) { () throws(OmenError) in
        let target = try outlet(json, "json")
        let collections = try Handles.store(database).collections()
        let resident = try ProcessMemory.residentByteCount()
        target.pointee = strdup(infoText(collections, residentByteCount: resident))
    }
}

/// Frees a text.
@c @implementation
public func omendb_text_free(_ text: UnsafeMutablePointer<CChar>!) { free(text) }
