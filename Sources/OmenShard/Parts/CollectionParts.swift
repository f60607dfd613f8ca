internal import OmenCore
internal import OmenIndex
internal import OmenStorage

/// The parts of one collection: row r of each of them belongs to the same record.
///
/// Index and records stand here under their own types, so that writes and searches call them
/// directly. Everything else goes through `all`.
struct CollectionParts {
    /// Decides the order of rows in a build, and knows which rows are deleted.
    let index: VectorIndex
    /// Knows the ids of rows, and so which row a new one replaces.
    let records: RecordTable
    /// The parts besides, in the order of `PartTypes.derived`.
    let derived: [any DerivedPart]

    /// Every part, in the order in which their sections are written.
    var all: [any CollectionPart] { [index, records] + derived.map { $0 } }

    /// Puts parts of the same rows together.
    ///
    /// - Parameters:
    ///   - index: The index.
    ///   - records: The ids and metadata.
    ///   - derived: The other parts.
    init(index: VectorIndex, records: RecordTable, derived: [any DerivedPart]) {
        self.index = index
        self.records = records
        self.derived = derived
    }

    /// Makes parts without rows.
    ///
    /// - Parameters:
    ///   - collection: The name of the collection.
    ///   - schema: The schema of the collection.
    ///   - types: Which parts there are.
    /// - Throws: `.resourceExhausted` without address space.
    init(
        emptyFor collection: String,
        schema: CollectionSchema,
        _ types: PartTypes
    ) throws(OmenError) {
        let index = try VectorIndex(emptyFor: collection, schema: schema)
        let records = try RecordTable(emptyFor: collection, schema: schema)
        var derived: [any DerivedPart] = []
        for type in types.derived {
            derived.append(try type.init(emptyFor: collection, schema: schema))
        }
        self.init(index: index, records: records, derived: derived)
    }

    /// Opens the parts of a shard file.
    ///
    /// - Parameters:
    ///   - source: The sections of the file.
    ///   - types: Which parts there are.
    /// - Returns: The parts, and the checks of what they left unchecked; checksums are checked
    ///   besides.
    /// - Throws: What a part throws; `.corrupt` when two parts have different rows.
    static func open(
        _ source: PartSource,
        _ types: PartTypes
    ) throws(OmenError) -> (parts: CollectionParts, checks: [any SectionCheck]) {
        let index = try VectorIndex(opening: source)
        let records = try RecordTable(opening: source)
        var derived: [any DerivedPart] = []
        for type in types.derived { derived.append(try type.init(opening: source)) }
        let name = source.file.collection
        guard index.rowCount == records.rowCount, index.liveCount == records.liveCount else {
            throw OmenError(
                .corrupt,
                "collection \(name): index has \(index.rowCount) rows and \(index.liveCount) live, records \(records.rowCount) and \(records.liveCount)"
            )
        }
        for type in types.derived where type.lacksSections(in: source.file) && index.rowCount > 0 {
            throw OmenError(
                .unsupportedVersion,
                "\(source.file.path) has no sections of \(type): an older build wrote it"
            )
        }
        for part in derived where part.rowCount != index.rowCount {
            throw OmenError(
                .corrupt,
                "collection \(name): index has \(index.rowCount) rows, \(type(of: part)) \(part.rowCount)"
            )
        }
        let parts = CollectionParts(index: index, records: records, derived: derived)
        return (parts, parts.all.compactMap { $0.deferredCheck(of: source) })
    }

    /// Takes a picture of every part for a checkpoint, see `CollectionPart.freeze`.
    ///
    /// - Returns: The pictures, in the order in which their sections are written.
    func freeze() -> [any FrozenPart] { all.map { $0.freeze() } }

    /// Ends what `freeze` began; does nothing when nothing is frozen.
    func thaw() { for part in all { part.thaw() } }

    /// Tells whether every part can take more rows, see `CollectionPart.hasRoom`.
    ///
    /// - Parameters:
    ///   - rowCount: The rows to come.
    ///   - byteCount: The bytes of their ids, and also the bytes of their metadata, at most.
    /// - Returns: Whether they all fit.
    func hasRoom(forRows rowCount: Int, bytes byteCount: Int) -> Bool {
        // Asked for every collection in each turn of the owner's loop: makes no array.
        index.hasRoom(forRows: rowCount, bytes: byteCount)
            && records.hasRoom(forRows: rowCount, bytes: byteCount)
            && derived.allSatisfy { $0.hasRoom(forRows: rowCount, bytes: byteCount) }
    }
}

// MARK: - Writing

extension CollectionParts {
    /// Appends a row to every part for each record of a validated batch.
    ///
    /// - Parameters:
    ///   - batch: Records whose ids all differ.
    ///   - versions: What the records are numbered with.
    /// - Returns: How many rows were replaced.
    /// - Throws: `.resourceExhausted` when a limit of the shard is reached; the shard must then be
    ///   opened again.
    func append(_ batch: UpsertBatch, _ versions: WriteVersions) throws(OmenError) -> Int {
        let replaced = try records.append(batch, versions)
        try index.append(batch)
        for part in derived { try part.append(batch) }
        checkRows()
        hide(replaced)
        return replaced.count
    }

    /// Deletes records.
    ///
    /// - Parameter ids: The ids of the records; an id without a record changes nothing.
    /// - Returns: How many there were.
    func delete(_ ids: [RecordID]) -> Int {
        let rows = ids.compactMap(records.remove)
        hide(rows)
        return rows.count
    }

    /// Deletes the records of live rows.
    ///
    /// - Parameter rows: Rows that the index does not hide yet.
    func delete(rows: [UInt32]) {
        for row in rows { _ = records.remove(records.id(of: row)) }
        hide(rows)
    }

    /// Hides rows that the records no longer lead to.
    private func hide(_ rows: [UInt32]) {
        guard !rows.isEmpty else { return }
        for row in rows { index.markDeleted(row) }
        for part in derived { part.hide(rows) }
    }

    private func checkRows() {
        let count = index.rowCount
        precondition(count == records.rowCount, "\(count) rows, \(records.rowCount) of records")
        for part in derived {
            precondition(count == part.rowCount, "\(count) rows, \(part.rowCount) of \(part)")
        }
    }
}

// MARK: - Builds

extension CollectionParts {
    /// The rows that a collection had when a build of it began, for the thread that builds.
    struct Copying: Sendable {
        fileprivate let records: RecordTable.Rows
        fileprivate let derived: [PartCopying]

        /// Makes the other parts of a new index.
        ///
        /// - Parameters:
        ///   - index: The new index, which nobody else uses yet.
        ///   - sources: The old number of each of its rows.
        ///   - breathe: Is called every few microseconds.
        /// - Returns: The new parts.
        /// - Throws: `.resourceExhausted` without address space or memory.
        /// - Complexity: O(rows).
        func run(
            _ index: VectorIndex,
            _ sources: [UInt32],
            breathe: () -> Void
        ) throws(OmenError) -> CollectionParts {
            let records = try RecordTable(copying: sources, of: records, breathe: breathe)
            var parts: [any DerivedPart] = []
            for copy in derived { parts.append(try copy(sources, breathe)) }
            return CollectionParts(index: index, records: records, derived: parts)
        }
    }

    /// What a build has to copy besides the index, as it is now.
    var copying: Copying { Copying(records: records.rows, derived: derived.map(\.copying)) }

    /// Appends live rows of the parts that a build replaces.
    ///
    /// - Parameters:
    ///   - rows: Rows of `old`; a later one may replace rows that were appended before.
    ///   - old: The parts of the same collection that are in use.
    /// - Throws: `.resourceExhausted` at a limit; these parts are then of no use.
    func append(_ rows: [UInt32], of old: CollectionParts) throws(OmenError) {
        let replaced = try records.append(rows, of: old.records)
        try index.append(rows, of: old.index)
        for (part, other) in zip(derived, old.derived) { try part.append(rows, ofPart: other) }
        checkRows()
        hide(replaced)
    }
}
