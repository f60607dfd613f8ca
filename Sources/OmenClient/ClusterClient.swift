internal import OmenSystem
package import OmenCore
internal import OmenWire

/// A blocking client of a running cluster.
///
/// Not thread-safe: one thread at a time. A connection that breaks is made again by the next call.
/// Reads are then repeated once; writes are repeated under their request key, so that each takes
/// effect once, until `retryFor` has passed.
package final class ClusterClient {
    /// Where the coordinator listens.
    package let endpoint: Endpoint
    /// Longest wait for one answer.
    package var answerTimeout = Duration.seconds(60)
    /// How long writes are repeated after their first failure that may pass.
    package var retryFor = Duration.seconds(10)
    /// How long reads are repeated that an overloaded cluster refuses.
    package var retryReadFor = Duration.seconds(2)
    /// How long writes that wait until vectors are linked are repeated without any sign that this
    /// goes on.
    package var linkingPatience = Duration.seconds(60)

    private let connectTimeout: Duration
    private var connection: ClientConnection?
    /// The cluster that answered first: a connection that is made again must reach the same one,
    /// or a write that is repeated would take effect in two.
    private var cluster = ClusterUUID.unknown
    private var keys = RequestKeys()

    /// Connects to the coordinator's socket.
    ///
    /// - Parameters:
    ///   - endpoint: Where the coordinator listens, `DATA/omen.sock` by default.
    ///   - cluster: The cluster that must be there; `.unknown`: the one that answers first.
    ///   - timeout: Longest wait for a coordinator that is there but busy.
    /// - Returns: A connected client.
    /// - Throws: `.unavailable` "no cluster is running at PATH" when nobody listens.
    package static func connect(
        to endpoint: Endpoint,
        of cluster: ClusterUUID = .unknown,
        timeout: Duration = .seconds(5)
    ) throws(OmenError) -> ClusterClient {
        let client = ClusterClient(to: endpoint, connectTimeout: timeout)
        client.cluster = cluster
        _ = try client.openConnection()
        return client
    }

    private init(to endpoint: Endpoint, connectTimeout: Duration) {
        self.endpoint = endpoint
        self.connectTimeout = connectTimeout
    }

    /// The cluster that has answered; `.unknown` before the first answer.
    var knownCluster: ClusterUUID { connection?.cluster ?? cluster }

    /// A key for one write, not used before.
    package func nextKey() -> RequestKey { keys.next() }

    /// Closes the connection; the next call makes a new one.
    package func close() {
        if let connection { cluster = connection.cluster }
        connection = nil
    }

    /// The connection; a new one if there is none or it is broken.
    func openConnection() throws(OmenError) -> ClientConnection {
        if let connection, connection.failure == nil { return connection }
        close()
        let deadline = ContinuousClock.now + connectTimeout
        let opened = try ClientConnection(to: endpoint, of: cluster, deadline: deadline)
        connection = opened
        return opened
    }

    /// One request, one answer, which may be the cluster's `.failure`.
    ///
    /// - Throws: Only when there is no answer: `.unavailable` when the connection is lost or
    ///   silent, `.badRequest` when the request fits no frame, `.stopped` when the caller is
    ///   stopped and no answer comes within `grace`.
    func ask(
        _ message: Message,
        timeout: Duration? = nil,
        grace: Duration = .zero
    ) throws(OmenError) -> Message {
        let connection = try openConnection()
        let id = try connection.submit(message)
        let limit = timeout ?? answerTimeout
        let deadline = ContinuousClock.now + limit
        while true {
            let answers = try connection.exchange(until: deadline, grace: grace)
            if let answer = answers.first(where: { $0.requestID == id }) { return answer.message }
            if ContinuousClock.now >= deadline {
                connection.forget(id)
                throw OmenError(.unavailable, "no answer to \(message.kind) within \(limit)")
            }
        }
    }

    /// `ask`, with the cluster's failures thrown too.
    func call(_ message: Message, timeout: Duration? = nil) throws(OmenError) -> Message {
        let answer = try ask(message, timeout: timeout)
        if case .failure(let error) = answer { throw error }
        return answer
    }

    /// A request without effects: repeated once when an old connection turns out to be dead, and
    /// for `retryReadFor` when the cluster is overloaded and says when to come back.
    func callRead(_ message: Message) throws(OmenError) -> Message {
        let deadline = ContinuousClock.now + retryReadFor
        var backoff = Backoff()
        while true {
            do throws(OmenError) {
                return try callReadOnce(message)
            } catch {
                guard error.code == .resourceExhausted, error.retryAfterMilliseconds > 0 else {
                    throw error
                }
                let nextTry = ContinuousClock.now + backoff.wait(after: error)
                guard nextTry <= deadline else { throw error }
                guard sleepUnlessStopped(until: nextTry) else { throw Stop.error }
            }
        }
    }

    private func callReadOnce(_ message: Message) throws(OmenError) -> Message {
        do throws(OmenError) {
            return try call(message)
        } catch {
            guard connection?.failure != nil, error.code == .unavailable else { throw error }
            return try call(message)
        }
    }
}

/// Draws the keys of one writer's requests.
struct RequestKeys {
    /// Not 0, which means that the write is never repeated.
    private let client = UInt64.random(in: 1...UInt64.max)
    private var sequence: UInt64 = 0

    mutating func next() -> RequestKey {
        sequence += 1
        return RequestKey(client: client, sequence: sequence)
    }
}
