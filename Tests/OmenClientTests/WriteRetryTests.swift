import OmenCore
import OmenWire
import Synchronization
import Testing

@testable import OmenClient

@Suite struct WriteRetryTests {
    @Test func aWriteWhoseAnswerWasLostIsRepeatedUnderItsKey() throws {
        let model = WriteModel()
        let tries = Mutex(0)
        try withServer { envelope in
            guard case .write(let request) = envelope.message else { return .silence }
            let counts = model.apply(request)
            let isFirst = tries.withLock { tries in
                tries += 1
                return tries == 1
            }
            return isFirst ? .hangUp : written(counts)
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            #expect(try client.upsert(batch(1)).counts.upserted == 3)
            #expect(server.acceptedCount == 2)
        }
        #expect(tries.withLock { $0 } == 2)
        #expect(model.keyCount == 1)
    }

    @Test(arguments: [OmenError.Code.unavailable, .unknownOutcome, .resourceExhausted])
    func failuresThatMayPassAreRepeated(code: OmenError.Code) throws {
        let model = WriteModel()
        let tries = Mutex(0)
        try withServer { envelope in
            guard case .write(let request) = envelope.message else { return .silence }
            let number = tries.withLock { tries in
                tries += 1
                return tries
            }
            let error = OmenError(code, "not now")
            switch number {
            case 1: return .reply(.failure(error))
            case 2:
                let failures = [ShardFailure(shard: 1, error: error)]
                return written(
                    WriteCounts(upserted: 1),
                    Coverage(shardsTotal: 2, failures: failures)
                )
            default: return written(model.apply(request))
            }
        } _: { server in
            let reply = try ClusterClient.connect(to: server.endpoint).upsert(batch(1))
            #expect(!reply.coverage.isPartial)
            #expect(tries.withLock { $0 } == 3)
        }
    }

    /// Waits that a server asks for are real time, so they are short and only their sum is checked.
    @Test func requestsComeBackNoSoonerThanTheyAreAskedTo() throws {
        let times = Mutex<[ContinuousClock.Instant]>([])
        let error = OmenError(.resourceExhausted, "full", retryAfterMilliseconds: 300)
        try withServer { envelope in
            let number = times.withLock { times in
                times.append(.now)
                return times.count
            }
            switch (envelope.message, number % 2) {
            case (_, 1): return .reply(.failure(error))
            case (.write, _): return written(WriteCounts(upserted: 3))
            default:
                return .reply(.counted(CountReply(count: 3, coverage: Coverage(shardsTotal: 1))))
            }
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            #expect(try client.upsert(batch(1)).counts.upserted == 3)
            #expect(try client.count(collection: "c").count == 3)
            client.retryReadFor = .milliseconds(1)
            let refusal = #expect(throws: OmenError.self) { _ = try client.count(collection: "c") }
            #expect(refusal == error)
        }
        let seen = times.withLock { $0 }
        try #require(seen.count == 5)
        #expect(seen[0].duration(to: seen[1]) >= .milliseconds(300))
        #expect(seen[2].duration(to: seen[3]) >= .milliseconds(300))
    }

    @Test func failuresThatStayAreReportedWithoutRepeating() throws {
        let tries = Mutex(0)
        let quarantined = Coverage(
            shardsTotal: 2,
            failures: [ShardFailure(shard: 1, error: OmenError(.corrupt, "quarantined"))]
        )
        try withServer { _ in
            tries.withLock { $0 += 1 }
            return written(WriteCounts(upserted: 1), quarantined)
        } _: { server in
            let reply = try ClusterClient.connect(to: server.endpoint).upsert(batch(1))
            #expect(reply.coverage == quarantined)
            #expect(tries.withLock { $0 } == 1)
        }
    }

    @Test func afterTheDeadlineTheOutcomeIsTold() throws {
        // Refused every time: surely not applied.
        try withServer { _ in
            .reply(.failure(OmenError(.resourceExhausted, "full")))
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.retryFor = .milliseconds(100)
            let error = #expect(throws: OmenError.self) { try client.upsert(batch(1)) }
            #expect(error?.code == .resourceExhausted)
        }
        // Never answered: who knows.
        let keys = Mutex<Set<RequestKey>>([])
        try withServer { envelope in
            if case .write(let request) = envelope.message {
                keys.withLock { _ = $0.insert(request.key) }
            }
            return .hangUp
        } _: { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.retryFor = .milliseconds(100)
            let key = client.nextKey()
            let error = #expect(throws: OmenError.self) {
                try client.write(.upsert(batch(1)), key: key)
            }
            #expect(error?.code == .unknownOutcome)
            #expect(server.acceptedCount > 2)
            #expect(keys.withLock { $0 } == [key])
        }
    }

    @Test func pipelinesApplyEveryBatchOnceWhateverHappens() throws {
        let seed: UInt64 = 20_261_121
        let model = WriteModel()
        let generator = Mutex(SplitMix64(seed: seed))
        try withServer { envelope in
            guard case .write(let request) = envelope.message else { return .silence }
            let dice = generator.withLock { Int.random(in: 0..<20, using: &$0) }
            switch dice {
            case 0: return .hangUp
            case 1:
                _ = model.apply(request)
                return .hangUp
            case 2: return .reply(.failure(OmenError(.resourceExhausted, "full")))
            case 3: return .reply(.failure(OmenError(.unavailable, "restarting")))
            case 4:
                _ = model.apply(request)
                return .reply(.failure(OmenError(.unknownOutcome, "timed out")))
            case 5:
                let failure = ShardFailure(shard: 1, error: OmenError(.unavailable, "backoff"))
                return written(
                    WriteCounts(upserted: 1),
                    Coverage(shardsTotal: 2, failures: [failure])
                )
            default: return written(model.apply(request))
            }
        } _: { server in
            let pipeline = try UpsertPipeline(to: server.endpoint)
            for number in 0..<300 { try pipeline.submit(batch(number)) }
            try pipeline.finish()
            #expect(pipeline.acknowledgedVectorCount == 900, "seed \(seed)")
            #expect(pipeline.counts.upserted == 900, "seed \(seed)")
            #expect(pipeline.unknownVectorCount == 0, "seed \(seed)")
            #expect(pipeline.retryCount > 20, "seed \(seed): \(pipeline.retryCount) retries")
            #expect(server.acceptedCount > 3, "seed \(seed): \(server.acceptedCount) connections")
        }
        #expect(model.keyCount == 300, "seed \(seed)")
        #expect(model.vectorCount == 900, "seed \(seed)")
    }

    @Test func theWindowBoundsWhatIsInFlight() throws {
        let inFlight = Mutex<[Envelope]>([])
        let most = Mutex(0)
        // Answers only when four are there, so the window must be at least that.
        try withServer { envelope in
            let due = inFlight.withLock { waiting -> [Envelope] in
                waiting.append(envelope)
                most.withLock { $0 = max($0, waiting.count) }
                guard waiting.count == 4 else { return [] }
                defer { waiting = [] }
                return waiting
            }
            let reply = Message.written(
                WriteReply(counts: WriteCounts(upserted: 3), coverage: whole)
            )
            return .replies(due.map { Envelope(requestID: $0.requestID, message: reply) })
        } _: { server in
            var options = UpsertPipeline.Options()
            options.windowBatchCount = 4
            let pipeline = try UpsertPipeline(to: server.endpoint, options: options)
            for number in 0..<40 { try pipeline.submit(batch(number)) }
            try pipeline.finish()
            #expect(pipeline.acknowledgedVectorCount == 120)
            #expect(most.withLock { $0 } == 4)
        }
    }

    @Test func afterAnErrorTheRestIsStillCounted() throws {
        let model = WriteModel()
        try withServer { envelope in
            guard case .write(let request) = envelope.message,
                case .upsert(let batch) = request.operation
            else { return .silence }
            if batch.ids[0] == .number(60) {
                return .reply(.failure(OmenError(.badRequest, "vector 0 is not finite")))
            }
            return written(model.apply(request))
        } _: { server in
            let pipeline = try UpsertPipeline(to: server.endpoint)
            var submitted = 0
            let thrown = #expect(throws: OmenError.self) {
                for number in 0..<1000 {
                    try pipeline.submit(batch(number))
                    submitted += 1
                }
            }
            let error = try #require(thrown)
            #expect(error.code == .badRequest)
            #expect((20..<60).contains(submitted), "\(submitted)")
            #expect(throws: error) { try pipeline.finish() }
            #expect(throws: error) { try pipeline.submit(batch(2000)) }
            #expect(pipeline.acknowledgedVectorCount == model.vectorCount)
            #expect(pipeline.acknowledgedVectorCount >= 60)
            #expect(pipeline.unknownVectorCount == 0)
        }
    }

    @Test func aClusterThatDoesNotComeBackEndsThePipeline() throws {
        let model = WriteModel()
        try withSocketPath { path in
            let server = try TestServer(path: path) { envelope in
                guard case .write(let request) = envelope.message else { return .silence }
                return request.key.sequence <= 10 ? written(model.apply(request)) : .silence
            }
            var options = UpsertPipeline.Options()
            options.retryFor = .milliseconds(200)
            let pipeline = try UpsertPipeline(to: .unix(path: path), options: options)
            for number in 0..<20 { try pipeline.submit(batch(number)) }
            server.stop()
            let error = #expect(throws: OmenError.self) { try pipeline.finish() }
            #expect(error?.code == .unknownOutcome)
            // The server may have stopped before it sent the answers to what it had applied.
            #expect(pipeline.acknowledgedVectorCount <= model.vectorCount)
            #expect(model.vectorCount <= 30)
            #expect(pipeline.acknowledgedVectorCount + pipeline.unknownVectorCount == 60)
        }
    }

    @Test func pipelinesOutliveARestartOfTheCoordinator() throws {
        let model = WriteModel()
        let handler: @Sendable (Envelope) -> TestServer.Response = { envelope in
            guard case .write(let request) = envelope.message else { return .silence }
            return written(model.apply(request))
        }
        try withSocketPath { path in
            var server = try TestServer(path: path, handler)
            let pipeline = try UpsertPipeline(to: .unix(path: path))
            for number in 0..<200 {
                if number % 50 == 49 {
                    server.stop()
                    server = try TestServer(path: path, handler)
                }
                try pipeline.submit(batch(number))
            }
            try pipeline.finish()
            #expect(pipeline.acknowledgedVectorCount == 600)
            #expect(model.vectorCount == 600)
            server.stop()
        }
    }
}
