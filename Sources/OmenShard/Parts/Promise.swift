internal import OmenCore

/// Rows, and bytes of texts, that a collection has when everything that was accepted is applied.
struct Promise {
    private(set) var rowCount = 0
    private(set) var idByteCount = 0
    private(set) var metadataByteCount = 0

    /// Adds what a batch brings.
    ///
    /// - Parameters:
    ///   - batch: An accepted batch.
    ///   - collection: Where it is applied.
    mutating func add(_ batch: UpsertBatch, to collection: ShardCollection) {
        let records = collection.records
        rowCount = max(rowCount, collection.rowCount) + batch.ids.count
        idByteCount = max(idByteCount, records.idHeapByteCount)
        for id in batch.ids {
            if case .text(let text) = id { idByteCount += text.utf8.count }
        }
        metadataByteCount = max(metadataByteCount, records.metadataHeapByteCount)
        for object in batch.metadata { metadataByteCount += object.count }
    }
}

extension CollectionParts {
    /// Makes room in every part for everything that was promised, or changes none of them.
    ///
    /// - Parameters:
    ///   - promise: Counts of the collection.
    ///   - isAmple: Whether to make room for more than that where addresses are left.
    /// - Returns: What gives the room back; empty when there was enough.
    /// - Throws: `.resourceExhausted` naming the limit.
    @discardableResult
    func makeRoom(
        for promise: Promise,
        isAmple: Bool = true
    ) throws(OmenError) -> [() -> Void] {
        guard promise.rowCount > 0 else { return [] }
        var undo: [() -> Void] = []
        do throws(OmenError) {
            for part in all {
                guard let step = try part.makeRoom(for: promise, isAmple: isAmple) else {
                    continue
                }
                undo.append(step)
            }
        } catch {
            for step in undo { step() }
            throw error
        }
        return undo
    }
}
