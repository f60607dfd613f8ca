internal import OmenSystem
internal import OmenCore
internal import OmenWire

extension UpsertPipeline {
    /// Sends what is due, receives, and settles what was answered or given up.
    ///
    /// Returns after some progress, at the latest at `limit`.
    func step(waitingUntil limit: ContinuousClock.Instant) {
        onWait()
        expireWaiting()
        if isStopped { dropWaiting() }
        guard let connection = connected() else {
            let wake = ([connectAt] + waiting.compactMap(deadline)).min() ?? connectAt
            sleep(until: min(wake, limit))
            return
        }
        sendDue(on: connection)
        askForLinking(on: connection)
        var until = min(limit, .now + options.answerTimeout)
        for pending in waiting { until = min(until, pending.retryAt) }
        if isCrowded { until = min(until, max(nextLinkingRequestAt, .now + .milliseconds(100))) }
        for pending in inFlight.values {
            until = min(until, pending.sentAt + options.answerTimeout)
        }
        do throws(OmenError) {
            for answer in try connection.exchange(until: until, grace: Self.stopGrace) {
                settle(answer)
            }
            let now = ContinuousClock.now
            if inFlight.values.contains(where: { $0.sentAt + options.answerTimeout <= now }) {
                disconnect(OmenError(.unavailable, "no answer within \(options.answerTimeout)"))
            }
        } catch {
            disconnect(error)
        }
    }

    /// How long a batch that was sent is waited for when the caller is stopped.
    private static let stopGrace = Duration.seconds(2)

    var isStopped: Bool { Stop.current?.isDue ?? false }

    /// Gives up what is not under way, now that the caller is stopped.
    private func dropWaiting() {
        let dropped = waiting
        waiting = []
        for pending in dropped { giveUp(pending, Stop.error) }
    }

    private func connected() -> ClientConnection? {
        if let connection { return connection }
        guard ContinuousClock.now >= connectAt else { return nil }
        do throws(OmenError) {
            connection = try ClientConnection(
                to: endpoint,
                of: cluster,
                deadline: .now + .seconds(1)
            )
            connectBackoff.reset()
        } catch {
            connectAt = .now + connectBackoff.wait()
            connectError = error
        }
        return connection
    }

    /// Gives the connection up; whatever it was to answer has an unknown outcome and is sent again.
    private func disconnect(_ error: OmenError) {
        if let connection { cluster = connection.cluster }
        connection = nil
        linkingRequest = nil
        connectAt = .now
        connectError = error
        let lost = inFlight.values.sorted { $0.sequence < $1.sequence }
        inFlight = [:]
        for var pending in lost {
            pending.mayBeApplied = true
            if error.isRetryable { retry(pending, after: error) } else { giveUp(pending, error) }
        }
    }

    private func sendDue(on connection: ClientConnection) {
        let now = ContinuousClock.now
        let due = waiting.filter { $0.retryAt <= now }.sorted { $0.sequence < $1.sequence }
        waiting.removeAll { $0.retryAt <= now }
        for var pending in due {
            pending.sentAt = now
            if pending.firstFailedAt != nil { retryCount += 1 }
            do throws(OmenError) {
                inFlight[try connection.submit(pending.request)] = pending
            } catch {
                giveUp(pending, error)
            }
        }
    }

    /// Whether batches wait because a shard takes no more at the moment.
    package var isCrowded: Bool {
        waiting.contains { $0.firstFailedAt != nil && $0.error.code == .resourceExhausted }
    }

    private func askForLinking(on connection: ClientConnection) {
        guard isCrowded, linkingRequest == nil, nextLinkingRequestAt <= .now else { return }
        nextLinkingRequestAt = .now + LinkingWatch.interval
        do throws(OmenError) {
            linkingRequest = try connection.submit(.status)
        } catch {
            // Without an answer nothing is known to move.
        }
    }

    private func settle(_ answer: Envelope) {
        if answer.requestID == linkingRequest {
            linkingRequest = nil
            if case .clusterStatus(let status) = answer.message { linking.note(status) }
            return
        }
        guard var pending = inFlight.removeValue(forKey: answer.requestID) else { return }
        switch answer.message {
        case .written(let reply) where !isPlausible(reply.counts, pending):
            giveUp(pending, OmenError(.protocolViolation, "impossible counts \(reply.counts)"))
        case .written(let reply) where !reply.coverage.isPartial:
            linking.noteMove()
            acknowledgedVectorCount += UInt64(pending.vectorCount)
            counts += reply.counts
        case .written(let reply):
            let failures = reply.coverage.failures
            let first =
                failures.first { !$0.error.isRetryable }
                ?? failures.first { $0.error.code != .resourceExhausted } ?? failures[0]
            let error = OmenError(
                first.error.code,
                "shard \(first.shard): \(first.error.message)",
                retryAfterMilliseconds: first.error.retryAfterMilliseconds
            )
            // Their part stands; sent again under the key, it is not done twice.
            pending.part = reply.counts
            if failures.contains(where: { $0.error.code == .unknownOutcome }) {
                pending.mayBeApplied = true
            }
            if error.isRetryable { retry(pending, after: error) } else { giveUp(pending, error) }
        case .failure(let error):
            if error.code == .unknownOutcome { pending.mayBeApplied = true }
            if error.isRetryable { retry(pending, after: error) } else { giveUp(pending, error) }
        default:
            let kind = answer.message.kind
            pending.mayBeApplied = true
            giveUp(pending, OmenError(.protocolViolation, "a write was answered with \(kind)"))
        }
    }

    /// Sums of counts that passed this cannot overflow.
    private func isPlausible(_ counts: WriteCounts, _ pending: OutstandingBatch) -> Bool {
        counts.upserted <= pending.vectorCount && counts.replaced <= counts.upserted
            && counts.deleted == 0
    }

    private func retry(_ pending: OutstandingBatch, after error: OmenError) {
        var pending = pending
        let failedAt = pending.firstFailedAt ?? .now
        pending.firstFailedAt =
            error.code == .resourceExhausted ? max(failedAt, linking.movedAt) : failedAt
        pending.retryAt = .now + pending.backoff.wait(after: error)
        pending.error = error
        waiting.append(pending)
    }

    private func deadline(_ pending: OutstandingBatch) -> ContinuousClock.Instant? {
        pending.firstFailedAt.map { $0 + options.retryFor }
    }

    private func expireWaiting() {
        let now = ContinuousClock.now
        let expired = waiting.filter { deadline($0).map { $0 <= now } ?? false }
        guard !expired.isEmpty else { return }
        waiting.removeAll { deadline($0).map { $0 <= now } ?? false }
        for pending in expired.sorted(by: { $0.sequence < $1.sequence }) {
            giveUp(pending, connection == nil ? connectError ?? pending.error : pending.error)
        }
    }

    /// Counts a batch as failed; its outcome is unknown if any of its tries may have worked.
    private func giveUp(_ pending: OutstandingBatch, _ error: OmenError) {
        var error = error
        let part = pending.part ?? WriteCounts()
        acknowledgedVectorCount += part.upserted
        counts += part
        if pending.mayBeApplied, error.isRetryable || error.code == .stopped {
            unknownVectorCount += UInt64(pending.vectorCount) - part.upserted
            error.code = .unknownOutcome
        }
        if failure == nil { failure = error }
    }
}
