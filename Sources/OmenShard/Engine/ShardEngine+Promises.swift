internal import OmenSystem
internal import OmenCore
internal import OmenStorage

/// Addresses for what is accepted, where they are limited: what is in the log must not fail.
extension ShardEngine {
    /// Makes sure that an operation can be applied once it is accepted.
    ///
    /// - Throws: `.resourceExhausted` naming the limit: nothing was changed.
    func promise(_ write: ShardWrite) throws(OmenError) {
        guard AddressSpace.limit != nil, core.failure == nil,
            case .unknown = core.keys.state(of: write.key)
        else { return }
        if core.isIdle {
            // Whatever was promised is there, or was refused.
            store.prepared = [:]
            for collection in store.ordered { collection.promised = Promise() }
        }
        switch write.operation {
        case .createCollection(let name, let schema):
            guard core.schemas[name] == nil, schema.isValid else { return }
            try prepare(name, schema)
        case .clearCollection(let name):
            guard let schema = core.schemas[name] else { return }
            try prepare(name, schema)
        case .upsert(let checked):
            let batch = checked.batch
            let target = store.prepared[batch.collection] ?? store.collections[batch.collection]
            guard let target else { return }
            var promised = target.promised
            promised.add(batch, to: target)
            do throws(OmenError) {
                try keep(promised, in: target, isAmple: true)
            } catch {
                try keep(promised, in: target, isAmple: false)
            }
            target.promised = promised
        case .dropCollection, .delete, .calibrate: break
        }
    }

    /// Makes room for what is promised, or leaves everything as it is.
    private func keep(
        _ promise: Promise,
        in collection: ShardCollection,
        isAmple: Bool
    ) throws(OmenError) {
        let undo = try collection.parts.makeRoom(for: promise, isAmple: isAmple)
        do throws(OmenError) {
            // Where nothing had to grow, nothing is taken from others.
            if !undo.isEmpty { try checkLeft() }
        } catch {
            for step in undo { step() }
            throw error
        }
    }

    private func prepare(_ name: String, _ schema: CollectionSchema) throws(OmenError) {
        guard store.prepared[name] == nil else { return }
        let collection = try ShardCollection(name: name, schema: schema, store.partTypes, lsn: 0)
        try checkLeft()
        store.prepared[name] = collection
    }

    private func checkLeft() throws(OmenError) {
        guard let left = try SystemMemory.addressByteCountLeft(), left < 0,
            let limit = AddressSpace.limit
        else { return }
        throw OmenError(
            .resourceExhausted,
            "\(-left) bytes of addresses are missing: the limit RLIMIT_AS (ulimit -v) allows \(limit) bytes, of which \(min(Limits.addressReserveByteCount, limit / 8)) are kept free"
        )
    }
}

extension CollectionSchema {
    fileprivate var isValid: Bool {
        do throws(OmenError) {
            try validate()
            return true
        } catch { return false }
    }
}

extension ShardCore {
    /// Whether everything that was accepted is applied or refused.
    fileprivate var isIdle: Bool { gathering.isEmpty && inFlight.isEmpty && applying.isEmpty }
}
