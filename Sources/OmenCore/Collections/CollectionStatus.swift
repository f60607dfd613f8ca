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

    /// Adds what another shard has of the same collection; leaves the calibration as it is.
    package mutating func add(_ other: CollectionStatus) {
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
