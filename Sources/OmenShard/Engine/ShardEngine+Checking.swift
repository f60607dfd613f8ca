package import OmenCore

/// Writes from this process, which no coordinator has checked.
extension ShardEngine {
    /// Takes a write as it was given, and checks its values first; as `write` then.
    package func checkAndWrite(_ request: WriteRequest, ticket: UInt64) {
        let operation: CheckedOperation
        do throws(OmenError) {
            operation = try request.operation.validated(against: core.schemas)
        } catch { return onOutcome(.refused(ticket: ticket, error)) }
        write(ShardWrite(key: request.key, operation: operation), ticket: ticket)
    }

    /// Takes a batch that was checked against the schema its collection had; as `write` then.
    ///
    /// If the collection has another schema by now, the batch is checked against that one.
    package func write(_ checked: CheckedBatch, key: RequestKey, ticket: UInt64) {
        guard core.schemas[checked.batch.collection] == checked.schema else {
            let request = WriteRequest(key: key, operation: .upsert(checked.batch))
            return checkAndWrite(request, ticket: ticket)
        }
        write(ShardWrite(key: key, operation: .upsert(checked)), ticket: ticket)
    }
}
