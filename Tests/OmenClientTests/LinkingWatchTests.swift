import OmenCore
import OmenWire
import Synchronization
import Testing

@testable import OmenClient

/// Writes that are refused because too many vectors wait to be linked.
@Suite struct LinkingWatchTests {
    private static func status(linked: UInt64, building: Int? = nil) -> ClusterStatus {
        let collection = CollectionStatus(
            name: "c",
            schema: CollectionSchema(dim: 8),
            vectors: 100,
            linked: linked,
            rows: 100,
            deleted: 0,
            fileByteCount: 0,
            building: building
        )
        let shard = ShardStatus(
            residentByteCount: 1,
            logByteCount: 2,
            appliedLSN: 3,
            durableLSN: 4,
            checkpointLSN: 5,
            collections: [collection]
        )
        let worker = WorkerStatus(
            shard: 0,
            pid: 1,
            state: .ready,
            restarts: 0,
            lastError: "",
            shardStatus: shard
        )
        return ClusterStatus(pid: 1, uptimeMilliseconds: 1, socket: "s", workers: [worker])
    }

    @Test func whateverIsLinkedOrBuiltMoves() {
        var watch = LinkingWatch()
        let start = ContinuousClock.now
        func moved(_ status: ClusterStatus, after seconds: Int) -> Bool {
            let now = start + .seconds(seconds)
            watch.note(status, now: now)
            return watch.movedAt == now
        }
        #expect(moved(Self.status(linked: 10), after: 1))
        #expect(!moved(Self.status(linked: 10), after: 100))
        #expect(watch.canMove && watch.waitingCount == 90)
        #expect(moved(Self.status(linked: 11), after: 101))
        #expect(moved(Self.status(linked: 11, building: 0), after: 102))
        #expect(moved(Self.status(linked: 11, building: 1), after: 103))
        #expect(!moved(Self.status(linked: 11, building: 1), after: 200))
        #expect(moved(Self.status(linked: 100), after: 201))
        #expect(!watch.canMove && watch.waitingCount == 0)
    }

    /// A server whose shard takes nothing until it has told `turns` times how far linking is.
    private func whileCrowded(
        turns: Int,
        moves: Bool,
        _ body: (TestServer) throws -> Void
    ) throws {
        let asked = Mutex(0)
        try withServer { envelope in
            switch envelope.message {
            case .status:
                let count = asked.withLock { asked in
                    asked += 1
                    return asked
                }
                return .reply(.clusterStatus(Self.status(linked: moves ? UInt64(count) : 7)))
            case .write(let request):
                guard asked.withLock({ $0 }) >= turns, case .upsert(let batch) = request.operation
                else {
                    return .reply(.failure(OmenError(.resourceExhausted, "100 vectors wait")))
                }
                return written(WriteCounts(upserted: UInt64(batch.ids.count)))
            default: return .silence
            }
        } _: { server in
            try body(server)
        }
    }

    @Test func aPipelineWaitsAndTellsThatItDoes() throws {
        try whileCrowded(turns: 4, moves: true) { server in
            let pipeline = try UpsertPipeline(to: server.endpoint)
            var told: Set<UInt64> = []
            pipeline.onWait = { [unowned pipeline] in
                if let count = pipeline.crowdedCount { told.insert(count) }
            }
            for number in 0..<5 { try pipeline.submit(batch(number)) }
            try pipeline.finish()
            #expect(pipeline.acknowledgedVectorCount == 15)
            #expect(told.contains(97), "\(told)")
            #expect(pipeline.crowdedCount == nil)
        }
    }

    @Test func aPipelineGivesUpWhereNothingIsLinked() throws {
        try whileCrowded(turns: .max, moves: false) { server in
            var options = UpsertPipeline.Options()
            options.retryFor = .milliseconds(300)
            let pipeline = try UpsertPipeline(to: server.endpoint, options: options)
            try pipeline.submit(batch(0))
            let error = #expect(throws: OmenError.self) { try pipeline.finish() }
            #expect(error?.code == .resourceExhausted)
            #expect(pipeline.acknowledgedVectorCount == 0)
        }
    }

    @Test func aClientWaitsBeyondItsDeadlineAsLongAsLinkingGoesOn() throws {
        // The tries take longer than a millisecond by far.
        try whileCrowded(turns: 4, moves: true) { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.retryFor = .milliseconds(1)
            #expect(try client.upsert(batch(0)).counts.upserted == 3)
        }
        try whileCrowded(turns: .max, moves: false) { server in
            let client = try ClusterClient.connect(to: server.endpoint)
            client.retryFor = .milliseconds(1)
            client.linkingPatience = .milliseconds(300)
            let error = #expect(throws: OmenError.self) { try client.upsert(batch(0)) }
            #expect(error?.code == .resourceExhausted)
        }
    }
}
