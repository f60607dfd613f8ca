import COmenFrame
import OmenCore
import Testing

@testable import OmenWire

@Suite struct FrameHeaderTests {
    /// What comes of a header without any byte of its body.
    private func outcome(
        _ bytes: [UInt8],
        _ rules: FrameRules = .fromClient(of: testScope.cluster)
    ) -> Result<[Envelope], OmenError> {
        Result { () throws(OmenError) in
            var decoder = FrameDecoder(rules)
            bytes.withUnsafeBytes { decoder.append($0) }
            return try decoder.next() ?? []
        }
    }

    private func expectRefusal(
        _ bytes: [UInt8],
        _ text: String,
        _ code: OmenError.Code = .protocolViolation,
        _ rules: FrameRules = .fromClient(of: testScope.cluster),
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        guard case .failure(let error) = outcome(bytes, rules) else {
            Issue.record("nothing was refused", sourceLocation: sourceLocation)
            return
        }
        #expect(error.code == code, sourceLocation: sourceLocation)
        #expect(error.message.contains(text), "\(error)", sourceLocation: sourceLocation)
        // The same through the door that gives messages one by one.
        var decoder = FrameDecoder(rules)
        bytes.withUnsafeBytes { decoder.append($0) }
        let looked = #expect(throws: OmenError.self, sourceLocation: sourceLocation) {
            _ = try decoder.look()
        }
        #expect(looked == error, sourceLocation: sourceLocation)
        let taken = #expect(throws: OmenError.self, sourceLocation: sourceLocation) {
            var decoder = FrameDecoder(rules)
            try bytes.withUnsafeBytes { try decoder.take($0) { _ in } }
        }
        #expect(taken == error, sourceLocation: sourceLocation)
    }

    @Test func fieldsLieWhereTheProtocolSays() {
        let header = FrameHeader(
            messageCount: 0x4142,
            bodyByteCount: 0x0051_5258,
            bodyChecksum: 0x6162_6364,
            scope: testScope
        )
        let covered: [UInt8] =
            [0x4F, 0x4D, 0x4E, 0x31, 6, 0, 0x42, 0x41, 0x58, 0x52, 0x51, 0]
            + [0x64, 0x63, 0x62, 0x61]
            + [8, 7, 6, 5, 4, 3, 2, 1] + [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]
            + [0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31]
            + [UInt8](repeating: 0, count: 16)
            + [0x24, 0x23, 0x22, 0x21]
        var writer = ByteWriter()
        writer.write(raw: covered)
        writer.write(crc32c(covered))
        #expect(header.bytes == writer.bytes)
        #expect(FrameHeader.byteCount == 64)
        #expect(Int(omen_frame_header_byte_count) == FrameHeader.byteCount)
        #expect(writer.bytes.withUnsafeBytes { try? FrameHeader(parsing: $0) } == header)
    }

    @Test func everyWrongFieldIsRefusedBeforeTheBodyIsThere() throws {
        #expect(try outcome(header()).get() == [])
        expectRefusal(header { $0.patch(UInt8(0x4E), at: 0) }, "magic")
        for version: UInt16 in [0, 4, 5, 7, .max] {
            let bytes = header { $0.patch(version, at: Int(omen_frame_version_offset)) }
            let text = "the peer speaks protocol version \(version), this side 6"
            expectRefusal(bytes, text, .unsupportedVersion)
        }
        expectRefusal(header(messageCount: 0), "without messages")
        for count: UInt32 in [0, 8, 17, UInt32(Limits.frameBodyByteCountMax) + 8, .max] {
            expectRefusal(header(bodyByteCount: count), "body of \(count) bytes")
        }
        expectRefusal(header(messageCount: 2, bodyByteCount: 16), "with 2 messages")
        for offset in 40..<56 {
            expectRefusal(header { $0.patch(UInt8(1), at: offset) }, "reserved bytes")
        }
        let longest = header(bodyByteCount: UInt32(Limits.frameBodyByteCountMax))
        #expect(try outcome(longest).get() == [])
    }

    @Test func everyFlippedBitOfAHeaderIsFoundWithoutItsBody() throws {
        let bytes = header(scope: testScope)
        #expect(try outcome(bytes, .between(testScope)).get() == [])
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard case .failure = outcome(flipped, .between(testScope)) else {
                Issue.record("bit \(bit) was not found")
                return
            }
        }
    }

    /// A ping of protocol version 4: 16 bytes of header and 16 of the message, less than a header
    /// of today.
    ///
    /// Its sender waits for an answer, so the refusal must not wait for more bytes.
    @Test func aFrameOfTheVersionBeforeIsRefusedByNameAlthoughItIsShorterThanAHeader() {
        let ping: [UInt8] =
            [0x4F, 0x4D, 0x4E, 0x31, 4, 0, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0]
            + [16, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        #expect(ping.count < FrameHeader.byteCount)
        for count in [6, 7, 16, 32] {
            expectRefusal(
                Array(ping[..<count]),
                "the peer speaks protocol version 4, this side 6",
                .unsupportedVersion
            )
        }
        expectRefusal(Array("GET ".utf8), "magic")
    }

    @Test func aFrameOfAnotherClusterShardOrEpochIsRefusedByName() throws {
        let rules = FrameRules.between(testScope)
        var other = testScope
        other.cluster.low += 1
        expectRefusal(
            header(scope: other),
            "the frame is of cluster 01020304050607081112131415161719, expected 01020304050607081112131415161718",
            .protocolViolation,
            rules
        )
        other.cluster = .unknown
        expectRefusal(header(scope: other), "of cluster 0000", .protocolViolation, rules)
        other = testScope
        other.shard = 3
        let shards = "the frame is of shard 3, expected shard \(testScope.shard)"
        expectRefusal(header(scope: other), shards, .protocolViolation, rules)
        other = testScope
        other.epoch = 9
        let epochs = "the frame is of epoch 9, expected \(testScope.epoch)"
        expectRefusal(header(scope: other), epochs, .protocolViolation, rules)
        let client = FrameScope.clients(of: testScope.cluster)
        expectRefusal(header(scope: client), "of no shard", .protocolViolation, rules)
    }

    @Test func aClientMayLeaveOnlyTheClusterOut() throws {
        #expect(try outcome(header(scope: .clients())).get() == [])
        #expect(try outcome(header(scope: .clients(of: testScope.cluster))).get() == [])
        let stranger = FrameScope.clients(of: ClusterUUID(high: 1, low: 1))
        expectRefusal(header(scope: stranger), "cluster 0000000000000001")
        var scope = FrameScope.clients()
        scope.shard = 0
        expectRefusal(header(scope: scope), "the frame is of shard 0, expected no shard")
        scope = .clients()
        scope.epoch = 1
        expectRefusal(header(scope: scope), "the frame is of epoch 1, expected 0")
    }

    @Test func aClientLearnsTheClusterFromTheFirstFrameAndRefusesAnother() throws {
        var decoder = FrameDecoder(.fromCoordinator())
        #expect(decoder.scope.cluster == .unknown)
        func take(_ cluster: ClusterUUID) throws(OmenError) -> Int {
            let bytes = Message.done.framed(requestID: 1, scope: .clients(of: cluster))
            bytes.withUnsafeBytes { decoder.append($0) }
            return try decoder.next()?.count ?? 0
        }
        #expect(try take(testScope.cluster) == 1)
        #expect(decoder.scope == .clients(of: testScope.cluster))
        #expect(try take(testScope.cluster) == 1)
        let error = #expect(throws: OmenError.self) { try take(ClusterUUID(high: 7, low: 7)) }
        #expect(error?.code == .protocolViolation)
        // A coordinator knows its cluster.
        let silent = header(scope: .clients())
        expectRefusal(
            silent,
            "cluster",
            .protocolViolation,
            .fromCoordinator(of: testScope.cluster)
        )
    }

    @Test(arguments: [UInt64(5), 6, 7])
    func randomHeadersNeverTrap(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var outcomes = (refused: 0, waiting: 0)
        for _ in 0..<5000 {
            // Half of them with the right beginning, and most with a right checksum, so that they
            // reach the later checks.
            let isSealed = Int.random(in: 0..<4, using: &generator) > 0
            var bytes = header(scope: testScope) { writer in
                let begin = Bool.random(using: &generator) ? 6 : 0
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let place = Int.random(in: begin..<60, using: &generator)
                    writer.patch(UInt8.random(in: 0...255, using: &generator), at: place)
                }
            }
            if !isSealed { bytes[Int.random(in: 0..<64, using: &generator)] ^= 1 }
            let count = Int.random(in: 0...64, using: &generator)
            let given = Bool.random(using: &generator) ? bytes : Array(bytes[..<count])
            switch outcome(given, .between(testScope)) {
            case .success(let envelopes):
                #expect(envelopes == [])
                outcomes.waiting += 1
            case .failure: outcomes.refused += 1
            }
        }
        // Otherwise the changes would not reach what they are for.
        #expect(outcomes.refused > 1000 && outcomes.waiting > 100, "seed \(seed): \(outcomes)")
    }
}
