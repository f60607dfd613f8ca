internal import Glibc
internal import OmenCore
internal import OmenSystem
internal import OmenWire

/// Clients that search a running cluster through its coordinator's socket.
///
/// One thread plays all of them: each connection has one request in flight and sends the next one
/// when its answer is there. Requests are encoded before the clock starts, and answers decoded only
/// until every query's recall is known, so that the load takes little of the machine it measures.
struct ClusterLoad {
    private let endpoint: Endpoint
    private let clientCount: Int
    private let ef: Int
    private let k: Int
    private let batch: Int
    private let seconds: Double
    private let warmSeconds: Double
    /// Whether to print every latency.
    private let printsAll: Bool
    private let queryCount: Int
    private let neighbors: [Int32]
    private let neighborsPerQuery: Int
    /// Frames of the requests, each of up to `batch` queries.
    private let requests: [Request]

    private struct Request {
        var frame: [UInt8]
        var queries: Range<Int>
    }

    init(_ options: Options) throws {
        endpoint = .unix(path: try options.path("socket"))
        clientCount = try options.integer("clients", standard: 1)
        ef = try options.integer("ef", standard: 0)
        k = try options.integer("k", standard: 10)
        batch = try options.integer("batch", standard: 1)
        seconds = try options.number("seconds", standard: 2)
        warmSeconds = try options.number("warm-seconds", standard: 0.2)
        printsAll = try options.integer("latencies", standard: 0) != 0
        let queries = try NumpyFile(path: options.path("queries"))
        let truth = try NumpyFile(path: options.path("neighbors"))
        neighbors = try truth.int32s()
        neighborsPerQuery = truth.columns
        queryCount = queries.rows
        guard truth.rows == queries.rows, k > 0, k <= truth.columns, queryCount > 0,
            (1...512).contains(clientCount), (1...10_000).contains(batch), ef >= 0, seconds > 0,
            warmSeconds >= 0
        else {
            throw Failure("queries, neighbors and options do not fit together")
        }
        let (element, bytes) = try queries.vectors()
        let byteCount = queries.columns * element.byteCount
        let collection = options.text("collection", standard: "default")
        var requests: [Request] = []
        for first in stride(from: 0, to: queryCount, by: batch) {
            let range = first..<min(first + batch, queryCount)
            var query = SearchRequest(
                collection: collection,
                element: element,
                dim: queries.columns,
                vectors: Array(bytes[range.lowerBound * byteCount..<range.upperBound * byteCount]),
                count: range.count,
                limit: k
            )
            query.effort = .ef(ef)
            query.allowPartial = false
            let message = Message.search(query)
            guard message.fitsFrame else { throw Failure("--batch \(batch) fits no frame") }
            requests.append(Request(frame: message.framed(requestID: 1), queries: range))
        }
        self.requests = requests
    }

    func run() throws -> String {
        let connections = try (0..<clientCount).map { _ in try LoadConnection(to: endpoint) }
        var tally = Tally(requestCount: requests.count)
        let begin = now()
        let firstCounted = begin + warmSeconds
        let end = firstCounted + seconds
        var next = 0
        for connection in connections { try send(&next, on: connection) }
        var open = connections.count
        var polls = connections.map {
            pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0)
        }
        while open > 0 {
            let ready = poll(&polls, nfds_t(polls.count), 10_000)
            guard ready > 0 || (ready < 0 && errno == EINTR) else {
                throw Failure("no answer within 10 s")
            }
            for index in polls.indices where polls[index].revents != 0 {
                let connection = connections[index]
                guard let frame = try connection.receive() else { continue }
                let time = now()
                let request = requests[connection.request]
                tally.queryCount += request.queries.count
                if connection.sentAt >= firstCounted {
                    tally.latencies.append(time - connection.sentAt)
                    tally.countedQueryCount += request.queries.count
                }
                try check(frame, of: connection.request, &tally)
                if time < end {
                    try send(&next, on: connection)
                } else {
                    polls[index].fd = -1
                    open -= 1
                }
            }
        }
        return report(&tally, seconds: now() - firstCounted)
    }

    private func send(_ next: inout Int, on connection: LoadConnection) throws {
        try connection.send(requests[next].frame, request: next)
        next = (next + 1) % requests.count
    }

    /// Counts the true neighbours of an answer the first time; later answers only must be some.
    private func check(_ frame: [UInt8], of index: Int, _ tally: inout Tally) throws {
        var answer: Message?
        var isHits = false
        var decoder = FrameDecoder(.fromCoordinator())
        try frame.withUnsafeBytes { bytes in
            try decoder.take(bytes) { message throws(OmenError) in
                isHits = message.kind == .hits
                if isHits, !tally.isKnown[index] { answer = try message.decoded().message }
            }
        }
        guard isHits else {
            tally.failureCount += 1
            return
        }
        guard !tally.isKnown[index] else { return }
        tally.isKnown[index] = true
        guard case .hits(let reply) = answer,
            reply.hitCounts.count == requests[index].queries.count
        else { throw Failure("an answer that does not fit its request") }
        var start = 0
        for (query, count) in zip(requests[index].queries, reply.hitCounts) {
            let first = query * neighborsPerQuery
            let truth = Set(neighbors[first..<first + k].map { RecordID.number(UInt64($0)) })
            tally.hitCount += reply.hits[start..<start + Int(count)].count { truth.contains($0.id) }
            tally.judgedCount += k
            start += Int(count)
        }
    }

    private func report(_ tally: inout Tally, seconds: Double) -> String {
        tally.latencies.sort()
        let recall = Double(tally.hitCount) / Double(max(tally.judgedCount, 1))
        let rate = Double(tally.countedQueryCount) / seconds
        // Whole microseconds.
        let all = printsAll ? tally.latencies.map { Int(($0 * 1e6).rounded()) } : []
        let list = printsAll ? ", \"latencies_us\": \(all)" : ""
        return """
            {"clients": \(clientCount), "batch": \(batch), "k": \(k), "ef": \(ef), \
            "queries": \(tally.queryCount), "judged": \(tally.judgedCount / k), \
            "errors": \(tally.failureCount), "seconds": \(seconds), "qps": \(rate), \
            "recall": \(recall), "p50_ms": \(tally.percentile(0.5) * 1000), \
            "p90_ms": \(tally.percentile(0.9) * 1000), \
            "p99_ms": \(tally.percentile(0.99) * 1000), \
            "worst_ms": \(tally.percentile(1) * 1000)\(list)}
            """
    }

    private struct Tally {
        var queryCount = 0
        /// Queries of requests that were sent after the warm-up.
        var countedQueryCount = 0
        var failureCount = 0
        var hitCount = 0
        var judgedCount = 0
        /// Seconds from sending a request to its whole answer.
        var latencies: [Double] = []
        var isKnown: [Bool]

        init(requestCount: Int) {
            isKnown = Array(repeating: false, count: requestCount)
            latencies.reserveCapacity(1 << 20)
        }

        /// The smallest of the sorted latencies that `share` of them do not exceed.
        func percentile(_ share: Double) -> Double {
            guard let last = latencies.last else { return 0 }
            let index = Int((Double(latencies.count) * share).rounded(.up)) - 1
            return latencies.indices.contains(index) ? latencies[index] : last
        }
    }
}

/// A blocking connection with at most one request in flight.
private final class LoadConnection {
    let descriptor: Int32
    /// Which request is in flight, and since when.
    private(set) var request = 0
    private(set) var sentAt = 0.0
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)
    private var filled = 0

    init(to endpoint: Endpoint) throws {
        try endpoint.validate()
        descriptor = try endpoint.makeSocket()
        guard endpoint.connect(descriptor) == 0 else {
            throw Failure("no cluster at \(endpoint): \(systemErrorText(errno))")
        }
        // One request is in flight, and an answer is read once poll(2) says that it comes.
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0 else {
            throw Failure("cannot make a socket block: \(systemErrorText(errno))")
        }
    }

    deinit { close(descriptor) }

    func send(_ frame: [UInt8], request: Int) throws {
        self.request = request
        sentAt = now()
        var sent = 0
        while sent < frame.count {
            let count = frame.withUnsafeBytes {
                let rest = UnsafeRawBufferPointer(rebasing: $0[sent...])
                return Glibc.send(descriptor, rest.baseAddress, rest.count, 0)
            }
            guard count > 0 else { throw Failure("the coordinator is gone") }
            sent += count
        }
    }

    /// The whole answer with its frame header; nil while some of it is missing.
    func receive() throws -> [UInt8]? {
        let count = buffer.withUnsafeMutableBytes {
            let rest = UnsafeMutableRawBufferPointer(rebasing: $0[filled...])
            return recv(descriptor, rest.baseAddress, rest.count, 0)
        }
        guard count > 0 else { throw Failure("the coordinator closed the connection") }
        filled += count
        guard filled >= FrameHeader.byteCount else { return nil }
        let header = try buffer.withUnsafeBytes { try FrameHeader(parsing: $0) }
        let byteCount = FrameHeader.byteCount + Int(header.bodyByteCount)
        if byteCount > buffer.count {
            buffer.append(contentsOf: repeatElement(0, count: byteCount - buffer.count))
        }
        guard filled >= byteCount else { return nil }
        filled = 0
        return Array(buffer[..<byteCount])
    }
}
