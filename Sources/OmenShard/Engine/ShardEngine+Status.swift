package import OmenCore
internal import OmenIndex

/// What the owner tells others about the shard.
extension ShardEngine {
    /// The state of every collection, in the order of creation.
    package var collectionStatuses: [CollectionStatus] {
        store.ordered.map { collection in
            CollectionStatus(
                name: collection.name,
                schema: collection.schema,
                vectors: UInt64(collection.vectorCount),
                linked: UInt64(collection.linkedCount),
                rows: UInt64(collection.rowCount),
                deleted: UInt64(collection.deletedCount),
                fileByteCount: UInt64(collection.fileByteCount),
                building: rebuildPermille(of: collection),
                buildByteCount: UInt64(collection.buildByteCount),
                waitsForMemory: buildWaits(of: collection),
                calibration: collection.calibrationTable,
                searches: collection.searches
            )
        }
    }

    /// The build of the distance kernels that this processor runs.
    package static var kernelVariant: String { VectorIndex.kernelName }
}
