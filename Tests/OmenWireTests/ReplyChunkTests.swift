import OmenCore
import Testing

@testable import OmenWire

@Suite struct ReplyChunkTests {
    private func reply(_ numbers: Range<UInt64>, byteCount: Int = 10) -> RecordsReply {
        RecordsReply(
            element: .u8,
            records: numbers.map {
                Record(
                    id: .number($0),
                    metadata: [UInt8](repeating: 7, count: byteCount),
                    vector: [1]
                )
            },
            coverage: Samples.partial
        )
    }

    private func chunk(
        _ number: UInt64,
        _ records: RecordsReply,
        isLast: Bool = false,
        requestID: UInt64 = 5
    ) -> Envelope {
        Envelope(
            requestID: requestID,
            message: .records(records),
            chunk: ReplyChunk(number: number, isLast: isLast)
        )
    }

    private func expectViolation(
        _ text: String,
        byteCountMax: Int = Limits.replyByteCountMax,
        _ envelopes: Envelope...
    ) {
        var assembler = ReplyAssembler(byteCountMax: byteCountMax)
        let error = #expect(throws: OmenError.self) {
            for envelope in envelopes { _ = try assembler.take(envelope) }
        }
        #expect(error?.code == .protocolViolation)
        #expect(error?.message.contains(text) == true, "\(error.map { "\($0)" } ?? "no error")")
    }

    @Test func aReplyLargerThanAFrameComesInChunksAndIsTheSameWhole() throws {
        let metadata = [UInt8](repeating: 32, count: Limits.metadataByteCountMax)
        let large = RecordsReply(
            element: .u8,
            records: (0..<1100).map {
                Record(id: .number($0), metadata: metadata, vector: [UInt8($0 % 251)])
            },
            coverage: Samples.partial
        )
        #expect(!Message.records(large).fitsFrame)
        var encoder = FrameEncoder(testScope)
        let isAdded = encoder.append(Envelope(requestID: 3, message: .records(large)))
        #expect(isAdded)
        encoder.append(Envelope(requestID: 4, message: .done))
        var assembler = ReplyAssembler()
        let envelopes = try decode(encoder.finish(), step: 1_000_000, .between(testScope))
        #expect(envelopes.count > 60)
        let chunks = envelopes.dropLast().compactMap(\.chunk)
        #expect(chunks.map(\.number) == (0..<UInt64(chunks.count)).map { $0 })
        #expect(chunks.map(\.isLast) == chunks.indices.map { $0 == chunks.count - 1 })
        let whole = try envelopes.compactMap { try assembler.take($0) }
        #expect(whole.map(\.requestID) == [3, 4])
        #expect(whole.first?.message == .records(large))
        #expect(whole.allSatisfy { $0.chunk == nil })
    }

    @Test func aReplyLargerThanTheLimitBecomesAnError() throws {
        let vector = [UInt8](repeating: 1, count: Limits.vectorByteCountMax)
        let count = Limits.replyByteCountMax / Limits.vectorByteCountMax
        let record = Record(id: .number(1), metadata: nil, vector: vector)
        let large = RecordsReply(
            element: .f32,
            records: Array(repeating: record, count: count),
            coverage: Samples.whole
        )
        var encoder = FrameEncoder(.clients())
        let isAdded = encoder.append(Envelope(requestID: 3, message: .records(large)))
        #expect(!isAdded)
        guard case .failure(let error)? = try decode(encoder.finish()).first?.message else {
            Issue.record("expected a failure")
            return
        }
        #expect(error.code == .resourceExhausted)
        #expect(error.message.contains("at most \(Limits.replyByteCountMax)"))
    }

    @Test func chunksTakeAsManyRecordsAsFitAndOneAtLeast() {
        let all = reply(0..<10, byteCount: 100)
        let frame = RecordsReply(records: [], like: all).encodedByteCount
        let record = all.records[0].encodedByteCount
        for (limit, counts) in [
            (1, Array(repeating: 1, count: 10)), (frame + 3 * record, [3, 3, 3, 1]),
            (frame + 4 * record - 1, [3, 3, 3, 1]), (.max, [10]),
        ] {
            var joined = RecordsReply(records: [], like: all)
            var seen: [Int] = []
            all.forEachChunk(ofAtMost: limit) { chunk, place in
                #expect(place.number == UInt64(seen.count))
                seen.append(chunk.records.count)
                #expect(place.isLast == (seen.reduce(0, +) == 10))
                joined.records += chunk.records
                #expect(chunk.coverage == all.coverage)
            }
            #expect(seen == counts)
            #expect(joined == all)
        }
    }

    @Test func chunksOfSeveralRepliesMayAlternate() throws {
        var assembler = ReplyAssembler()
        #expect(try assembler.take(chunk(0, reply(0..<2), requestID: 1)) == nil)
        #expect(try assembler.take(chunk(0, reply(10..<12), requestID: 2)) == nil)
        let ping = Envelope(requestID: 9, message: .done)
        #expect(try assembler.take(ping) == ping)
        let second = try assembler.take(chunk(1, reply(12..<13), isLast: true, requestID: 2))
        #expect(second == Envelope(requestID: 2, message: .records(reply(10..<13))))
        let first = try assembler.take(chunk(1, reply(2..<3), isLast: true, requestID: 1))
        #expect(first == Envelope(requestID: 1, message: .records(reply(0..<3))))
        #expect(try assembler.take(chunk(0, reply(0..<1), isLast: true))?.requestID == 5)
    }

    @Test func chunksOutOfOrderAreRefused() {
        expectViolation("chunk 1 of a reply came, expected 0", chunk(1, reply(0..<1)))
        expectViolation(
            "chunk 2 of a reply came, expected 1",
            chunk(0, reply(0..<1)),
            chunk(2, reply(0..<1))
        )
        expectViolation(
            "chunk 0 of a reply came, expected 1",
            chunk(0, reply(0..<1)),
            chunk(0, reply(0..<1))
        )
    }

    @Test func nothingFollowsTheLastChunk() throws {
        var sequence = ChunkSequence()
        try sequence.take(ReplyChunk(number: 0, isLast: false))
        try sequence.take(ReplyChunk(number: 1, isLast: true))
        for number: UInt64 in [0, 1, 2, .max] {
            let error = #expect(throws: OmenError.self) {
                try sequence.take(ReplyChunk(number: number, isLast: false))
            }
            #expect(error?.message == "chunk \(number) of a reply came after its last")
        }
    }

    @Test func onlyAFailureStandsForMissingChunks() throws {
        let whole = Envelope(requestID: 5, message: .records(reply(0..<1)))
        expectViolation("before the last chunk", chunk(0, reply(0..<1)), whole)
        var assembler = ReplyAssembler(byteCountMax: 100)
        #expect(try assembler.take(chunk(0, reply(0..<1))) == nil)
        let error = OmenError(.unavailable, "x")
        let failure = Envelope(requestID: 5, message: .failure(error))
        #expect(try assembler.take(failure) == failure)
        // Its bytes are free again, and its number too.
        #expect(try assembler.take(chunk(0, reply(0..<1), isLast: true)) == whole)
        #expect(try assembler.take(chunk(0, reply(0..<1))) == nil)
        assembler.forget(5)
        #expect(try assembler.take(chunk(0, reply(0..<1), isLast: true)) == whole)
    }

    @Test func unfinishedRepliesTakeBoundedMemory() {
        let one = reply(0..<1)
        let limit = one.encodedByteCount + one.records[0].encodedByteCount
        expectViolation(
            "at most \(limit)",
            byteCountMax: limit,
            chunk(0, one),
            chunk(1, one),
            chunk(2, one)
        )
        expectViolation(
            "at most \(limit)",
            byteCountMax: limit,
            chunk(0, one, requestID: 1),
            chunk(0, one, requestID: 2),
            chunk(0, one, requestID: 3)
        )
        let many = RecordsReply(
            element: .u8,
            records: Array(
                repeating: Record(id: .number(1), metadata: nil, vector: nil),
                count: Limits.batchCountMax
            ),
            coverage: Samples.partial
        )
        expectViolation("at most \(Limits.batchCountMax)", chunk(0, many), chunk(1, one))
    }

    @Test func chunksOfDifferentRepliesUnderOneNumberAreRefused() {
        var other = reply(0..<1)
        other.element = .f32
        expectViolation("different replies", chunk(0, reply(0..<1)), chunk(1, other))
        other = reply(0..<1)
        other.coverage = Samples.whole
        expectViolation("different replies", chunk(0, reply(0..<1)), chunk(1, other))
        let done = Envelope(
            requestID: 5,
            message: .done,
            chunk: ReplyChunk(number: 0, isLast: true)
        )
        expectViolation("done does not come in chunks", done)
    }

    /// Whatever comes is joined, passed through or refused, and what is joined is in order.
    @Test(arguments: [UInt64(11), 12, 13])
    func randomChunksNeverTrap(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var outcomes = (joined: 0, refused: 0)
        for _ in 0..<2000 {
            var assembler = ReplyAssembler(byteCountMax: 400)
            var next: [UInt64: UInt64] = [:]
            for _ in 0..<12 {
                let id = UInt64.random(in: 1...2, using: &generator)
                let isRight = Int.random(in: 0..<8, using: &generator) > 0
                let number = isRight ? next[id] ?? 0 : .random(in: 0 ... .max, using: &generator)
                let isLast = Int.random(in: 0..<3, using: &generator) == 0
                var envelope = chunk(
                    number,
                    reply(number..<max(number, number &+ 1)),
                    isLast: isLast,
                    requestID: id
                )
                if Int.random(in: 0..<20, using: &generator) == 0 { envelope.chunk = nil }
                do throws(OmenError) {
                    next[id] = isLast ? 0 : number &+ 1
                    guard let whole = try assembler.take(envelope), envelope.chunk != nil else {
                        continue
                    }
                    guard case .records(let joined) = whole.message else {
                        Issue.record("seed \(seed): \(whole)")
                        return
                    }
                    let numbers = (0..<UInt64(joined.records.count)).map { RecordID.number($0) }
                    #expect(joined.records.map(\.id) == numbers, "seed \(seed)")
                    outcomes.joined += 1
                } catch {
                    #expect(error.code == .protocolViolation, "seed \(seed)")
                    outcomes.refused += 1
                    break
                }
            }
        }
        #expect(outcomes.joined > 500 && outcomes.refused > 500, "seed \(seed): \(outcomes)")
    }

    @Test func onlySomeRepliesComeInChunksOnTheWire() throws {
        for envelope in Samples.envelopes {
            var encoder = FrameEncoder(.clients())
            encoder.append(Envelope(requestID: 1, message: envelope.message))
            let plain = encoder.finish()
            // The number of the chunk goes between the head and the body.
            var body = Array(plain[FrameHeader.byteCount...])
            body.insert(contentsOf: [UInt8](repeating: 0, count: 8), at: 16)
            for flags: UInt8 in [1, 3] {
                body[6] = flags
                let size = UInt32(body.count)
                withUnsafeBytes(of: size.littleEndian) { body.replaceSubrange(0..<4, with: $0) }
                let decoded = Result { try decode(frame(body)) }
                guard envelope.message.kind.mayComeInChunks else {
                    #expect((try? decoded.get()) == nil, "\(envelope.message.kind)")
                    continue
                }
                let expected = ReplyChunk(number: 0, isLast: flags == 1)
                #expect(try decoded.get().map(\.chunk) == [expected])
            }
        }
        // Too short for the number of a chunk.
        var short = message(102) { _ in }
        short[6] = 1
        #expect(throws: OmenError.self) { try decode(frame(short)) }
    }
}
