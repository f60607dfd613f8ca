internal import OmenSystem
internal import OmenCore
internal import OmenWire

/// One connection with any number of requests in flight.
///
/// Sending never blocks without receiving: a coordinator that waits for its replies to be read
/// stops reading requests, so a client that only sends would wait for ever.
final class ClientConnection {
    private let socket: ClientSocket
    private var decoder: FrameDecoder
    private var encoder: FrameEncoder
    /// Joins replies that come in chunks.
    private var chunks = ReplyAssembler()
    private var outgoing: [UInt8] = []
    private var sentByteCount = 0
    private var nextRequestID: UInt64 = 1
    /// Requests whose answer somebody wants; answers to others came too late and are dropped.
    private var awaited: Set<UInt64> = []
    private var arrived: [Envelope] = []
    private var readBuffer = [UInt8](repeating: 0, count: 256 << 10)
    /// Why the connection is of no further use.
    private(set) var failure: OmenError?

    /// Connects to a coordinator.
    ///
    /// - Parameters:
    ///   - endpoint: Where it listens.
    ///   - cluster: The cluster that must be there; `.unknown`: any.
    ///   - deadline: When to give up.
    /// - Throws: As `ClientSocket.connect`.
    init(
        to endpoint: Endpoint,
        of cluster: ClusterUUID,
        deadline: ContinuousClock.Instant
    ) throws(OmenError) {
        socket = try ClientSocket.connect(to: endpoint, deadline: deadline)
        decoder = FrameDecoder(.fromCoordinator(of: cluster))
        encoder = FrameEncoder(.clients(of: cluster))
    }

    /// The cluster at the other end; `.unknown` until the first answer, if no other was expected.
    var cluster: ClusterUUID { decoder.scope.cluster }

    /// Queues a request; it leaves with the next `exchange`.
    ///
    /// - Throws: `.badRequest` when it fits no frame.
    /// - Returns: The request id of the answer.
    func submit(_ message: Message) throws(OmenError) -> UInt64 {
        let id = nextRequestID
        guard encoder.appendIfItFits(Envelope(requestID: id, message: message)) else {
            throw .fitsNoFrame
        }
        nextRequestID += 1
        awaited.insert(id)
        return id
    }

    /// No longer wants the answer to a request.
    func forget(_ requestID: UInt64) {
        awaited.remove(requestID)
        chunks.forget(requestID)
        arrived.removeAll { $0.requestID == requestID }
    }

    /// Sends what is queued and receives, until an answer is there or the deadline has passed.
    ///
    /// - Parameters:
    ///   - deadline: When to come back without an answer.
    ///   - grace: How long to wait on when the caller is stopped.
    /// - Throws: Why the connection broke; from then on every call throws that. `.stopped` breaks
    ///   it, too: nobody reads what may come.
    /// - Returns: The answers that arrived, in the order of arrival.
    func exchange(
        until deadline: ContinuousClock.Instant,
        grace: Duration = .zero
    ) throws(OmenError) -> [Envelope] {
        if let failure { throw failure }
        let stop = Stop.current
        var stopsAt: ContinuousClock.Instant?
        do throws(OmenError) {
            while true {
                try sendQueued()
                try receive()
                let isLate = ContinuousClock.now >= deadline
                if !arrived.isEmpty || isLate {
                    defer { arrived = [] }
                    return arrived
                }
                if let stop, stop.isDue {
                    let end = stopsAt ?? .now + grace
                    if ContinuousClock.now >= end { throw Stop.error }
                    stopsAt = end
                }
                try socket.wait(toSend: sentByteCount < outgoing.count, deadline: deadline)
            }
        } catch {
            failure = error
            throw error
        }
    }

    private func sendQueued() throws(OmenError) {
        while true {
            if sentByteCount == outgoing.count {
                if encoder.isEmpty { return }
                outgoing = encoder.finish()
                sentByteCount = 0
            }
            let (socket, start) = (socket, sentByteCount)
            let result = outgoing.withUnsafeBytes { bytes in
                Result { () throws(OmenError) in
                    try socket.send(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                }
            }
            let count = try result.get()
            if count == 0 { return }
            sentByteCount += count
        }
    }

    private func receive() throws(OmenError) {
        while true {
            let socket = socket
            let result = readBuffer.withUnsafeMutableBytes { buffer in
                Result { () throws(OmenError) in try socket.receive(into: buffer) }
            }
            let count: Int
            do throws(OmenError) {
                count = try result.get()
            } catch {
                // What came before the end still counts.
                if arrived.isEmpty { throw error }
                failure = error
                return
            }
            if count == 0 { return }
            readBuffer.withUnsafeBytes {
                decoder.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
            while let envelopes = try decoder.next() { try take(envelopes) }
            encoder.scope = decoder.scope
            if count < readBuffer.count { return }
        }
    }

    private func take(_ envelopes: [Envelope]) throws(OmenError) {
        for envelope in envelopes {
            // Request id 0 answers nothing in particular: we broke the protocol.
            if envelope.requestID == 0, case .failure(let error) = envelope.message { throw error }
            guard awaited.contains(envelope.requestID), let answer = try chunks.take(envelope)
            else { continue }
            awaited.remove(answer.requestID)
            arrived.append(answer)
        }
    }
}
