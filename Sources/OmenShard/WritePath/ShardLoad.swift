internal import Glibc
package import OmenCore

/// How full a shard is: what decides whether it takes more vectors.
package struct ShardLoad: Equatable, Sendable {
    /// Rows that searches scan because the graphs do not hold them yet, and their bytes.
    package var hotRowCount: Int
    package var hotByteCount: Int
    /// Collections that must not grow, though what is accepted already still fits.
    package var fullCollections: [String]
    /// Bytes of memory that the system has left.
    package var availableByteCount: Int
    /// Whether an index is built, and the memory that this may still take.
    package var isBuilding = false
    package var buildByteCount = 0

    package init(
        hotRowCount: Int = 0,
        hotByteCount: Int = 0,
        fullCollections: [String] = [],
        availableByteCount: Int = .max
    ) {
        self.availableByteCount = availableByteCount
        self.hotRowCount = hotRowCount
        self.hotByteCount = hotByteCount
        self.fullCollections = fullCollections
    }
}

/// Most vectors that may wait to be linked; beyond it writes are refused until there are fewer.
package struct HotLimits: Equatable, Sendable {
    package var rowCount: Int
    package var byteCount: Int

    /// For a shard of a cluster, where others search meanwhile.
    package static let shard = HotLimits(
        rowCount: Limits.hotRowCountMax,
        byteCount: Limits.hotByteCountMax
    )
    /// For a database inside one process: as many bytes as eight shards take.
    ///
    /// One import of ten million vectors is then linked in one piece, and not part after part, each
    /// with all rows before it again, or the last ones one by one. A search that comes meanwhile
    /// compares with all that wait: a quarter of a second for 2 GiB.
    package static let process = HotLimits(
        rowCount: 16 * Limits.hotRowCountMax,
        byteCount: 8 * Limits.hotByteCountMax
    )

    /// Names another number of rows, so that tests reach the limit within seconds.
    package static let rowCountVariable = "OMENDB_HOT_ROW_COUNT_MAX"

    /// These limits with the number of rows that the environment names, if it names one.
    ///
    /// - Throws: `.badRequest` for a value that is no number of rows.
    package func overridden() throws(OmenError) -> HotLimits {
        guard let variable = getenv(Self.rowCountVariable) else { return self }
        let value = String(cString: variable)
        guard let count = Int(value), count > 0 else {
            throw OmenError(
                .badRequest,
                "\(Self.rowCountVariable) is \"\(value)\", expected a number of rows"
            )
        }
        return HotLimits(rowCount: count, byteCount: byteCount)
    }

    package func allow(_ load: ShardLoad) -> Bool {
        load.hotRowCount < rowCount && load.hotByteCount < byteCount
    }
}

extension ShardStore {
    /// How full the shard is now.
    ///
    /// - Complexity: O(collections).
    package var load: ShardLoad {
        var load = ShardLoad()
        for (name, collection) in collections {
            let hotRowCount = collection.hotRowCount
            load.hotRowCount += hotRowCount
            load.hotByteCount += hotRowCount * collection.schema.vectorByteCount
            if !collection.hasRoom { load.fullCollections.append(name) }
        }
        return load
    }
}

extension ShardCollection {
    /// Most bytes of writes that are accepted and not applied: those that wait for the log, those
    /// with the log, and one that was accepted when the queue was just short of full.
    private static let acceptedByteCountMax =
        Limits.commitQueueByteCountMax + 2 * Limits.logBatchByteCountMax

    /// Whether everything that may be accepted before the next look still fits.
    var hasRoom: Bool {
        // A row takes its vector and at least ten bytes of id in the log.
        let acceptedRowCountMax = Self.acceptedByteCountMax / (schema.vectorByteCount + 10)
        return parts.hasRoom(forRows: acceptedRowCountMax, bytes: Self.acceptedByteCountMax)
    }
}
