/// One collection on one shard, or summed over shards.
package struct CollectionStatus: Equatable, Sendable {
    package var name: String
    package var schema: CollectionSchema
    /// Records a search can return.
    package var vectors: UInt64
    /// Rows in the graph, dead ones included; the rest is scanned.
    package var linked: UInt64
    /// Rows in all, dead ones included.
    package var rows: UInt64
    /// Dead rows not yet reclaimed.
    package var deleted: UInt64
    /// Bytes of the collection's shard file; 0 before the first checkpoint.
    package var fileByteCount: UInt64
    /// Thousandths done of a rebuild of the index; nil when there is none.
    package var building: Int?
    /// Bytes of memory that a rebuild of the index would take now, in addition to the index.
    package var buildByteCount: UInt64
    /// Whether a build that is due waits until there is so much memory.
    package var waitsForMemory: Bool
    /// What was measured of searches; nil when nothing was.
    package var calibration: CalibrationTable?
    /// What was searched in this process; nil where other processes search.
    package var searches: SearchCounts?

    package init(
        name: String,
        schema: CollectionSchema,
        vectors: UInt64 = 0,
        linked: UInt64 = 0,
        rows: UInt64 = 0,
        deleted: UInt64 = 0,
        fileByteCount: UInt64 = 0,
        building: Int? = nil,
        buildByteCount: UInt64 = 0,
        waitsForMemory: Bool = false,
        calibration: CalibrationTable? = nil,
        searches: SearchCounts? = nil
    ) {
        self.name = name
        self.schema = schema
        self.vectors = vectors
        self.linked = linked
        self.rows = rows
        self.deleted = deleted
        self.fileByteCount = fileByteCount
        self.building = building
        self.buildByteCount = buildByteCount
        self.waitsForMemory = waitsForMemory
        self.calibration = calibration
        self.searches = searches
    }

    /// The state of each collection over all shards.
    ///
    /// - Parameter parts: What every shard tells of its part of every collection.
    /// - Returns: One for each name, ascending; its calibration is the mean of the shards', or nil
    ///   when a shard with records was not measured.
    package static func merged(_ parts: [CollectionStatus]) -> [CollectionStatus] {
        Dictionary(grouping: parts, by: \.name).values
            .map { shards in
                var whole = CollectionStatus(name: shards[0].name, schema: shards[0].schema)
                for part in shards { whole.add(part) }
                // A shard without records finds all of them.
                let tables = shards.filter { $0.vectors > 0 }.map(\.calibration)
                whole.calibration = CalibrationTable.mean(of: tables)
                return whole
            }
            .sorted { $0.name < $1.name }
    }

    private mutating func add(_ other: CollectionStatus) {
        vectors += other.vectors
        linked += other.linked
        rows += other.rows
        deleted += other.deleted
        fileByteCount += other.fileByteCount
        // The shard that has most to do tells for all.
        if let part = other.building { building = min(building ?? 1000, part) }
        buildByteCount += other.buildByteCount
        waitsForMemory = waitsForMemory || other.waitsForMemory
    }
}
