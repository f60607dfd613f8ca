import Glibc
import OmenCore
import OmenWire
import Synchronization
import Testing

@testable import OmenClient

@Suite struct ClusterClientTests {
    @Test func aMissingClusterIsNamed() throws {
        try withSocketPath { path in
            let absent = #expect(throws: OmenError.self) {
                try ClusterClient.connect(to: .unix(path: path))
            }
            #expect(absent?.code == .unavailable)
            #expect(absent?.message == "no cluster is running at \(path)")
            // A socket left behind by a dead one.
            let server = try TestServer(path: path) { _ in .silence }
            let other = path + "2"
            #expect(rename(path, other) == 0)
            server.stop()
            #expect(rename(other, path) == 0)
            let dead = #expect(throws: OmenError.self) {
                try ClusterClient.connect(to: .unix(path: path))
            }
            #expect(dead?.code == .unavailable)
        }
        let long = #expect(throws: OmenError.self) {
            try ClusterClient.connect(to: .unix(path: "/" + String(repeating: "x", count: 107)))
        }
        #expect(long?.code == .badRequest)
    }

    @Test func typedCallsSendTheirRequestAndReturnTheReply() throws {
        let seen = Mutex<[Message]>([])
        let info = CollectionInfo(name: "a", schema: CollectionSchema(dim: 4))
        let records = RecordsReply(element: .u8, records: [], coverage: whole)
        let status = ClusterStatus(pid: 1, uptimeMilliseconds: 2, socket: "s", workers: [])
        var query = SearchRequest(
            collection: "a",
            element: .u8,
            dim: 4,
            vectors: [1, 2, 3, 4],
            count: 1,
            limit: 5
        )
        query.withVector = true
        let hits = SearchReply(
            element: .u8,
            hitCounts: [1],
            hits: [Hit(id: .number(1), distance: 0, vector: [1, 2, 3, 4])],
            coverage: whole
        )
        try withServer { envelope in
            seen.withLock { $0.append(envelope.message) }
            switch envelope.message {
            case .write: return written(WriteCounts(upserted: 3))
            case .get: return .reply(.records(records))
            case .count: return .reply(.counted(CountReply(count: 7, coverage: whole)))
            case .search: return .reply(.hits(hits))
            case .listCollections: return .reply(.collections([info]))
            case .status: return .reply(.clusterStatus(status))
            default: return .reply(.done)
            }
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            try client.createCollection("a", schema: info.schema)
            #expect(try client.upsert(batch(1)).counts.upserted == 3)
            try client.delete(collection: "a", ids: [.text("x")])
            try client.clearCollection("a")
            try client.dropCollection("a")
            #expect(try client.get(collection: "a", ids: [.number(1)]) == records)
            #expect(try client.count(collection: "a").count == 7)
            #expect(try client.search(query) == hits)
            #expect(try client.listCollections() == [info])
            #expect(try client.status() == status)
            try client.ping()
            try client.checkpoint()
            try client.stop()
            #expect(server.acceptedCount == 1)
        }
        let messages = seen.withLock { $0 }
        var keys: [RequestKey] = []
        var operations: [WriteOperation] = []
        for case .write(let request) in messages {
            keys.append(request.key)
            operations.append(request.operation)
        }
        #expect(operations.count == 5)
        #expect(operations[1] == .upsert(batch(1)))
        #expect(keys.map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(Set(keys.map(\.client)).count == 1)
        #expect(keys[0].client != 0)
        #expect(
            messages[5] == .get(GetRequest(collection: "a", ids: [.number(1)], withVector: false))
        )
        #expect(messages[7] == .search(query))
        #expect(messages.suffix(3) == [.ping, .checkpoint, .stop])
    }

    @Test func whatCannotBeSentIsRefusedBeforeItIs() throws {
        try withServer { _ in
            .reply(.done)
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            var short = batch(1)
            short.vectors.removeLast()
            var nameless = batch(1)
            nameless.ids[0] = .text("")
            var misaligned = batch(1)
            misaligned.metadata = [[]]
            var empty = batch(1)
            empty.ids = []
            empty.vectors = []
            var huge = batch(1)
            huge.ids = (0..<10_000).map { .number($0) }
            huge.dim = 8192
            huge.vectors = Array(repeating: 0, count: 10_000 * 8192)
            for wrong in [short, nameless, misaligned, empty, huge] {
                let error = #expect(throws: OmenError.self) { try client.upsert(wrong) }
                #expect(error?.code == .badRequest)
            }
            let schema = CollectionSchema(dim: 4, m: 300)
            #expect(throws: OmenError.self) { try client.createCollection("a", schema: schema) }
            #expect(throws: OmenError.self) { try client.count(collection: "../a") }
            try client.ping()
        }
    }

    @Test func theClustersErrorsAreThrown() throws {
        let error = OmenError(.notFound, "collection a does not exist")
        try withServer { _ in
            .reply(.failure(error))
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            #expect(throws: error) { try client.count(collection: "a") }
            #expect(throws: error) { try client.dropCollection("a") }
        }
        try withServer { _ in
            .reply(.done)
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            let wrong = #expect(throws: OmenError.self) { try client.status() }
            #expect(wrong?.code == .protocolViolation)
        }
        try withServer { _ in
            .bytes(Array(repeating: 7, count: 100))
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            let wrong = #expect(throws: OmenError.self) { try client.ping() }
            #expect(wrong?.code == .protocolViolation)
        }
    }

    /// A write that is repeated after the connection broke must not take effect in two clusters.
    @Test func aClientThatConnectsAgainTakesNoOtherCluster() throws {
        try withSocketPath { path in
            let first = try TestServer(path: path) { _ in .reply(.done) }
            let client = try ClusterClient.connect(to: first.endpoint)
            try client.ping()
            first.stop()
            let other = ClusterUUID(high: 3, low: 4)
            let second = try TestServer(path: path, cluster: other) { _ in .reply(.done) }
            defer { second.stop() }
            for _ in 0..<2 {
                let error = #expect(throws: OmenError.self) { try client.ping() }
                guard error?.code != .unavailable else { continue }
                #expect(error?.code == .protocolViolation)
                #expect(error?.message.contains("the frame is of cluster \(other)") == true)
            }
            // Who asks for the first time takes whom he finds.
            try ClusterClient.connect(to: second.endpoint).ping()
        }
    }

    private static func chunk(
        _ number: UInt64,
        of requestID: UInt64,
        isLast: Bool = false
    ) -> Envelope {
        let record = Record(id: .number(number), metadata: nil, vector: nil)
        return Envelope(
            requestID: requestID,
            message: .records(RecordsReply(element: .u8, records: [record], coverage: whole)),
            chunk: ReplyChunk(number: number, isLast: isLast)
        )
    }

    @Test func repliesInChunksAreJoined() throws {
        try withServer { envelope in
            .replies((0..<3).map { Self.chunk($0, of: envelope.requestID, isLast: $0 == 2) })
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            for _ in 0..<2 {
                let reply = try client.get(
                    collection: "a",
                    ids: [.number(0), .number(1), .number(2)]
                )
                #expect(reply.records.map(\.id) == [.number(0), .number(1), .number(2)])
            }
        }
    }

    @Test func chunksOutOfOrderAndRepliesWithoutTheirEndAreNoReplies() throws {
        try withServer { envelope in
            .replies([
                Self.chunk(0, of: envelope.requestID), Self.chunk(2, of: envelope.requestID),
            ])
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            let error = #expect(throws: OmenError.self) {
                try client.get(collection: "a", ids: [.number(0)])
            }
            #expect(error?.code == .protocolViolation)
            #expect(error?.message == "chunk 2 of a reply came, expected 1")
        }
        let calls = Mutex(0)
        try withServer { envelope in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            guard call == 1 else { return .reply(.done) }
            return .replies([Self.chunk(0, of: envelope.requestID)])
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.answerTimeout = .milliseconds(50)
            let error = #expect(throws: OmenError.self) {
                try client.get(collection: "a", ids: [.number(0)])
            }
            #expect(error?.code == .unavailable)
            try client.ping()
        }
    }

    @Test func lateAnswersAreNotTakenForOthers() throws {
        let calls = Mutex(0)
        try withServer { envelope in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            if call == 1 { return .silence }
            return .replies([
                Envelope(
                    requestID: envelope.requestID - 1,
                    message: .counted(CountReply(count: 1, coverage: whole))
                ),
                Envelope(
                    requestID: envelope.requestID,
                    message: .counted(CountReply(count: 2, coverage: whole))
                ),
            ])
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.answerTimeout = .milliseconds(50)
            let error = #expect(throws: OmenError.self) { try client.count(collection: "a") }
            #expect(error?.code == .unavailable)
            client.answerTimeout = .seconds(600)
            #expect(try client.count(collection: "a").count == 2)
            #expect(server.acceptedCount == 1)
        }
    }

    @Test func readsSurviveARestartOfTheCoordinator() throws {
        try withSocketPath { path in
            let first = try TestServer(path: path) { _ in .reply(.done) }
            let client = try ClusterClient.connect(to: .unix(path: path))
            try client.ping()
            first.stop()
            let error = #expect(throws: OmenError.self) { try client.ping() }
            #expect(error?.code == .unavailable)
            let second = try TestServer(path: path) { _ in .reply(.done) }
            try client.ping()
            second.stop()
        }
    }

    @Test func bigRequestsAndBigAnswersDoNotWaitForEachOther() throws {
        let hit = Hit(id: .number(1), distance: 0, vector: Array(repeating: 1, count: 8192))
        let reply = SearchReply(
            element: .u8,
            hitCounts: [100],
            hits: Array(repeating: hit, count: 100),
            coverage: whole
        )
        let query = SearchRequest(
            collection: "a",
            element: .u8,
            dim: 8192,
            vectors: Array(repeating: 1, count: 8192 * 100),
            count: 100,
            limit: 1
        )
        // The server reads nothing while it sends, so both directions fill up.
        try withServer { _ in
            .reply(.hits(reply))
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            let results = try client.search(Array(repeating: query, count: 50), window: 50)
            #expect(results.count == 50)
            for result in results { #expect(try result.get() == reply) }
        }
    }

    @Test func searchesInFlightThatAreRefusedComeAgainOneByOne() throws {
        let reply = SearchReply(element: .f32, hitCounts: [0], hits: [], coverage: whole)
        let query = SearchRequest(
            collection: "a",
            element: .f32,
            dim: 1,
            vectors: [0, 0, 0, 0],
            count: 1,
            limit: 1
        )
        let full = OmenError(.resourceExhausted, "full", retryAfterMilliseconds: 10)
        let broken = OmenError(.notFound, "no such thing")
        let tries = Mutex(0)
        try withServer { _ in
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            switch number {
            // The second of four, and once more when it comes again.
            case 2, 5: return .reply(.failure(full))
            case 3: return .reply(.failure(broken))
            default: return .reply(.hits(reply))
            }
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            let results = try client.search(Array(repeating: query, count: 4), window: 4)
            #expect(
                results == [.success(reply), .success(reply), .failure(broken), .success(reply)]
            )
        }
        #expect(tries.withLock { $0 } == 6)
    }
}
