import OmenSystem
import Foundation
import OmenCore
import OmenShard
import OmenStorage
import Synchronization
import Testing

@testable import OmenEmbedded

/// Databases inside this process, called from one thread and from many.
@Suite struct DatabaseTests {
    private static let dim = 8
    private static let schema = CollectionSchema(dim: dim)

    private func batch(_ ids: Range<UInt64>) -> WriteOperation {
        var vectors: [Float] = []
        for id in ids {
            var generator = SplitMix64(seed: id)
            for _ in 0..<Self.dim { vectors.append(Float(generator.next() >> 40) / 65536) }
        }
        return .upsert(
            UpsertBatch(
                collection: "c",
                element: .f32,
                dim: Self.dim,
                ids: ids.map { .number($0) },
                vectors: vectors.withUnsafeBytes { Array($0) }
            )
        )
    }

    private func query(_ id: UInt64, k: Int = 1) -> SearchRequest {
        guard case .upsert(let one) = batch(id..<id + 1) else { preconditionFailure() }
        return SearchRequest(
            collection: "c",
            element: .f32,
            dim: Self.dim,
            vectors: one.vectors,
            count: 1,
            limit: k
        )
    }

    private func nearest(_ database: Database, _ id: UInt64) throws -> RecordID? {
        try database.search(query(id)).list.array.first?.id
    }

    private func inDirectory(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "omen-embedded-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func inMemoryWritesAreVisibleAtOnce() throws {
        let database = try Database()
        _ = try database.write(.createCollection(name: "c", schema: Self.schema))
        #expect(try database.write(batch(0..<100)).upserted == 100)
        #expect(try database.write(batch(50..<60)).replaced == 10)
        #expect(try database.count("c") == 100)
        #expect(try nearest(database, 7) == .number(7))
        let deleted = WriteOperation.delete(collection: "c", ids: [.number(7), .text("x")])
        #expect(try database.write(deleted).deleted == 1)
        #expect(try nearest(database, 7) != .number(7))
        try database.checkpoint()
        try database.close()
    }

    @Test func manyRowsAreLinkedInTheBackground() throws {
        let database = try Database()
        _ = try database.write(.createCollection(name: "c", schema: Self.schema))
        for first in stride(from: UInt64(0), to: 10_000, by: 5000) {
            _ = try database.write(batch(first..<first + 5000))
        }
        let end = ContinuousClock.now + .seconds(600)
        while let counts = try database.collections().first, counts.linked < 10_000 {
            try #require(ContinuousClock.now < end, "\(counts)")
            #expect(try nearest(database, 9999) == .number(9999))
        }
        #expect(try database.collections().first?.deleted == 0)
        try database.close()
    }

    @Test func whatWasWrittenIsThereAfterOpeningAgain() throws {
        try inDirectory { path in
            for round in UInt64(0)..<3 {
                let database = try Database(path: path)
                if round == 0 {
                    _ = try database.write(.createCollection(name: "c", schema: Self.schema))
                }
                #expect(try database.count("c") == Int(round) * 100)
                _ = try database.write(batch(round * 100..<round * 100 + 100))
                #expect(try nearest(database, 3) == .number(3))
                let stored = try database.list("c")
                #expect(stored.ids == (0..<round * 100 + 100).map { .number($0) })
                let places = try #require(stored.places)
                #expect(places.vectors.rowCount == places.rows.count)
                try database.close()
            }
            // The very files of a cluster with one shard.
            #expect(try verifyCluster(Directory(path)).problems.isEmpty)
        }
    }

    @Test func aPathHasOneOwner() throws {
        try inDirectory { path in
            let database = try Database(path: path)
            let second = #expect(throws: OmenError.self) { try Database(path: path) }
            #expect(second?.code == .locked)
            #expect(second?.message.contains("\(getpid())") == true)
            try database.close()
            let closed = #expect(throws: OmenError.self) { try database.count("c") }
            #expect(closed?.code == .unavailable)
            try database.close()
        }
    }

    @Test func aClusterOfSeveralShardsIsRefused() throws {
        try inDirectory { path in
            try Directory(path).create()
            let uuid = ClusterUUID(high: 1, low: 2)
            try ClusterManifest(uuid: uuid, shardCount: 2).store(Directory(path))
            let error = #expect(throws: OmenError.self) { try Database(path: path) }
            #expect(error?.code == .badRequest)
            #expect(error?.message.contains("2 shards") == true)
        }
    }

    @Test func closingWaitsForThoseWhoWait() throws {
        let database = try Database()
        let ticket = Mutex<UInt64?>(nil)
        let ended = Mutex<[String]>([])
        let threads = try ["waiter", "closer"].map { name in
            try BackgroundThread {
                do throws(OmenError) {
                    if name == "waiter" {
                        _ = try database.wait { _, number in ticket.withLock { $0 = number } }
                    } else {
                        while ticket.withLock({ $0 }) == nil { usleep(100) }
                        try database.close()
                    }
                } catch { Issue.record(error) }
                ended.withLock { $0.append(name) }
            }
        }
        while ticket.withLock({ $0 }) == nil { usleep(100) }
        // Time in which it could go wrong.
        usleep(100_000)
        #expect(ended.withLock { $0 } == [])
        // The outcome that is waited for.
        database.owner.own()
        database.engine.checkpoint(ticket: try #require(ticket.withLock { $0 }))
        database.owner.release()
        for thread in threads { thread.join() }
        #expect(ended.withLock { $0.sorted() } == ["closer", "waiter"])
    }

    @Test(arguments: [false, true]) func threadsWriteAndSearchTogether(onDisk: Bool) throws {
        try inDirectory { path in
            let database = try onDisk ? Database(path: path, durability: .none) : Database()
            _ = try database.write(.createCollection(name: "c", schema: Self.schema))
            DispatchQueue.concurrentPerform(iterations: 4) { thread in
                let first = UInt64(thread) * 1000
                for id in first..<first + 50 {
                    do {
                        _ = try database.write(batch(id..<id + 1))
                        #expect(try nearest(database, id) == .number(id))
                    } catch { Issue.record(error) }
                }
            }
            #expect(try database.count("c") == 200)
            try database.close()
        }
    }

    @Test func readersDoNotWaitForEachOther() throws {
        let lock = OwnerLock()
        lock.share()
        let other = try BackgroundThread {
            lock.share()
            lock.release()
        }
        // Would never end if it waited.
        other.join()
        lock.release()
        #expect(!lock.isWanted)
    }

    @Test func theLockIsGivenInTheOrderOfAsking() throws {
        let lock = OwnerLock()
        let order = Mutex<[Int]>([])
        lock.own()
        var threads: [BackgroundThread] = []
        // Writers and readers in turn; each asks when the one before it waits.
        for number in 0..<6 {
            threads.append(
                try BackgroundThread {
                    if number % 2 == 0 { lock.own() } else { lock.share() }
                    order.withLock { $0.append(number) }
                    lock.release()
                }
            )
            while lock.waitingCount <= number { usleep(100) }
        }
        #expect(lock.isWanted && order.withLock { $0 } == [])
        lock.release()
        for thread in threads { thread.join() }
        #expect(order.withLock { $0 } == [0, 1, 2, 3, 4, 5])
        #expect(!lock.isWanted)
    }

    @Test func aReaderLetsAWriterIn() throws {
        let lock = OwnerLock()
        lock.share()
        let writer = try BackgroundThread {
            lock.own()
            lock.release()
        }
        while !lock.isWanted { usleep(100) }
        try lock.yieldShare()
        #expect(!lock.isWanted)
        lock.release()
        writer.join()
    }

    @Test func whoIsStoppedLeavesTheLineAndHoldsNobodyUp() throws {
        let lock = OwnerLock()
        lock.own()
        let order = Mutex<[Int]>([])
        let stop = Stop()
        // The first and the last waiting thread are stopped, and one in the middle.
        let stopped: Set<Int> = [0, 2, 5]
        var threads: [BackgroundThread] = []
        for number in 0..<6 {
            threads.append(
                try BackgroundThread {
                    let own = stopped.contains(number) ? stop : nil
                    do throws(OmenError) {
                        if number % 2 == 0 {
                            try lock.own(unless: own)
                        } else {
                            try lock.share(unless: own)
                        }
                        order.withLock { $0.append(number) }
                        lock.release()
                    } catch { order.withLock { $0.append(-number) } }
                }
            )
            while lock.waitingCount <= number { usleep(100) }
        }
        stop.request()
        while order.withLock({ $0.count }) < 3 { usleep(100) }
        #expect(order.withLock { Set($0) } == [0, -2, -5])
        #expect(lock.isWanted)
        lock.release()
        for thread in threads { thread.join() }
        // The readers are let in together, and either may say so first.
        let served = order.withLock { Array($0.suffix(3)) }
        #expect(Set(served) == [1, 3, 4] && served.last == 4)
        #expect(!lock.isWanted)
        // The stopped threads do not block a thread that asks later.
        lock.own()
        lock.release()
    }

    @Test func oneExactQueryEndsInItsMidstWhenItsCallerIsStopped() throws {
        let database = try Database()
        defer { #expect(throws: Never.self) { try database.close() } }
        _ = try database.write(.createCollection(name: "c", schema: Self.schema))
        // More than are compared between two looks.
        _ = try database.write(batch(0..<6000))
        let stop = Stop()
        stop.request()
        Stop.use(stop)
        defer { Stop.use(nil) }
        var query = query(7, k: 1)
        query.effort = .exact
        let all = query
        #expect(throws: OmenError(.stopped, "the call was stopped")) {
            try database.search(all)
        }
        #expect(throws: OmenError(.stopped, "the call was stopped")) {
            try database.list("c")
        }
        Stop.use(nil)
        #expect(
            try database.search(all).list.array.first?.id == .number(7)
        )
    }

    @Test func aStoppedCheckpointGoesOnAndAStoppedCloseEndsWithoutOne() throws {
        try inDirectory { path in
            try stopCheckpointAndClose(path)
            let again = try Database(path: path)
            #expect(try again.count("c") == 60)
            try again.close()
        }
    }

    private func stopCheckpointAndClose(_ path: String) throws {
        let database = try Database(path: path)
        _ = try database.write(.createCollection(name: "c", schema: Self.schema))
        _ = try database.write(batch(0..<50))
        let stop = Stop()
        stop.request()
        Stop.use(stop)
        defer { Stop.use(nil) }
        #expect(throws: OmenError(.stopped, "the call was stopped")) { try database.checkpoint() }
        Stop.use(nil)
        #expect(try database.count("c") == 50)
        // The next caller gets an outcome of its own.
        try database.checkpoint()
        _ = try database.write(batch(50..<60))
        Stop.use(stop)
        try database.close()
    }

    @Test func threadsShareTheQueries() throws {
        let database = try Database()
        _ = try database.write(.createCollection(name: "c", schema: Self.schema))
        _ = try database.write(batch(0..<500))
        guard case .upsert(let all) = batch(0..<500) else { preconditionFailure() }
        var query = query(0, k: 3)
        query.vectors = all.vectors
        query.count = 500
        query.effort = .exact
        let alone = try database.search(query)
        #expect(alone.counts == Array(repeating: 3, count: 500))
        for count in [2, 3, 1000] {
            let shared = try database.search(query, threadCount: count)
            #expect(shared.counts == alone.counts && shared.list.array == alone.list.array)
        }
        _ = try database.write(.delete(collection: "c", ids: [.number(3)]))
        var text = all.selecting([3])
        text.ids = [.text("three")]
        _ = try database.write(.upsert(text))
        let mixed = try database.search(query, threadCount: 4).list.array
        #expect(mixed[9].id == .text("three") && mixed[12].id == .number(4))
        query.dim = 7
        #expect(throws: OmenError.self) { try database.search(query, threadCount: 4) }
        try database.close()
    }

    @Test func whatWasCheckedIsCheckedAgainForAnotherSchema() throws {
        let database = try Database()
        let cosine = CollectionSchema(dim: Self.dim, metric: .cosine)
        _ = try database.write(.createCollection(name: "c", schema: cosine))
        let zero = UpsertBatch(
            collection: "c",
            element: .f32,
            dim: Self.dim,
            ids: [.number(1)],
            vectors: [UInt8](repeating: 0, count: 4 * Self.dim)
        )
        // Right for a collection that there was before.
        let checked = try zero.validated(against: Self.schema)
        #expect(throws: OmenError.self) { try database.upsert(checked) }
        #expect(try database.count("c") == 0)
        try database.close()
    }
}
