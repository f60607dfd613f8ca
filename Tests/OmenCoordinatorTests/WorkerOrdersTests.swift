import OmenCore
import Testing

@testable import OmenCoordinator

@Suite struct WorkerOrdersTests {
    private static let all: [WorkerOrders] = {
        var all: [WorkerOrders] = []
        for durability in [Durability.always, .interval(milliseconds: 7), .none] {
            for acceptsLoss in [false, true] {
                all.append(
                    WorkerOrders(
                        shard: 63,
                        dataDirectory: "/a directory/--shard",
                        incarnation: .max,
                        epoch: .max - 1,
                        acceptsLoss: acceptsLoss,
                        durability: durability
                    )
                )
            }
        }
        return all
    }()

    @Test func whatTheCoordinatorWritesIsWhatTheWorkerReads() throws {
        for orders in Self.all {
            #expect(try WorkerOrders(arguments: orders.arguments) == orders)
        }
    }

    @Test func aCommandLineThatLacksAWordIsRefused() {
        for orders in Self.all {
            for count in 0..<orders.arguments.count {
                let words = Array(orders.arguments.prefix(count))
                // A cut before the time between syncs leaves the words of the standard time.
                if words.last == "interval" { continue }
                let error = #expect(throws: OmenError.self) { try WorkerOrders(arguments: words) }
                #expect(error?.code == .badRequest)
            }
        }
    }

    @Test(arguments: [
        (["--sherd", "1"], "a worker knows no '--sherd'"),
        (["--shard", "-1"], "--shard of a worker is '-1', no number"),
        (["--shard", "1"], "a worker is not told --incarnation"),
        (["--shard"], "--shard of a worker has no value"),
    ])
    func wrongWordsAreRefusedByName(words: [String], message: String) {
        let error = #expect(throws: OmenError.self) { try WorkerOrders(arguments: words) }
        #expect(error?.message == message)
    }
}
