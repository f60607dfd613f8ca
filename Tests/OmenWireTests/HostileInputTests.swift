import OmenCore
import Testing

@testable import OmenWire

@Suite struct HostileInputTests {
    private func expectFailure(
        _ bytes: [UInt8],
        _ code: OmenError.Code = .protocolViolation,
        _ rules: FrameRules = .fromClient(of: testScope.cluster),
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var decoder = FrameDecoder(rules)
        bytes.withUnsafeBytes { decoder.append($0) }
        let error = #expect(throws: OmenError.self, sourceLocation: sourceLocation) {
            while try decoder.next() != nil {}
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
        // Out of step for good, and nothing is hoarded.
        bytes.withUnsafeBytes { decoder.append($0) }
        #expect(decoder.bufferedByteCount == 0, sourceLocation: sourceLocation)
        let again = #expect(throws: OmenError.self, sourceLocation: sourceLocation) {
            _ = try decoder.next()
        }
        #expect(again == error, sourceLocation: sourceLocation)
    }

    @Test func uncheckedFramesAreTakenOnlyWhereAllowed() throws {
        let body = message(8) { _ in }
        let unchecked = frame(body, checksum: false)
        #expect(try decode(unchecked) == [Envelope(requestID: 5, message: .ping)])
        expectFailure(unchecked, .protocolViolation, .between(.clients()))
        #expect(try decode(frame(body), .between(.clients())).count == 1)
    }

    @Test func messageHeadsAreChecked() {
        var wrong = message(8) { _ in }
        for flags: UInt8 in [1, 2, 3, 4, 255] {
            wrong[6] = flags
            expectFailure(frame(wrong))
        }
        expectFailure(frame(message(99) { _ in }))
        expectFailure(frame(message(0) { _ in }))
        for size: UInt8 in [0, 8, 15, 17, 24, 255] {
            var wrong = message(8) { _ in }
            wrong[0] = size
            expectFailure(frame(wrong))
        }
        // More bytes than messages.
        expectFailure(frame(message(8) { _ in } + message(8) { _ in }, messageCount: 1))
        // Padding that is not zero, and a whole word of it.
        expectFailure(
            frame(
                message(3) {
                    $0.write("a"); $0.write(UInt8(1))
                }
            )
        )
        expectFailure(frame(message(8) { $0.write(UInt64(0)) }))
        // A reply that ends too early.
        expectFailure(frame(message(104) { $0.write(UInt32(1)) }))
    }

    @Test func lyingCountsFailBeforeMemoryIsTaken() {
        let big = UInt32.max
        expectFailure(frame(message(105) { $0.write(UInt32(256)) }))
        expectFailure(
            frame(
                message(101) { writer in
                    for _ in 0..<3 { writer.write(UInt64(0)) }
                    writer.write(UInt32(64))
                    writer.write(UInt32(64))
                }
            )
        )
        for (queries, hits) in [(big, 0), (10_000, 0), (1, big), (1, 10_000)] as [(UInt32, UInt32)]
        {
            expectFailure(
                frame(
                    message(104) { writer in
                        Samples.whole.encode(into: &writer)
                        writer.write(UInt16(0))
                        writer.write(queries)
                        writer.write(hits)
                        writer.write(hits)
                    }
                )
            )
        }
    }

    @Test func forbiddenValuesCostOnlyTheirRequest() throws {
        var empty = Samples.query
        empty.limit = -1
        var wide = Samples.query
        wide.effort = .ef(Int(Int32.max))
        var unordered = Samples.query
        unordered.maxDistance = .nan
        let long = String(repeating: "n", count: 65)
        let messages: [Message] = [
            .search(empty), .search(wide), .search(unordered), .count(collection: long),
        ]
        var encoder = FrameEncoder(.clients())
        for (index, message) in messages.enumerated() {
            encoder.append(Envelope(requestID: UInt64(index), message: message))
        }
        encoder.append(Envelope(requestID: 99, message: .ping))
        let envelopes = try decode(encoder.finish())
        #expect(envelopes.map(\.requestID) == [0, 1, 2, 3, 99])
        for envelope in envelopes.dropLast() {
            guard case .failure(let error) = envelope.message else {
                Issue.record("\(envelope) should be refused")
                continue
            }
            #expect(error.code == .badRequest)
        }
        #expect(envelopes.last?.message == .ping)
    }

    /// Bodies of requests that do not decode, each whole as a message.
    private static let senselessRequests: [(kind: UInt16, contains: String, body: [UInt8])] = {
        func body(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
            var writer = ByteWriter()
            write(&writer)
            writer.pad(to: 8)
            return writer.bytes
        }
        func write(_ operation: UInt8, _ rest: (inout ByteWriter) -> Void) -> [UInt8] {
            body { writer in
                writer.write(UInt64(1))
                writer.write(UInt64(1))
                writer.write(operation)
                rest(&writer)
            }
        }
        let long = String(repeating: "n", count: 65)
        return [
            (1, "expected", []),
            (1, "write operation 9", write(9) { $0.write("a") }),
            (1, "write operation 0", write(0) { _ in }),
            (1, "65 bytes", write(1) { $0.write(long) }),
            (1, "65 bytes", write(2) { $0.write(long) }),
            (1, "65 bytes", write(5) { $0.write(long) }),
            (1, "not UTF-8", write(3) { $0.write(counted: [0xFF, 0xFE]) }),
            (
                1, "metadata of vector 0 has 65537 bytes",
                write(4) { writer in
                    writer.write("a")
                    writer.write(UInt8(1))
                    writer.write(UInt32(1))
                    RecordID.encode([.number(1)], into: &writer)
                    writer.write(UInt8(7))
                    writer.write(UInt8(1))
                    writer.write(counted: [UInt8](repeating: 32, count: 65_537))
                }
            ),
            (
                1, "hasMetadata is 2",
                write(4) { writer in
                    writer.write("a")
                    writer.write(UInt8(1))
                    writer.write(UInt32(1))
                    RecordID.encode([.number(1)], into: &writer)
                    writer.write(UInt8(7))
                    writer.write(UInt8(2))
                }
            ),
            // Nine thousand ids, and 10,000 queries of 8,192 dimensions, in no bytes at all.
            (
                2, "9000 ids",
                body {
                    $0.write("a"); $0.write(UInt8(0)); $0.write(UInt32(9000))
                }
            ),
            (
                2, "truth value",
                body {
                    $0.write("a"); $0.write(UInt8(2)); $0.write(UInt32(0))
                }
            ),
            (3, "65 bytes", body { $0.write(long) }),
            (
                4, "expected",
                body { writer in
                    writer.write("a")
                    writer.write(UInt16(0))
                    for value: UInt32 in [8192, 10_000, 1, 0, 0, 0] { writer.write(value) }
                }
            ),
            (
                4, "element type 9",
                body {
                    $0.write("a"); $0.write(UInt8(9))
                }
            ),
            (10, "expected", body { $0.write("a") }),
        ]
    }()

    @Test func requestsWhoseBodiesMakeNoSenseCostOnlyThemselves() throws {
        var messages: [UInt8] = []
        for (index, request) in Self.senselessRequests.enumerated() {
            var writer = ByteWriter()
            writer.write(UInt32(16 + request.body.count))
            writer.write(request.kind)
            writer.write(UInt16(0))
            writer.write(UInt64(index + 1))
            writer.write(raw: request.body)
            messages += writer.bytes
        }
        let count = Self.senselessRequests.count
        let bytes = frame(messages + message(8) { _ in }, messageCount: UInt16(count + 1))
        let envelopes = try decode(bytes)
        #expect(envelopes.map(\.requestID) == (1...count).map(UInt64.init) + [5])
        for (request, envelope) in zip(Self.senselessRequests, envelopes) {
            guard case .failure(let error) = envelope.message else {
                Issue.record("kind \(request.kind) should be refused: \(request.contains)")
                continue
            }
            #expect(error.code == .badRequest)
            #expect(error.message.contains(request.contains), "\(error.message)")
        }
        #expect(envelopes.last?.message == .ping)
    }

    @Test func hitsOutOfOrderEndTheConnection() {
        let orders: [[Float]] = [[1, 0.5], [.nan], [0, .nan], [.nan, 0]]
        for distances in orders {
            let reply = SearchReply(
                element: .f32,
                hitCounts: [UInt32(distances.count)],
                hits: distances.enumerated().map { Hit(id: .number(UInt64($0)), distance: $1) },
                coverage: Samples.whole
            )
            expectFailure(Message.hits(reply).framed(requestID: 1))
        }
        var reply = Samples.numberHits
        reply.hits.swapAt(0, 1)
        expectFailure(Message.hits(reply).framed(requestID: 1))
    }

    @Test func coverageIsCheckedAgainstItself() {
        let error = OmenError(.unavailable, "x")
        let wrong = [
            Coverage(shardsTotal: 65),
            Coverage(shardsTotal: 2, failures: [ShardFailure(shard: 2, error: error)]),
            Coverage(
                shardsTotal: 4,
                failures: [
                    ShardFailure(shard: 1, error: error), ShardFailure(shard: 1, error: error),
                ]
            ),
        ]
        for coverage in wrong {
            let reply = CountReply(count: 1, coverage: coverage)
            expectFailure(Message.counted(reply).framed(requestID: 1))
        }
    }

    @Test(arguments: [UInt64(20_261_121), 1, 2, 3])
    func randomMutationsNeverTrap(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        var outcomes = (decoded: 0, refused: 0, failed: 0, waiting: 0)
        let bodies = Samples.envelopes.map { envelope -> [UInt8] in
            Array(envelope.message.framed(requestID: envelope.requestID)[FrameHeader.byteCount...])
        }
        for _ in 0..<5000 {
            // The checksum is made right again, so that the mutation reaches the codecs.
            var body = bodies[Int.random(in: 0..<bodies.count, using: &generator)]
            for _ in 0..<Int.random(in: 1...4, using: &generator) { mutate(&body, &generator) }
            body += [UInt8](repeating: 0, count: (8 - body.count % 8) % 8)
            var bytes = frame(body)
            if Int.random(in: 0..<10, using: &generator) == 0 { mutate(&bytes, &generator) }
            do {
                let envelopes = try decode(bytes, step: Int.random(in: 1...200, using: &generator))
                if case .failure? = envelopes.first?.message { outcomes.refused += 1 }
                if envelopes.isEmpty { outcomes.waiting += 1 } else { outcomes.decoded += 1 }
                for envelope in envelopes {
                    // What was decoded can be sent again: a coordinator forwards requests.
                    let again = envelope.message.framed(requestID: envelope.requestID)
                    #expect(try decode(again).count == 1, "seed \(seed)")
                }
            } catch {
                #expect(error is OmenError, "seed \(seed)")
                outcomes.failed += 1
            }
        }
        // Otherwise the mutations would not reach what they are for.
        #expect(outcomes.decoded > 100, "seed \(seed): \(outcomes)")
        #expect(outcomes.failed > 1000, "seed \(seed): \(outcomes)")
        #expect(outcomes.refused > 10, "seed \(seed): \(outcomes)")
    }

    private func mutate(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes[place] = 0xFF
        case 3:
            for index in place..<min(bytes.count, place + 4) { bytes[index] = 0xFF }
        case 4: bytes.removeSubrange(place..<min(bytes.count, place + 8))
        default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 8)], at: place)
        }
    }
}
