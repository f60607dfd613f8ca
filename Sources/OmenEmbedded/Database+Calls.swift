internal import OmenSystem
internal import Glibc
package import OmenCore
internal import OmenShard

// MARK: - Writing

extension Database {
    /// Carries out one write; on return it is visible, and as durable as the database is.
    ///
    /// An upsert that finds more vectors waiting to be linked than searches can bear, or a build
    /// with the memory that it needs, waits as long as linking goes on.
    /// - Throws: `.badRequest` naming what is wrong, `.notFound`, `.alreadyExists`,
    ///   `.resourceExhausted` without memory or disk space: nothing was applied.
    /// - Complexity: O(bytes), and one sync where the durability asks for it.
    package func write(_ operation: WriteOperation) throws(OmenError) -> WriteCounts {
        let request = WriteRequest(key: Self.unretriedKey, operation: operation)
        return try write { engine, ticket in engine.checkAndWrite(request, ticket: ticket) }
    }

    /// Stores a batch whose values were checked; as `write` otherwise.
    package func upsert(_ checked: CheckedBatch) throws(OmenError) -> WriteCounts {
        try write { engine, ticket in
            engine.write(checked, key: Self.unretriedKey, ticket: ticket)
        }
    }

    /// Calls in this process know their outcome.
    private static let unretriedKey = RequestKey(client: 0, sequence: 0)

    private func write(
        _ begin: (ShardEngine, _ ticket: UInt64) -> Void
    ) throws(OmenError) -> WriteCounts {
        var position: [LinkingPosition] = []
        var movedAt = ContinuousClock.now
        while true {
            do throws(OmenError) {
                return try wait { engine, ticket in begin(engine, ticket) }
            } catch {
                guard error.code == .resourceExhausted, error.retryAfterMilliseconds > 0 else {
                    throw error
                }
                // Until there is room again, or only memory was short.
                repeat {
                    let found = try linkingPosition()
                    if found != position {
                        position = found
                        movedAt = .now
                    } else if ContinuousClock.now - movedAt > Limits.linkingPatience {
                        throw OmenError(
                            error.code,
                            "\(error.message); none was linked for \(Limits.linkingPatience)"
                        )
                    }
                    try Stop.check()
                    usleep(2000)
                } while try isCrowded()
            }
        }
    }

    /// What moves when anything is linked or built.
    private struct LinkingPosition: Equatable {
        var rowCount: Int
        var linkedCount: Int
        var permille: Int?
    }

    private func linkingPosition() throws(OmenError) -> [LinkingPosition] {
        try reading { engine in
            engine.store.ordered.map {
                LinkingPosition(
                    rowCount: $0.rowCount,
                    linkedCount: $0.linkedCount,
                    permille: engine.rebuildPermille(of: $0)
                )
            }
        }
    }

    /// Runs several writes that bring `count` records together.
    ///
    /// They are linked at once where they are enough for that, after the last of them, and not
    /// while they come: how fast the machine is does not decide about it.
    package func adding(
        _ count: Int,
        to collection: String,
        _ body: () throws(OmenError) -> Void
    ) throws(OmenError) {
        try owner.own(unless: .current)
        if isServingNow { engine.beginBatch(of: count, in: collection) }
        owner.release()
        defer {
            owner.own()
            if isServingNow { engine.endBatch(of: count, in: collection) }
            owner.release()
            // The maintenance thread may have found nothing to link until now.
            signal.raise()
        }
        try body()
    }

    /// Whether as many vectors wait to be linked as may.
    private func isCrowded() throws(OmenError) -> Bool {
        try reading { engine throws(OmenError) in
            !engine.core.hotLimits.allow(engine.store.load)
        }
    }

    /// Writes what changed into files from which opening is fast; nothing to do in memory.
    ///
    /// - Throws: `.resourceExhausted` on a full disk, `.ioFailure`, `.stopped`: then it goes on.
    package func checkpoint() throws(OmenError) {
        _ = try wait(mayLeave: true) { engine, ticket in engine.checkpoint(ticket: ticket) }
    }
}

// MARK: - Reading

extension Database {
    /// The stored records of those ids that are there, in the order of `ids`, and the element type
    /// of their vectors.
    ///
    /// - Throws: `.notFound` for the collection, `.resourceExhausted` beyond 64 MiB.
    package func records(
        _ ids: [RecordID],
        in collection: String,
        withVector: Bool
    ) throws(OmenError) -> (element: ElementType, records: [Record]) {
        try reading { engine throws(OmenError) in
            let records = try engine.store.records(ids, in: collection, withVector: withVector)
            return (try engine.store.collection(collection).schema.element, records)
        }
    }

    /// The stored records of those ids that are there, in the order of `ids`, where their vectors
    /// lie, and the metadata of each.
    ///
    /// - Throws: `.notFound`.
    package func places(
        _ ids: [RecordID],
        in collection: String
    ) throws(OmenError) -> (records: ListedRecords, metadata: [[UInt8]?]) {
        try reading { engine throws(OmenError) in
            try engine.store.collection(collection).stored(ids)
        }
    }

    /// All records, oldest row first, and the memory that their vectors lie in, which stays as it
    /// is while the result lives.
    ///
    /// - Throws: `.notFound`.
    /// - Complexity: O(rows).
    package func list(_ collection: String) throws(OmenError) -> ListedRecords {
        try reading { engine throws(OmenError) in
            try engine.store.collection(collection).storedRecords()
        }
    }

    /// - Throws: `.notFound`.
    package func schema(of collection: String) throws(OmenError) -> CollectionSchema {
        try reading { engine throws(OmenError) in
            try engine.store.collection(collection).schema
        }
    }

    /// Records in a collection.
    ///
    /// - Throws: `.notFound`.
    package func count(_ collection: String) throws(OmenError) -> Int {
        try reading { engine throws(OmenError) in
            try engine.store.collection(collection).vectorCount
        }
    }

    /// Every collection, in the order of creation.
    package func collections() throws(OmenError) -> [CollectionStatus] {
        try reading { engine in engine.collectionStatuses }
    }
}
