import OmenCore
import Testing

@testable import OmenWire

@Suite struct FrameTests {
    @Test func everyMessageSurvivesTheTrip() throws {
        for envelope in Samples.envelopes {
            let bytes = envelope.message.framed(requestID: envelope.requestID)
            #expect(try decode(bytes, .between(.clients())) == [envelope])
            #expect(envelope.message.fitsFrame)
        }
        let kinds = Set(Samples.all.map(\.kind))
        #expect(kinds == Set(MessageKind.allCases), "every kind has a sample")
    }

    @Test func allMessagesShareOneFrameHoweverItIsSplit() throws {
        var encoder = FrameEncoder(.clients())
        #expect(encoder.isEmpty)
        for envelope in Samples.envelopes {
            let isAdded = encoder.append(envelope)
            #expect(isAdded)
        }
        #expect(!encoder.isEmpty)
        let announced = encoder.byteCount
        let bytes = encoder.finish()
        #expect(bytes.count == announced)
        #expect(encoder.isEmpty)
        let nothing = encoder.finish()
        #expect(nothing == [])
        for split in 0...bytes.count {
            var decoder = FrameDecoder(.fromCoordinator())
            bytes[..<split].withUnsafeBytes { decoder.append($0) }
            var envelopes: [Envelope] = []
            if let early = try decoder.next() { envelopes += early }
            #expect(envelopes.isEmpty || split == bytes.count)
            bytes[split...].withUnsafeBytes { decoder.append($0) }
            while let next = try decoder.next() { envelopes += next }
            #expect(envelopes == Samples.envelopes)
            #expect(decoder.bufferedByteCount == 0)
        }
        for step in 1...17 { #expect(try decode(bytes, step: step) == Samples.envelopes) }
    }

    @Test func takingInPlaceGivesTheSameMessagesHoweverTheyAreSplit() throws {
        let encoder = Samples.envelopes.reduce(into: FrameEncoder(.clients())) { $0.append($1) }
        var sealed = encoder
        let bytes = sealed.finish() + Message.ping.framed(requestID: 77)
        let expected = Samples.envelopes + [Envelope(requestID: 77, message: .ping)]
        for step in [1, 7, 16, 63, 64, 65, 1000, bytes.count] {
            var decoder = FrameDecoder(.between(.clients()))
            var envelopes: [Envelope] = []
            for start in stride(from: 0, to: bytes.count, by: step) {
                try bytes[start..<min(start + step, bytes.count)].withUnsafeBytes { piece in
                    try decoder.take(piece) { message throws(OmenError) in
                        envelopes.append(try message.decoded())
                    }
                }
            }
            #expect(envelopes == expected)
            #expect(decoder.bufferedByteCount == 0)
        }
    }

    @Test func hitsInTheirFrameAreThoseThatDecodingGives() throws {
        let replies: [(SearchReply, isPlain: Bool)] = [
            (Samples.numberHits, true), (Samples.fullHits, false),
            (SearchReply(element: .u8, hitCounts: [0], hits: [], coverage: Samples.whole), true),
            (
                SearchReply(element: .u8, hitCounts: [0], hits: [], coverage: Samples.partial),
                false
            ),
        ]
        for (reply, isPlain) in replies {
            var decoder = FrameDecoder(.fromCoordinator())
            try Message.hits(reply).framed(requestID: 5).withUnsafeBytes { bytes in
                try decoder.take(bytes) { message throws(OmenError) in
                    let hits = try NumberedHits(message)
                    #expect((hits != nil) == isPlain)
                    guard let hits else { return }
                    let counts = (0..<hits.queryCount).map {
                        hits.counts.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)
                    }
                    let found = (0..<hits.hitCount).map { index in
                        Hit(
                            id: .number(
                                hits.ids.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                            ),
                            distance: hits.distances.loadUnaligned(
                                fromByteOffset: index * 4,
                                as: Float.self
                            )
                        )
                    }
                    #expect(counts == reply.hitCounts)
                    #expect(found == reply.hits)
                    #expect(hits.element == reply.element)
                }
            }
        }
    }

    /// Frames, queues and limits go by these counts.
    @Test func whatIsCountedIsWhatIsWritten() {
        for message in Samples.requests + Samples.replies {
            var writer = ByteWriter()
            message.encodeBody(into: &writer)
            #expect(message.bodyByteCount == writer.bytes.count, "\(message.kind)")
        }
        for operation in Samples.writes {
            var writer = ByteWriter()
            operation.encode(into: &writer)
            #expect(operation.encodedByteCount == writer.bytes.count)
        }
    }

    /// A worker knows the size from the bytes it read, a coordinator from what it wrote.
    @Test func anOrderKeepsItsSizeOnTheWay() throws {
        for operation in Samples.orders {
            let key = RequestKey(client: 1, sequence: 2)
            let write = ShardWrite(key: key, operation: operation)
            var writer = ByteWriter()
            write.encode(into: &writer)
            let read = try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try ShardWrite(from: &reader)
            }
            #expect(read.operationByteCount == operation.operation.encodedByteCount)
            #expect(read.operationByteCount == write.operationByteCount)
            #expect(read.operation.schema == operation.schema)
        }
    }

    @Test func aSearchEncodedOnceIsWhatEncodingItForEachShardGives() throws {
        let order = Samples.order
        var encoder = FrameEncoder(.clients())
        encoder.append(EncodedSearch(order, requestID: 6))
        let framed = Message.shardSearch(order).framed(requestID: 6)
        #expect(encoder.finish() == framed)
        // As a frame of its own it has one body, and on each connection another header.
        let sealed = EncodedSearch(order, requestID: 6).sealed()
        #expect(sealed.header(.clients()) + sealed.body == framed)
        let bytes = sealed.header(testScope) + sealed.body
        #expect(
            try decode(bytes, .between(testScope)) == [
                Envelope(requestID: 6, message: .shardSearch(order))
            ]
        )
    }

    @Test func anOrderIsLongerThanTheRequestThatJustFits() throws {
        // One letter, 1,742 numbers of 4 bytes, 9,631 times: 9 bytes less than a frame holds.
        let request = SearchRequest(
            collection: "c",
            element: .f32,
            dim: 1742,
            vectors: [UInt8](repeating: 0, count: 1742 * 4 * 9631),
            count: 9631,
            limit: 10
        )
        #expect(Message.search(request).fitsFrame)
        #expect(!Message.shardSearch(Samples.order(request)).fitsFrame)
        var fewer = request
        fewer.count -= 1
        fewer.vectors.removeLast(1742 * 4)
        #expect(Message.shardSearch(Samples.order(fewer)).fitsFrame)
    }

    @Test func manyFramesInOneReadComeOneByOne() throws {
        var stream: [UInt8] = []
        for envelope in Samples.envelopes {
            stream += envelope.message.framed(requestID: envelope.requestID)
        }
        #expect(try decode(stream) == Samples.envelopes)
        // Pieces that end in the middle of headers and bodies, over many compactions.
        for step in [1, 15, 16, 17, 63, 64, 65, 1000] {
            #expect(
                try decode(stream + stream, step: step) == Samples.envelopes + Samples.envelopes
            )
        }
    }

    @Test func fullFramesAreSealedAndTheNextOneBegins() throws {
        var encoder = FrameEncoder(.clients())
        var sent: [Envelope] = []
        let message = Message.failure(
            OmenError(.unknownOutcome, String(repeating: "x", count: 4096))
        )
        for index in 0..<600 {
            sent.append(Envelope(requestID: UInt64(index), message: message))
            encoder.append(sent[index])
        }
        let bytes = encoder.finish()
        let first = try bytes.withUnsafeBytes { try FrameHeader(parsing: $0) }
        #expect(Int(first.bodyByteCount) >= Limits.frameBodyByteCountTarget)
        #expect(Int(first.bodyByteCount) < Limits.frameBodyByteCountTarget + 5000)
        #expect(try decode(bytes, step: 60_000) == sent)
    }

    @Test func framesTakeNoMoreMessagesThanTheirCountCanSay() throws {
        var encoder = FrameEncoder(.clients())
        for index in 0..<UInt64(Limits.frameMessageCountMax + 10) {
            encoder.append(Envelope(requestID: index, message: .ping))
        }
        let envelopes = try decode(encoder.finish())
        #expect(envelopes.count == Limits.frameMessageCountMax + 10)
        #expect(envelopes.last?.requestID == UInt64(Limits.frameMessageCountMax + 9))
    }

    @Test func answersThatFitNoFrameBecomeErrors() throws {
        let vector = [UInt8](repeating: 1, count: Limits.vectorByteCountMax)
        let hit = Hit(id: .number(1), distance: 0, vector: vector)
        let reply = SearchReply(
            element: .f32,
            hitCounts: [2100],
            hits: Array(repeating: hit, count: 2100),
            coverage: Samples.whole
        )
        #expect(!Message.hits(reply).fitsFrame)
        var encoder = FrameEncoder(.clients())
        let isAdded = encoder.append(Envelope(requestID: 3, message: .hits(reply)))
        #expect(!isAdded)
        encoder.append(Envelope(requestID: 4, message: .done))
        let envelopes = try decode(encoder.finish())
        #expect(envelopes.map(\.requestID) == [3, 4])
        guard case .failure(let error) = envelopes[0].message else {
            Issue.record("expected a failure, got \(envelopes[0].message.kind)")
            return
        }
        #expect(error.code == .resourceExhausted)
    }

    @Test func longErrorTextsAreCutAtACharacter() throws {
        // "ü" takes two bytes, so the limit falls into the middle of one.
        let text = "x" + String(repeating: "ü", count: 4000)
        let bytes = Message.failure(OmenError(.ioFailure, text)).framed(requestID: 1)
        guard case .failure(let error) = try decode(bytes).first?.message else {
            Issue.record("expected a failure")
            return
        }
        #expect(error.message.utf8.count == 4095)
        #expect(text.hasPrefix(error.message))
    }

    @Test func kindsKeepTheirNumbers() {
        // Peers of other builds know these numbers.
        let numbers = MessageKind.allCases.map(\.rawValue)
        #expect(numbers == (Array(1...13) + Array(101...110) + [201]))
        let bytes = Message.ping.framed(requestID: 0x0102)
        #expect(bytes[64...] == [16, 0, 0, 0, 8, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0])
    }
}
