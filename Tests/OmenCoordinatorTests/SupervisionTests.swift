import OmenCore
import OmenWire
import Testing

@testable import OmenCoordinator

@Suite struct SupervisionTests {
    private func spawns(_ fixture: Fixture) -> Int {
        fixture.effects.filter { if case .spawn = $0 { true } else { false } }.count
    }

    @Test func startsOneWorkerAShardAndFollowsItsLife() throws {
        var fixture = try Fixture(shards: 2)
        fixture.step(.started)
        #expect(
            fixture.effects == [
                .spawn(replica: ReplicaID(shard: 0), incarnation: 1, acceptsLoss: false),
                .spawn(replica: ReplicaID(shard: 1), incarnation: 1, acceptsLoss: false),
            ]
        )
        #expect(fixture.core.workerState(0) == .spawning)
        fixture.announce(0, .recovering)
        #expect(fixture.core.workerState(0) == .recovering)
        fixture.announce(0, .ready)
        #expect(fixture.core.workerState(0) == .ready)
        #expect(Array(fixture.core.readyShards) == [0])
    }

    @Test func aDeathIsVisibleAtOnceWithItsSignal() throws {
        var fixture = try Fixture.ready(shards: 2)
        fixture.exit(1, signal: 9)
        let status = try #require(fixture.status())
        #expect(status.pid == 77)
        #expect(status.workers.map(\.state) == [.ready, .backoff])
        #expect(status.workers[1].pid == 0)
        #expect(status.workers[1].lastError == "killed by signal 9")
    }

    @Test func aStatusThatAwaitsAWorkerTellsWhatBecameOfIt() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.ask(.status)
        #expect(fixture.onlyReply == nil)
        fixture.announce(0, .quarantined)
        guard case .clusterStatus(let status) = fixture.onlyReply else {
            Issue.record("the status is not answered")
            return
        }
        #expect(status.workers[0].state == .quarantined)
        #expect(status.workers[0].lastError == "its files are damaged")
    }

    @Test func waitsTwiceAsLongAfterEachDeath() throws {
        var fixture = try Fixture.ready(shards: 1) { $0.restartsInWindowMax = 100 }
        for wait in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            fixture.exit(0)
            fixture.tick(after: UInt64(wait) * millisecond - 1)
            #expect(spawns(fixture) == 0)
            fixture.tick(after: 1)
            #expect(spawns(fixture) == 1)
            fixture.becomeReady(0)
        }
        #expect(fixture.status()?.workers[0].restarts == 11)
    }

    @Test func aWorkerThatWasStableStartsWithACleanRecord() throws {
        var fixture = try Fixture.ready(shards: 1)
        for _ in 0..<4 {
            fixture.exit(0)
            fixture.tick(after: 2 * second)
            fixture.becomeReady(0)
        }
        // Long enough to be stable, and heard of all the while.
        for _ in 0..<30 {
            fixture.tick(after: 2 * second)
            fixture.announce(0, .ready)
        }
        fixture.exit(0)
        #expect(fixture.core.workerState(0) == .backoff)
        fixture.tick(after: 100 * millisecond)
        #expect(spawns(fixture) == 1)
    }

    @Test func fiveDeathsInAMinuteMakeTheShardFailedAndTheRestServesOn() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        for death in 1...5 {
            fixture.exit(1, status: 3, signal: 0)
            #expect(fixture.core.workerState(1) == (death < 5 ? .backoff : .failed))
            fixture.announce(0, .ready)
            fixture.tick(after: 2 * second)
        }
        fixture.tick(after: 60 * second)
        #expect(fixture.core.workerState(1) == .failed)
        #expect(fixture.core.workerIncarnation(1) == 5)
        #expect(fixture.status()?.workers[1].lastError == "exited with status 3")
        fixture.ask(.search(query("c", k: 1)))
        #expect(fixture.sent.map(\.shard) == [0])
    }

    @Test func aHungWorkerIsKilledAndItsEndAwaitedBeforeTheNextIsStarted() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        fixture.write(.upsert(batch("c", [1])))
        for _ in 0..<9 { fixture.tick(after: second) }
        #expect(fixture.replies.isEmpty)
        fixture.tick(after: second)
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        #expect(fixture.core.workerState(0) == .dead)
        #expect(fixture.error?.code == .unknownOutcome)
        fixture.tick(after: second)
        #expect(spawns(fixture) == 0)
        // What it says after the kill was sent does not count.
        fixture.announce(0, .ready)
        #expect(fixture.core.workerState(0) == .dead)
        fixture.exit(0)
        #expect(fixture.core.workerState(0) == .backoff)
        #expect(fixture.status()?.workers[0].lastError.contains("no sign of life") == true)
        fixture.tick(after: 100 * millisecond)
        #expect(
            fixture.effects == [
                .spawn(replica: ReplicaID(shard: 0), incarnation: 2, acceptsLoss: false)
            ]
        )
    }

    @Test func pingsOneAtATimeAndAnyAnswerIsASignOfLife() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.tick(after: 500 * millisecond)
        let pings = fixture.sent
        #expect(pings.map(\.message) == [.ping])
        fixture.tick(after: 500 * millisecond)
        #expect(fixture.sent.isEmpty)
        fixture.worker(0, pings[0].id, .done)
        fixture.tick(after: 500 * millisecond)
        #expect(fixture.sent.map(\.message) == [.ping])
        for _ in 0..<30 {
            fixture.tick(after: second)
            fixture.announce(0, .ready)
        }
        #expect(fixture.core.workerState(0) == .ready)
    }

    /// Searches run query by query and answer heartbeats in between, so that silence means a hang
    /// also while a long search waits for its answer.
    @Test func aLongSearchDoesNotHideAHang() throws {
        var fixture = try Fixture.ready(shards: 1, collections: [info("c")])
        // Ten times 256 queries may take ten times the usual two seconds.
        fixture.ask(.search(query("c", k: 10, count: 2560)))
        fixture.tick(after: second)
        fixture.worker(0, fixture.sent[0].id, .done)
        for _ in 0..<9 { fixture.tick(after: second) }
        #expect(fixture.core.workerState(0) == .ready)
        #expect(fixture.replies.isEmpty)
        fixture.tick(after: second)
        #expect(fixture.core.workerState(0) == .dead)
    }

    @Test func aLongRecoveryThatMakesProgressIsNotAHang() throws {
        var fixture = try Fixture(shards: 1)
        fixture.step(.started)
        for _ in 0..<40 {
            fixture.announce(0, .recovering)
            fixture.tick(after: second)
        }
        #expect(fixture.core.workerState(0) == .recovering)
        for _ in 0..<10 { fixture.tick(after: second) }
        #expect(fixture.core.workerState(0) == .dead)
    }

    @Test func theCoordinatorsOwnSleepIsNotTheWorkersSilence() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.tick(after: 100 * second)
        #expect(fixture.core.workerState(0) == .ready)
    }

    @Test func aQuarantinedShardIsNotStartedAgain() throws {
        var fixture = try Fixture.ready(shards: 2, collections: [info("c")])
        fixture.exit(1)
        fixture.tick(after: 100 * millisecond)
        fixture.announce(1, .quarantined, reason: "block 7 of ckpt-1 is damaged")
        #expect(fixture.core.workerState(1) == .quarantined)
        fixture.exit(1)
        fixture.tick(after: 60 * second)
        #expect(spawns(fixture) == 0)
        let worker = try #require(fixture.status()?.workers[1])
        #expect(worker.state == .quarantined)
        #expect(worker.lastError == "block 7 of ckpt-1 is damaged")
        fixture.ask(.search(query("c", k: 1)))
        #expect(fixture.sent.map(\.shard) == [0])
    }

    @Test func aLostConnectionKillsTheProcessAndItsExitSaysWhy() throws {
        var fixture = try Fixture.ready(shards: 1)
        fixture.step(
            .workerConnectionLost(replica: ReplicaID(shard: 0), incarnation: 1, reason: "ended")
        )
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        #expect(fixture.core.workerState(0) == .dead)
        fixture.exit(0, signal: 11)
        #expect(fixture.core.workerState(0) == .backoff)
        #expect(fixture.status()?.workers[0].lastError == "killed by signal 11")
    }

    @Test func aWorkerThatCannotBeStartedIsTriedAgainAndNeverGivenUp() throws {
        var fixture = try Fixture(shards: 1)
        fixture.step(.started)
        for _ in 0..<20 {
            let incarnation = fixture.core.workerIncarnation(0)
            fixture.step(
                .workerSpawnFailed(
                    replica: ReplicaID(shard: 0),
                    incarnation: incarnation,
                    reason: "EAGAIN"
                )
            )
            #expect(fixture.core.workerState(0) == .backoff)
            fixture.tick(after: 30 * second)
            #expect(spawns(fixture) == 1)
        }
    }

    @Test func aWorkerThatCallsItselfSomeoneElseIsKilled() throws {
        var fixture = try Fixture(shards: 2)
        fixture.step(.started)
        let stranger = WorkerAnnouncement(shard: 1, incarnation: 1, state: .ready)
        fixture.worker(0, 0, .announcement(stranger))
        #expect(fixture.effects.contains(.kill(replica: ReplicaID(shard: 0), incarnation: 1)))
        #expect(fixture.core.readyShards.isEmpty)
    }

    @Test func statusShowsTheReadyWorkersAndDoesNotWaitForTheRest() throws {
        var fixture = try Fixture.ready(shards: 2)
        fixture.exit(1)
        fixture.now += 5 * second
        fixture.ask(.status)
        let part = fixture.sent[0]
        let own = ShardStatus(
            residentByteCount: 1,
            logByteCount: 2,
            appliedLSN: 3,
            durableLSN: 3,
            checkpointLSN: 0,
            collections: []
        )
        fixture.worker(0, part.id, .shardStatus(own))
        guard case .clusterStatus(let status) = fixture.onlyReply else {
            Issue.record("no status")
            return
        }
        #expect(status.workers[0].shardStatus == own)
        #expect(status.workers[0].pid == 100)
        #expect(status.workers[1].shardStatus == nil)
        #expect(status.uptimeMilliseconds == 5000)
        #expect(status.socket == "test.sock")
    }
}
