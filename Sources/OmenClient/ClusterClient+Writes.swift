package import OmenCore
package import OmenWire

extension ClusterClient {
    /// Makes a collection; leaves an equal one alone.
    ///
    /// - Throws: `.alreadyExists` when there is one with another schema.
    @discardableResult
    package func createCollection(
        _ name: String,
        schema: CollectionSchema
    ) throws(OmenError) -> WriteReply {
        try write(.createCollection(name: name, schema: schema))
    }

    /// Removes a collection and all its records.
    @discardableResult
    package func dropCollection(_ name: String) throws(OmenError) -> WriteReply {
        try write(.dropCollection(name: name))
    }

    /// Removes every record of a collection.
    @discardableResult
    package func clearCollection(_ name: String) throws(OmenError) -> WriteReply {
        try write(.clearCollection(name: name))
    }

    /// Calibrates searches of a collection with these queries from now on.
    ///
    /// - Returns: When every shard has stored them; they measure later.
    @discardableResult
    package func calibrate(_ sample: QuerySample) throws(OmenError) -> WriteReply {
        try write(.calibrate(sample))
    }

    /// Inserts or replaces one batch; for many batches see `UpsertPipeline`.
    @discardableResult
    package func upsert(_ batch: UpsertBatch) throws(OmenError) -> WriteReply {
        try write(.upsert(batch))
    }

    /// Removes records; ids that are not there are skipped.
    @discardableResult
    package func delete(collection: String, ids: [RecordID]) throws(OmenError) -> WriteReply {
        try write(.delete(collection: collection, ids: ids))
    }

    /// Sends a write and repeats it under its key while that may help, for at most `retryFor` after
    /// the first failure; where vectors wait to be linked, as long as linking goes on.
    ///
    /// - Parameters:
    ///   - operation: What to do.
    ///   - key: A key of an earlier write to finish that one, else a new one.
    /// - Returns: What was done. When shards still fail at the end, `coverage` names them and the
    ///   others have applied their part.
    /// - Throws: `.unknownOutcome` when it may or may not have been applied, else why it was not.
    package func write(
        _ operation: WriteOperation,
        key: RequestKey? = nil
    ) throws(OmenError) -> WriteReply {
        try operation.validateShape()
        let request = Message.write(WriteRequest(key: key ?? nextKey(), operation: operation))
        var backoff = Backoff()
        var firstFailure: ContinuousClock.Instant?
        var mayBeApplied = false
        var linking = LinkingWatch()
        while true {
            let outcome = attempt(request, mayBeApplied: &mayBeApplied)
            let errors: [OmenError]
            switch outcome {
            case .success(let reply): errors = reply.coverage.failures.map(\.error)
            case .failure(let error): errors = [error]
            }
            let retryable = errors.filter(\.isRetryable)
                .max { $0.retryAfterMilliseconds < $1.retryAfterMilliseconds }
            guard let retryable else { return try outcome.get() }
            let failedAt = firstFailure ?? .now
            firstFailure = failedAt
            let nextTry = ContinuousClock.now + backoff.wait(after: retryable)
            if nextTry > failedAt + retryFor {
                let isCrowded = errors.allSatisfy { $0.code == .resourceExhausted }
                guard isCrowded, goesOn(&linking) else { return try outcome.get() }
            }
            guard sleepUnlessStopped(until: nextTry) else { return try outcome.get() }
        }
    }

    /// Whether vectors are linked, so that a write that shards have no room for is worth repeating.
    private func goesOn(_ linking: inout LinkingWatch) -> Bool {
        do throws(OmenError) {
            let answer = try call(.status, timeout: .seconds(5))
            guard case .clusterStatus(let status) = answer else { return false }
            linking.note(status)
        } catch {
            // Nothing is known to move.
            return false
        }
        return linking.canMove && .now - linking.movedAt < linkingPatience
    }

    /// How long a write that was sent is waited for when the caller is stopped: many times what a
    /// healthy cluster takes, so that its outcome is known.
    private static let stopGrace = Duration.milliseconds(500)

    /// One try.
    ///
    /// - Parameters:
    ///   - request: The write under its key.
    ///   - mayBeApplied: Whether this or an earlier try may have taken effect; then a failure that
    ///     may pass is an unknown outcome.
    /// - Returns: The answer, or why there is none.
    private func attempt(
        _ request: Message,
        mayBeApplied: inout Bool
    ) -> Result<WriteReply, OmenError> {
        let failure: OmenError
        do throws(OmenError) {
            _ = try openConnection()
            do throws(OmenError) {
                let answer = try ask(request, grace: Self.stopGrace)
                if case .written(let reply) = answer { return .success(reply) }
                guard case .failure(let error) = answer else { return .failure(unexpected(answer)) }
                failure = error
            } catch {
                // Sent, and no answer; or it fits no frame, which is the same error every time.
                mayBeApplied = true
                failure = error
            }
        } catch {
            failure = error
        }
        if failure.code == .unknownOutcome { mayBeApplied = true }
        guard mayBeApplied, failure.isRetryable || failure.code == .stopped else {
            return .failure(failure)
        }
        return .failure(OmenError(.unknownOutcome, failure.message))
    }
}
