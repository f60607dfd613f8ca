internal import OmenSystem
package import OmenCore
internal import OmenWire

/// Sends many batches with several of them in flight, and repeats what failed for a passing reason.
///
/// Each batch is applied once, under one request key, however often it is sent and even when the
/// coordinator restarts meanwhile. Batches in flight together may be applied in any order: an id
/// should not come twice within a window.
///
/// Not thread-safe. After an error nothing more is accepted; `finish` waits for the rest, and the
/// counts stay readable.
package final class UpsertPipeline {
    package struct Options: Equatable, Sendable {
        /// Most batches in flight.
        package var windowBatchCount = 16
        /// Most bytes of requests in flight; one batch may exceed it alone.
        package var windowByteCount = 32 << 20
        /// How long one batch is repeated after its first failure; where vectors wait to be linked,
        /// after the last sign that any of them was.
        package var retryFor = Duration.seconds(60)
        /// Silence after which the connection is given up and everything in flight repeated.
        package var answerTimeout = Duration.seconds(60)

        package init() {}
    }

    /// One batch on its way.
    struct OutstandingBatch {
        let request: Message
        let sequence: UInt64
        let vectorCount: Int
        let byteCount: Int
        var sentAt: ContinuousClock.Instant
        var firstFailedAt: ContinuousClock.Instant?
        var retryAt: ContinuousClock.Instant
        var backoff = Backoff()
        var error = OmenError(.unavailable, "never sent")
        /// What the shards that answered have done, when others did not.
        var part: WriteCounts?
        /// A try of it may have taken effect where no answer tells.
        var mayBeApplied = false
    }

    /// Where the coordinator listens.
    package let endpoint: Endpoint
    package let options: Options
    /// Called now and then while calls here wait.
    package var onWait: () -> Void = {}
    /// Vectors whose write is durable as the cluster promises it, also after an error.
    package internal(set) var acknowledgedVectorCount: UInt64 = 0
    /// Sums of what the cluster reported.
    package internal(set) var counts = WriteCounts()
    /// Batches sent again.
    package internal(set) var retryCount = 0
    /// Vectors whose outcome is not known: written or not, a later batch must settle it.
    package internal(set) var unknownVectorCount: UInt64 = 0
    /// The first error that repeating did not help against.
    package internal(set) var failure: OmenError?

    var connection: ClientConnection?
    /// The cluster that answered first, as in `ClusterClient`.
    var cluster = ClusterUUID.unknown
    var connectBackoff = Backoff()
    var connectAt = ContinuousClock.now
    var connectError: OmenError?
    var inFlight: [UInt64: OutstandingBatch] = [:]
    var waiting: [OutstandingBatch] = []
    private var keys = RequestKeys()
    var linking = LinkingWatch()
    /// The question how far linking is, when one is under way.
    var linkingRequest: UInt64?
    var nextLinkingRequestAt = ContinuousClock.now

    /// Vectors that wait to be linked, if batches wait for them; nil if not.
    package var crowdedCount: UInt64? { isCrowded ? linking.waitingCount : nil }

    /// Connects on its own, beside any `ClusterClient`.
    ///
    /// - Throws: `.unavailable` when no cluster is running at `endpoint`.
    package init(to endpoint: Endpoint, options: Options = Options()) throws(OmenError) {
        precondition(
            options.windowBatchCount > 0,
            "a window of \(options.windowBatchCount) batches"
        )
        self.endpoint = endpoint
        self.options = options
        connection = try ClientConnection(
            to: endpoint,
            of: cluster,
            deadline: .now + .seconds(5)
        )
    }

    private var outstandingCount: Int { inFlight.count + waiting.count }
    private var outstandingByteCount: Int {
        inFlight.values.reduce(0) { $0 + $1.byteCount } + waiting.reduce(0) { $0 + $1.byteCount }
    }

    /// Sends a batch, waiting while the window is full.
    ///
    /// - Throws: `.badRequest` for this batch's shape, `.stopped` when the caller is, else the
    ///   first error of any batch so far.
    package func submit(_ batch: UpsertBatch) throws(OmenError) {
        try batch.validateShape()
        let key = keys.next()
        let request = Message.write(WriteRequest(key: key, operation: .upsert(batch)))
        let byteCount = request.bodyByteCount
        guard Message.fitsFrame(bodyByteCount: byteCount) else { throw .fitsNoFrame }
        while failure == nil, outstandingCount > 0,
            outstandingCount >= options.windowBatchCount
                || outstandingByteCount + byteCount > options.windowByteCount
        {
            step(waitingUntil: .distantFuture)
        }
        if failure == nil, isStopped { failure = Stop.error }
        if let failure { throw failure }
        waiting.append(
            OutstandingBatch(
                request: request,
                sequence: key.sequence,
                vectorCount: batch.ids.count,
                byteCount: byteCount,
                sentAt: .now,
                retryAt: .now
            )
        )
        // Sends it and takes what has arrived, without waiting.
        step(waitingUntil: .now)
        if let failure { throw failure }
    }

    /// Waits for every batch sent so far.
    ///
    /// - Throws: The first error of any batch; the counts tell what was done nevertheless.
    package func finish() throws(OmenError) {
        while outstandingCount > 0 { step(waitingUntil: .distantFuture) }
        if let failure { throw failure }
    }
}

extension ContinuousClock.Instant {
    /// Later than any deadline of ours.
    static var distantFuture: Self { .now + .seconds(86_400) }
}
