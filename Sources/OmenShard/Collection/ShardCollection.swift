package import OmenCore
internal import OmenIndex

/// One shard of one collection: its parts, and what its owner has to know of them.
package final class ShardCollection {
    package let name: String
    package let schema: CollectionSchema
    /// What it consists of.
    private(set) var parts: CollectionParts
    /// LSN of the last operation that changed something here.
    var changedLSN: UInt64
    /// Name, LSN and size of the newest shard file; nil before the first checkpoint.
    private(set) var file: CheckpointFile?
    /// Rows in the graph as `file` has it; nil when `file` holds other rows than `index`.
    private var savedLinkedCount: Int?
    /// Set while hot rows are left to a build, or wait for others of their call.
    var isLinkingPaused = false
    /// What it will have when everything that was accepted is applied; only where addresses are
    /// limited.
    var promised = Promise()
    /// Calls under way that bring rows in several parts.
    var openBatchCount = 0
    /// Rows that these bring in all.
    var openRowCount = 0
    /// Whether what they bring is to be built at once.
    var isBatchBuilt = false
    /// How often the rows were put into another order.
    package private(set) var orderCount: UInt64 = 0
    /// Memory for searches beside each other.
    let scratches: ScratchPool
    /// What was searched in indexes that were replaced.
    private var formerSearches = SearchCounts()

    /// An empty collection.
    ///
    /// - Parameters:
    ///   - name: The name.
    ///   - schema: What its records are like.
    ///   - types: The parts that it has.
    ///   - lsn: The LSN of the operation that makes it.
    /// - Throws: `.resourceExhausted` without address space.
    init(
        name: String,
        schema: CollectionSchema,
        _ types: PartTypes,
        lsn: UInt64
    ) throws(OmenError) {
        self.name = name
        self.schema = schema
        parts = try CollectionParts(emptyFor: name, schema: schema, types)
        scratches = ScratchPool(schema)
        changedLSN = lsn
    }

    /// A collection whose parts lie in a mapped shard file.
    init(
        name: String,
        schema: CollectionSchema,
        parts: CollectionParts,
        file: CheckpointFile
    ) {
        self.name = name
        self.schema = schema
        self.parts = parts
        scratches = ScratchPool(schema)
        changedLSN = file.lsn
        noteSaved(file)
    }

    /// Records that `file` holds the graph as it stands now; call it before thawing.
    func noteSaved(_ file: CheckpointFile) {
        self.file = file
        savedLinkedCount = index.linkedCount
    }

    /// Goes on with parts that hold the same live records in other rows.
    ///
    /// - Parameter new: The parts, which nobody else uses.
    /// - Precondition: No checkpoint is running.
    func adopt(_ new: CollectionParts) {
        precondition(
            !index.isFrozen && new.index.liveCount == new.records.liveCount
                && new.records.liveCount == records.liveCount,
            "\(new.records.liveCount) live records and \(new.index.liveCount) live rows for \(records.liveCount)"
        )
        formerSearches += index.scratch.counts
        parts = new
        orderCount += 1
        savedLinkedCount = nil
    }

    /// The vectors of the rows.
    var index: VectorIndex { parts.index }
    /// The ids and metadata of the rows.
    var records: RecordTable { parts.records }

    /// Whether writing another file would save nothing new.
    var isStored: Bool {
        guard let file else { return false }
        return changedLSN <= file.lsn && index.linkedCount == savedLinkedCount
    }

    /// Bytes of the newest shard file; 0 before the first checkpoint.
    package var fileByteCount: Int { file?.byteCount ?? 0 }
    package var vectorCount: Int { records.liveCount }
    /// Whether any row ever had metadata.
    var hasMetadata: Bool { records.metadataHeapByteCount > 0 }
    /// Whether any row ever had a text for an id.
    var hasTextIDs: Bool { records.idHeapByteCount > 0 }
    /// What was searched since it was opened.
    package var searches: SearchCounts {
        var sum = formerSearches
        sum += scratches.counts
        sum += index.scratch.counts
        return sum
    }
    package var rowCount: Int { index.rowCount }
    package var linkedCount: Int { index.linkedCount }
    /// Rows that a build linked together.
    var builtCount: Int { index.builtCount }
    package var deletedCount: Int { index.deletedCount }
    package var hotRowCount: Int { index.rowCount - index.linkedCount }
    /// What was measured of searches; nil when nothing was.
    package var calibrationTable: CalibrationTable? { index.calibrationTable }
    /// Whether the last build was calibrated with other queries than it should be now.
    var awaitsCalibration: Bool { index.awaitsCalibration }
    var canLink: Bool { hotRowCount > 0 && !index.isFrozen && !isLinkingPaused }
}

// MARK: - Writing

extension ShardCollection {
    /// Inserts or replaces the rows of a batch without equal ids.
    ///
    /// - Parameters:
    ///   - checked: A batch that was checked against the collection's schema.
    ///   - versions: What its records are numbered with.
    /// - Returns: How many records there were, and how many of them replaced others.
    /// - Throws: `.resourceExhausted` when a limit of the shard is reached; `.corrupt` for a batch
    ///   that was checked against another schema, which the shard excludes when it accepts one.
    func upsert(
        _ checked: CheckedBatch,
        _ versions: WriteVersions
    ) throws(OmenError) -> WriteCounts {
        guard checked.schema == schema else {
            throw OmenError(.corrupt, "collection \(name): a batch for \(checked.schema)")
        }
        let batch = checked.batch
        let replacedCount = try parts.append(batch, versions)
        return WriteCounts(
            upserted: UInt64(batch.ids.count),
            replaced: UInt64(replacedCount)
        )
    }

    /// Deletes records.
    ///
    /// - Parameter ids: The ids of the records; an id without a record changes nothing.
    /// - Returns: How many there were.
    func delete(_ ids: [RecordID]) -> WriteCounts {
        WriteCounts(deleted: UInt64(parts.delete(ids)))
    }

    /// Keeps the queries of a validated sample, with which the next build calibrates searches; one
    /// is due now unless there are few rows.
    ///
    /// The same queries once more change nothing.
    /// - Precondition: `lsn` is above 0.
    func calibrate(_ sample: QuerySample, lsn: UInt64) {
        guard sample.vectors != index.sample.vectors else { return }
        index.sample = CalibrationSample(lsn: lsn, vectors: sample.vectors)
    }

    /// Takes up to `count` steps towards linking the hot rows into the graph.
    ///
    /// - Returns: How many; 0 when there are none, a checkpoint holds the graph still or a rebuild
    ///   is to come.
    func link(atMost count: Int) -> Int { canLink ? index.link(steps: count) : 0 }
}

// MARK: - Reading

extension ShardCollection {
    /// Leaves the nearest rows to one query of a validated request, ascending by distance, then
    /// row, in the hits of `scratch`.
    func findNeighbors(
        of position: Int,
        in request: SearchRequest,
        k: Int,
        _ effort: ShardEffort,
        _ scratch: Scratch
    ) throws(OmenError) {
        let offset = position * request.dim * request.element.byteCount
        let failure: OmenError? = request.vectors.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            do throws(OmenError) {
                try findNeighbors(of: base + offset, request, k: k, effort, scratch)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func findNeighbors(
        of vector: UnsafeRawPointer,
        _ request: SearchRequest,
        k: Int,
        _ effort: ShardEffort,
        _ scratch: Scratch
    ) throws(OmenError) {
        try scratch.reserve(index.rowCount)
        try index.search(
            vector,
            element: request.element,
            k: k,
            effort: effort,
            maxDistance: request.maxDistance,
            using: scratch,
            into: &scratch.hits
        )
    }

    /// Whether the hits of a request are sure to be numbers and distances, and no more.
    func hitsFitColumns(of request: SearchRequest) -> Bool {
        !request.withVector && !(request.withMetadata && hasMetadata) && !request.explain
            && !hasTextIDs
    }

    /// The nearest rows to a validated query, whose vectors lie elsewhere.
    ///
    /// - Precondition: All ids are numbers.
    /// - Returns: How many.
    func search(
        _ order: ShardOrder,
        _ vector: UnsafeRawPointer,
        into columns: HitColumns
    ) throws(OmenError) -> Int {
        try scratches.withScratch { scratch throws(OmenError) in
            let effort = index.planner.effort(order)
            try findNeighbors(of: vector, order.request, k: order.limit, effort, scratch)
            for (place, neighbor) in scratch.hits.enumerated() {
                guard let number = records.number(of: neighbor.row) else {
                    preconditionFailure("row \(neighbor.row) has a text id among numbers")
                }
                columns.distances[place] = neighbor.distance
                columns.numbers[place] = number
            }
            columns.orderTies(in: scratch.hits.indices)
            return scratch.hits.count
        }
    }

    /// Appends rows as columns; false, and nothing is appended, if an id is a text.
    func append(
        _ neighbors: [Neighbor],
        to distances: inout [Float],
        _ numbers: inout [UInt64]
    ) -> Bool {
        let start = numbers.count
        for neighbor in neighbors {
            guard let number = records.number(of: neighbor.row) else {
                distances.removeSubrange(start...)
                numbers.removeSubrange(start...)
                return false
            }
            distances.append(neighbor.distance)
            numbers.append(number)
        }
        return true
    }

    /// A row that was found, with what was asked for.
    func hit(_ neighbor: Neighbor, _ request: SearchRequest) -> Hit {
        var hit = Hit(id: records.id(of: neighbor.row), distance: neighbor.distance)
        if request.withMetadata { hit.metadata = records.metadata(of: neighbor.row) }
        if request.withVector {
            var vector: [UInt8] = []
            index.copyVector(neighbor.row, into: &vector)
            hit.vector = vector
        }
        return hit
    }

    /// The stored record, or nil when the id is not there.
    func record(
        _ id: RecordID,
        withVector: Bool
    ) -> (metadata: [UInt8]?, vector: [UInt8]?, version: UInt64)? {
        guard let row = records.row(of: id) else { return nil }
        var vector: [UInt8]?
        if withVector {
            var bytes: [UInt8] = []
            index.copyVector(row, into: &bytes)
            vector = bytes
        }
        return (records.metadata(of: row), vector, records.version(of: row))
    }
}
