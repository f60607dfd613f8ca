import OmenCore
import OmenWire

/// A client that fills a collection, drops it and makes it again.
///
/// Whichever shards were away meanwhile, the dropped records must be gone on every shard, and the
/// records that were written after the drop must stay.
final class SimulatedDropper: SimulatedCaller {
    /// What comes next; each step is repeated until it has a clear answer.
    private enum Step {
        case write
        case read
        case drop
        case lookForIt
    }

    private static let collection = "d"
    private static let ids: [RecordID] = (1...9).map { .number($0) }

    unowned let simulation: Simulation
    private let number: UInt64
    private var roundsLeft: Int
    private var step = Step.write
    /// Counts the lives of the collection; each has records of its own.
    private var life = 1
    private var sequence: UInt64 = 1
    private var requestID: UInt64 = 0
    private var isWaiting = false
    /// How often the request of this step was sent.
    private var tries = 0
    private(set) var acknowledged = 0
    private(set) var isLastReadDone = false
    private(set) var connection: UInt64?

    init(_ simulation: Simulation, number: UInt64, rounds: Int) {
        self.simulation = simulation
        self.number = number
        roundsLeft = rounds
    }

    var isFinished: Bool { roundsLeft == 0 }

    func connected(_ connection: UInt64) {
        self.connection = connection
        proceed()
    }

    func disconnected() {
        connection = nil
        isWaiting = false
    }

    func readAtTheEnd() { isLastReadDone = true }

    private func proceed() {
        guard connection != nil, !isFinished, !isWaiting else { return }
        isWaiting = true
        tries += 1
        requestID += 1
        simulation.fromClient(self, Envelope(requestID: requestID, message: request))
    }

    private var request: Message {
        let key = RequestKey(client: number + 1, sequence: sequence)
        switch step {
        case .write:
            let dim = SimulatedClient.dim
            let batch = UpsertBatch(
                collection: Self.collection,
                element: .u8,
                dim: dim,
                ids: Self.ids,
                vectors: [UInt8](repeating: UInt8(life & 0xFF), count: Self.ids.count * dim),
                metadata: Self.ids.map { _ in metadata }
            )
            return .write(WriteRequest(key: key, operation: .upsert(batch)))
        case .drop:
            let drop = WriteOperation.dropCollection(name: Self.collection)
            return .write(WriteRequest(key: key, operation: drop))
        case .read, .lookForIt:
            let get = GetRequest(collection: Self.collection, ids: Self.ids, withVector: false)
            return .get(get)
        }
    }

    private var metadata: [UInt8] { Array("{\"life\":\(life)}".utf8) }

    func receive(_ envelope: Envelope) {
        guard envelope.requestID == requestID, isWaiting else {
            return simulation.violation("dropper: reply to \(envelope.requestID) came twice")
        }
        isWaiting = false
        take(envelope.message)
        simulation.schedule(after: simulation.draw(0...30_000_000)) { [weak self] in
            self?.proceed()
        }
    }

    private func take(_ answer: Message) {
        switch (step, answer) {
        case (.write, .written(let reply)) where !reply.coverage.isPartial:
            acknowledged += Self.ids.count
            go(to: .read)
        case (.read, .records(let reply)) where !reply.coverage.isPartial:
            let isRight =
                reply.records.count == Self.ids.count
                && reply.records.allSatisfy { $0.metadata == metadata }
            guard isRight else {
                let seen = reply.records.map { String(decoding: $0.metadata ?? [], as: UTF8.self) }
                return simulation.violation("life \(life) of the collection has \(seen)")
            }
            go(to: .drop)
        case (.read, .failure(let error)) where error.code == .notFound:
            simulation.violation("life \(life) of the collection is lost: \(error)")
        case (.drop, .written(let reply)) where !reply.coverage.isPartial: go(to: .lookForIt)
        case (.drop, .failure(let error)) where error.code == .notFound:
            guard tries > 1 else {
                return simulation.violation("there is nothing to drop in life \(life): \(error)")
            }
            go(to: .lookForIt)
        case (.lookForIt, .records(let reply)):
            simulation.violation(
                "life \(life) was dropped, and \(reply.records.count) records are there"
            )
        case (.lookForIt, .failure(let error)) where error.code == .notFound:
            life += 1
            roundsLeft -= 1
            go(to: .write)
        default: break
        }
    }

    private func go(to next: Step) {
        step = next
        tries = 0
        sequence += 1
    }
}
