import OmenCore
import OmenIndex
import Testing

@testable import OmenShard

private let schema = CollectionSchema(dim: 8, element: .u8, m: 4, efConstruction: 16)
private let create = WriteOperation.createCollection(name: "c", schema: schema)

/// Counts of a collection whose linked rows a build linked, unless told otherwise.
func shape(
    _ rows: Int,
    linked: Int,
    built: Int? = nil,
    deleted: Int = 0,
    awaitsCalibration: Bool = false
) -> RebuildPolicy.Shape {
    RebuildPolicy.Shape(
        rowCount: rows,
        linkedCount: linked,
        builtCount: built ?? linked,
        deletedCount: deleted,
        awaitsCalibration: awaitsCalibration
    )
}

@Suite struct RebuildPolicyTests {
    @Test func aThirdOfRowsThatNoBuildLinkedOrAFifthOfDeadOnesIsDue() {
        let policy = RebuildPolicy()
        #expect(!policy.isDue(shape(1023, linked: 0)))
        #expect(policy.isDue(shape(1024, linked: 0)))
        #expect(!policy.isDue(shape(30_000, linked: 30_000, built: 20_000)))
        #expect(policy.isDue(shape(30_000, linked: 30_000, built: 19_999)))
        #expect(policy.isDue(shape(30_000, linked: 19_999)))
        #expect(!policy.isDue(shape(1000, linked: 1000, deleted: 999)))
        #expect(!policy.isDue(shape(2000, linked: 2000, deleted: 400)))
        #expect(policy.isDue(shape(2000, linked: 2000, deleted: 401)))
    }

    @Test func manyHotRowsWaitForTheBuildAndFewAreLinked() {
        let policy = RebuildPolicy()
        #expect(policy.isLinkingWasted("a", shape(4000, linked: 2000)))
        #expect(!policy.isLinkingWasted("a", shape(4000, linked: 3000, built: 1000)))
        #expect(policy.isDue("a", shape(4000, linked: 3000, built: 1000)))
        #expect(policy.isLinkingWasted("a", shape(4000, linked: 3999, deleted: 1000)))
        #expect(!policy.isLinkingWasted("a", shape(900, linked: 0)))
    }

    @Test func itWaitsForAPauseButNotForEver() {
        var policy = RebuildPolicy()
        let due = [("a", shape(10, linked: 10)), ("b", shape(9000, linked: 0))]
        #expect(policy.next(due, appliedLSN: 1) == [])
        #expect(policy.isDue("b", due[1].1) && !policy.isDue("a", due[0].1))
        #expect(policy.next(due, appliedLSN: 1) == ["b"])
        var lsn: UInt64 = 2
        var other = RebuildPolicy()
        while other.next(due, appliedLSN: lsn).isEmpty { lsn += 1 }
        #expect(lsn == 2 + UInt64(RebuildPolicy.patienceTickCount))
    }

    @Test func whatFailedRestsBeforeItIsTriedAgain() {
        var policy = RebuildPolicy()
        let due = [("b", shape(9000, linked: 0))]
        _ = policy.next(due, appliedLSN: 1)
        #expect(policy.next(due, appliedLSN: 1) == ["b"])
        policy.rebuildFailed("b")
        var ticks = 1
        #expect(!policy.isDue("b", due[0].1))
        while policy.next(due, appliedLSN: 1).isEmpty { ticks += 1 }
        #expect(ticks == RebuildPolicy.retryTickCount)
    }

    @Test func itWaitsForRowsThatACallHasStillToBring() {
        var policy = RebuildPolicy()
        var waiting = shape(9000, linked: 0)
        waiting.awaitsRows = true
        for _ in 0...RebuildPolicy.patienceTickCount + 1 {
            #expect(policy.next([("b", waiting)], appliedLSN: 1).isEmpty)
        }
        #expect(policy.isDue("b", waiting), "none of them is linked meanwhile")
        waiting.awaitsRows = false
        #expect(policy.next([("b", waiting)], appliedLSN: 1) == ["b"])
    }

    @Test func onlyABuildThatHasMostOfItsWorkAheadIsOutgrown() {
        #expect(RebuildPolicy.isOutgrown(capturedRowCount: 100, rowCount: 200, permille: 499))
        #expect(!RebuildPolicy.isOutgrown(capturedRowCount: 100, rowCount: 200, permille: 500))
        #expect(!RebuildPolicy.isOutgrown(capturedRowCount: 100, rowCount: 199, permille: 0))
    }
}

@Suite struct RebuildTests {
    private let probe: [UInt8] = [9, 80, 120, 200, 33, 64, 250, 128]

    @Test func manyHotRowsAreLinkedAtOnceAndWrittenToAFile() throws {
        try withTemporaryDirectory { directory in
            let before: [Hit]
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(600, seed: 1)))
                try harness.write(.upsert(batch(600, start: 500, seed: 2, texts: true)))
                try harness.write(.delete(collection: "c", ids: (0..<100).map { .number($0) }))
                before = try harness.exact(probe, k: 200)
                try harness.settle()
                let collection = try harness.engine.store.collection("c")
                #expect(collection.rowCount == 1100, "dead rows are gone")
                #expect(collection.linkedCount == 1100)
                #expect(collection.deletedCount == 0)
                try collection.index.checkInvariants()
                #expect(try harness.exact(probe, k: 200) == before)
                // The rebuild asked for a checkpoint; this one comes behind it.
                try harness.checkpoint()
                harness.engine.close()
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 0)
            #expect(try harness.engine.store.collection("c").linkedCount == 1100)
            #expect(try harness.exact(probe, k: 200) == before)
        }
    }

    @Test func deadRowsAreReclaimed() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(2000, seed: 3)))
            harness.linkEverything()
            try harness.checkpoint()
            try harness.write(.upsert(batch(600, seed: 4)))
            let before = try harness.exact(probe, k: 100)
            try harness.settle()
            let collection = try harness.engine.store.collection("c")
            #expect(collection.rowCount == 2000 && collection.deletedCount == 0)
            #expect(try harness.exact(probe, k: 100) == before)
        }
    }

    @Test func aCollectionWhoseRowsAllDiedIsEmptied() throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(1500, seed: 5)))
            try harness.write(.delete(collection: "c", ids: (0..<1500).map { .number($0) }))
            try harness.settle()
            #expect(try harness.engine.store.collection("c").rowCount == 0)
            #expect(try harness.exact(probe, k: 5).isEmpty)
            #expect(try harness.write(.upsert(batch(10, seed: 6))).upserted == 10)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func whatIsWrittenDuringARebuildIsInItsOutcome(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            let after: [Hit]
            do {
                var random = SplitMix64(seed: seed)
                let harness = try EngineHarness(directory, durability: .none)
                try harness.write(create)
                try harness.write(.upsert(batch(900, seed: seed)))
                var writesLeft = 60
                try harness.settle {
                    guard writesLeft > 0 else { return }
                    writesLeft -= 1
                    try harness.writeSomewhere(using: &random)
                    if random.next() % 8 == 0 { harness.engine.checkpoint(ticket: 1 << 40) }
                }
                after = try harness.exact(probe, k: 10_000)
                try harness.engine.store.collection("c").index.checkInvariants()
                harness.engine.close()
            }
            // Replay never knew of the rebuild.
            let replayed = try EngineHarness(directory, durability: .none)
            #expect(try replayed.exact(probe, k: 10_000) == after, "seed \(seed)")
        }
    }

    @Test func aBuildThatNeverEndedIsBegunAgain() throws {
        try withTemporaryDirectory { directory in
            do {
                let harness = try EngineHarness(directory)
                try harness.write(create)
                try harness.write(.upsert(batch(950, seed: 8)))
                harness.engine.maintain()
                harness.engine.maintain()
                let collection = try harness.engine.store.collection("c")
                #expect(harness.engine.rebuildPermille(of: collection) != nil)
                #expect(collection.linkedCount == 0)
            }
            let harness = try EngineHarness(directory)
            #expect(harness.engine.replayedCount == 2)
            try harness.settle()
            #expect(try harness.engine.store.collection("c").linkedCount == 950)
        }
    }

    @Test(arguments: [
        WriteOperation.dropCollection(name: "c"), .clearCollection(name: "c"),
    ])
    func aRebuildOfACollectionThatGoesAwayIsThrownAway(operation: WriteOperation) throws {
        try withTemporaryDirectory { directory in
            let harness = try EngineHarness(directory)
            try harness.write(create)
            try harness.write(.upsert(batch(950, seed: 9)))
            harness.engine.maintain()
            harness.engine.maintain()
            try harness.write(operation)
            try harness.write(create)
            try harness.write(.upsert(batch(5, seed: 10)))
            try harness.settle()
            #expect(try harness.engine.store.collection("c").vectorCount == 5)
            #expect(try harness.exact(probe, k: 10).count == 5)
        }
    }
}
