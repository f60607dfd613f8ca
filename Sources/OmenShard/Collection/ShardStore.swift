package import OmenCore

/// What one shard holds in memory: its collections, changed only by operations in LSN order.
///
/// Deterministic: the same operations give the same rows, links and answers.
package final class ShardStore {
    package private(set) var collections: [String: ShardCollection] = [:]
    /// Names in the order of creation; linking takes turns in this order.
    private var names: [String] = []
    private var nextToLink = 0
    /// Set while files are not checked yet: linking follows links and writes where they lead.
    var isLinkingHeld = false
    let searches = BuildBrake.Searches()
    /// Empty collections for operations that are accepted and not applied yet.
    var prepared: [String: ShardCollection] = [:]

    /// The parts that its collections have.
    let partTypes: PartTypes

    /// Makes an empty store.
    ///
    /// - Parameter partTypes: The parts that its collections have.
    init(partTypes: PartTypes) { self.partTypes = partTypes }

    /// Makes an empty store whose collections have the parts of this build.
    package convenience init() { self.init(partTypes: .standard) }

    /// Collections in the order of creation.
    package var ordered: [ShardCollection] { names.compactMap { collections[$0] } }

    package var schemas: [String: CollectionSchema] { collections.mapValues(\.schema) }

    /// Whether `link` would do something: rows wait and no checkpoint holds their graph still.
    package var hasRowsToLink: Bool {
        !isLinkingHeld && collections.values.contains(where: \.canLink)
    }

    func insert(_ collection: ShardCollection) {
        collections[collection.name] = collection
        names.append(collection.name)
    }

    /// Applies one operation that was checked against the collections there are.
    ///
    /// - Parameters:
    ///   - lsn: Its number in the log.
    ///   - operation: What is done.
    ///   - versions: What its records are numbered with.
    /// - Returns: What it did.
    /// - Throws: `.notFound`, which validation excludes, or `.resourceExhausted` at a limit of the
    ///   shard; the store must then be rebuilt from disk.
    package func apply(
        lsn: UInt64,
        _ operation: CheckedOperation,
        _ versions: WriteVersions
    ) throws(OmenError) -> WriteCounts {
        switch operation {
        case .createCollection(let name, let schema):
            guard collections[name] == nil else { return WriteCounts() }
            insert(try newCollection(name, schema, lsn: lsn))
            return WriteCounts()
        case .dropCollection(let name):
            let collection = try collection(name)
            collections[name] = nil
            names.removeAll { $0 == name }
            return WriteCounts(deleted: UInt64(collection.vectorCount))
        case .clearCollection(let name):
            let old = try collection(name)
            collections[name] = try newCollection(name, old.schema, lsn: lsn)
            return WriteCounts(deleted: UInt64(old.vectorCount))
        case .upsert(let checked):
            let collection = try collection(checked.batch.collection)
            collection.changedLSN = lsn
            return try collection.upsert(checked, versions)
        case .delete(let name, let ids):
            let collection = try collection(name)
            collection.changedLSN = lsn
            return collection.delete(ids)
        case .calibrate(let checked):
            let collection = try collection(checked.sample.collection)
            collection.changedLSN = lsn
            collection.calibrate(checked.sample, lsn: lsn)
            return WriteCounts()
        }
    }

    private func newCollection(
        _ name: String,
        _ schema: CollectionSchema,
        lsn: UInt64
    ) throws(OmenError) -> ShardCollection {
        guard let found = prepared.removeValue(forKey: name), found.schema == schema else {
            return try ShardCollection(name: name, schema: schema, partTypes, lsn: lsn)
        }
        found.changedLSN = lsn
        return found
    }

    package func collection(_ name: String) throws(OmenError) -> ShardCollection {
        guard let collection = collections[name] else {
            throw OmenError(.notFound, "collection \(name) does not exist")
        }
        return collection
    }

    /// Prepares a search that the coordinator has checked to be run query by query.
    ///
    /// - Parameter order: What the coordinator wants of this shard.
    /// - Returns: The search, of whose queries none was answered yet.
    /// - Throws: `.notFound`; `.unavailable` when the collection was made again with another schema
    ///   after the search was checked.
    package func beginSearch(_ order: ShardOrder) throws(OmenError) -> ShardSearch {
        let collection = try collection(order.request.collection)
        try order.search.check(collection.schema)
        return ShardSearch(order, in: collection, counting: searches)
    }

    /// Checks a search of this shard alone and prepares it to be run query by query.
    ///
    /// - Parameter request: What is asked; it has passed `validate`.
    /// - Returns: The search, of whose queries none was answered yet.
    /// - Throws: `.notFound`, `.badRequest`.
    package func beginSearch(_ request: SearchRequest) throws(OmenError) -> ShardSearch {
        let collection = try collection(request.collection)
        let checked = try request.validated(against: collection.schema)
        return ShardSearch(ShardOrder(alone: checked), in: collection, counting: searches)
    }

    /// Answers one query, in the caller's memory where it can hold the hits, while other threads
    /// may do the same and nothing changes the shard.
    ///
    /// - Parameters:
    ///   - request: Asked of this shard alone; its `count` and `vectors` are not looked at.
    ///   - vector: `request.dim` elements, which nobody changes meanwhile.
    ///   - columns: Room for `request.limit` hits.
    /// - Returns: The hits, by themselves if they may have more to them than numbers and distances.
    /// - Throws: `.notFound`, `.badRequest`, `.resourceExhausted` without address space, or when
    ///   hits by themselves outgrow a frame.
    package func search(
        _ request: SearchRequest,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> SingleSearchAnswer {
        let collection = try collection(request.collection)
        let checked = try request.validated(vector, against: collection.schema)
        guard collection.hitsFitColumns(of: request) else {
            let order = ShardOrder(alone: checked.carrying(vector))
            var search = ShardSearch(order, in: collection, counting: searches)
            try search.runBesideOthers {}
            return .found(search.answer)
        }
        searches.add()
        return .filled(try collection.search(ShardOrder(alone: checked), vector, into: columns))
    }

    /// Answers a search at once; shape of the result as in `SearchReply`.
    package func search(
        _ request: SearchRequest
    ) throws(OmenError) -> (element: ElementType, counts: [UInt32], hits: [Hit]) {
        var search = try beginSearch(request)
        while !search.isFinished { try search.step() }
        let answer = search.answer
        return (answer.element, answer.counts, answer.list.array)
    }

    /// Found records in the order of `ids`.
    ///
    /// - Throws: `.notFound`; `.resourceExhausted` when the answer outgrows a frame.
    package func records(
        _ ids: [RecordID],
        in name: String,
        withVector: Bool
    ) throws(OmenError) -> [Record] {
        let collection = try collection(name)
        var records: [Record] = []
        var byteCount = 0
        for id in ids {
            guard let found = collection.record(id, withVector: withVector) else { continue }
            byteCount += ReplyBudget.byteCount(metadata: found.metadata, vector: found.vector)
            try ReplyBudget.check(byteCount)
            records.append(
                Record(
                    id: id,
                    metadata: found.metadata,
                    vector: found.vector,
                    version: found.version
                )
            )
        }
        return records
    }

    /// Takes up to `count` steps, some three for each row, towards linking the hot rows of one
    /// collection; collections take turns.
    ///
    /// - Returns: Steps taken; 0 when nothing is left to do.
    package func link(atMost count: Int) -> Int {
        guard !isLinkingHeld else { return 0 }
        for _ in names.indices {
            nextToLink = (nextToLink + 1) % names.count
            if let linked = collections[names[nextToLink]]?.link(atMost: count), linked > 0 {
                return linked
            }
        }
        return 0
    }
}
