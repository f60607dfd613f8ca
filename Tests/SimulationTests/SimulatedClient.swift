import OmenCore
import OmenWire

/// A client that knows what it was promised: it writes versions of its own ids and retries by key.
///
/// One request at a time.
final class SimulatedClient: SimulatedCaller {
    /// What the newest acknowledged write left, and what may be there instead.
    private struct Expected {
        /// 0: absent.
        var committed: UInt64 = 0
        var unsettled: [UInt64] = []
    }

    private static let idCount: UInt64 = 12
    static let collection = "c"
    static let dim = 4

    unowned let simulation: Simulation
    let number: UInt64
    private var records: [UInt64: Expected] = [:]
    private var deletes: Set<UInt64> = []
    private var version: UInt64 = 0
    private var sequence: UInt64 = 0
    private var requestID: UInt64 = 0
    private(set) var acknowledged = 0
    private(set) var remaining: Int
    private var pending: (request: WriteRequest, ids: [UInt64], counts: WriteCounts)?
    private var expected: Expectation = .nothing
    private var isLastReadDue = false
    /// The coordinator's number of our connection; nil when there is none.
    private(set) var connection: UInt64?

    private enum Expectation {
        case nothing
        case written
        case records([UInt64])
    }

    init(_ simulation: Simulation, number: UInt64, writes: Int) {
        self.simulation = simulation
        self.number = number
        remaining = writes
    }

    var isFinished: Bool { remaining == 0 && pending == nil }

    func connected(_ connection: UInt64) {
        self.connection = connection
        proceed()
    }

    func disconnected() {
        connection = nil
        expected = .nothing
    }

    /// Sends what comes next: the pending write again, a read of everything, or a new write.
    private func proceed() {
        guard connection != nil else { return }
        if isLastReadDue {
            readEverything()
        } else if let pending {
            send(.write(pending.request), .written)
        } else if simulation.draw(0...3) == 0, !records.isEmpty {
            readEverything()
        } else if remaining > 0 {
            remaining -= 1
            write()
        }
    }

    private func write() {
        version += 1
        sequence += 1
        let count = simulation.draw(1...5)
        let ids = Set((0..<count).map { _ in number * 1000 + simulation.draw(1...Self.idCount) })
            .sorted()
        // The first write makes the collection; until then there is nothing to delete from.
        let isDelete = acknowledged > 0 && simulation.draw(0...4) == 0
        if isDelete { deletes.insert(version) }
        // A retry must be answered as if it were the first: it is not to be applied twice.
        let present = UInt64(ids.count { isPresent($0) })
        let counts =
            isDelete
            ? WriteCounts(deleted: present)
            : WriteCounts(upserted: UInt64(ids.count), replaced: present)
        for id in ids { records[id, default: Expected()].unsettled.append(version) }
        let names = ids.map { RecordID.number($0) }
        let operation: WriteOperation =
            isDelete
            ? .delete(collection: Self.collection, ids: names)
            : .upsert(
                UpsertBatch(
                    collection: Self.collection,
                    element: .u8,
                    dim: Self.dim,
                    ids: names,
                    vectors: ids.flatMap { Self.vector($0, version) },
                    metadata: ids.map { Self.metadata($0, version) }
                )
            )
        let key = RequestKey(client: number + 1, sequence: sequence)
        pending = (WriteRequest(key: key, operation: operation), ids, counts)
        proceed()
    }

    /// Whether a record is there, as long as no write of it is under way.
    private func isPresent(_ id: UInt64) -> Bool {
        guard let committed = records[id]?.committed else { return false }
        return committed != 0 && !deletes.contains(committed)
    }

    /// Reads everything once more, after the reply that is still awaited.
    func readAtTheEnd() {
        isLastReadDue = true
        if case .nothing = expected { proceed() }
    }

    /// Whether the last read was answered in full.
    private(set) var isLastReadDone = false

    private func readEverything() {
        let ids = records.keys.sorted()
        let request = GetRequest(
            collection: Self.collection,
            ids: ids.map { .number($0) },
            withVector: true
        )
        send(.get(request), .records(ids))
    }

    private func send(_ message: Message, _ expected: Expectation) {
        requestID += 1
        self.expected = expected
        simulation.fromClient(self, Envelope(requestID: requestID, message: message))
    }

    /// The only bytes that version of that id may have.
    private static func vector(_ id: UInt64, _ version: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: id &* 1_000_003 &+ version)
        let bits = generator.next()
        return (0..<UInt64(dim)).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
    }

    private static func metadata(_ id: UInt64, _ version: UInt64) -> [UInt8] {
        Array("{\"id\":\(id),\"version\":\(version)}".utf8)
    }
}

// MARK: - Replies

extension SimulatedClient {
    func receive(_ envelope: Envelope) {
        guard envelope.requestID == requestID else {
            simulation.violation("client \(number): reply to \(envelope.requestID) came twice")
            return
        }
        let awaited = expected
        expected = .nothing
        switch (awaited, envelope.message) {
        case (.written, .written(let reply)) where !reply.coverage.isPartial: settle(reply.counts)
        case (.written, .failure(let error))
        where error.code == .badRequest || error.code == .notFound:
            simulation.violation("client \(number): a valid write was refused: \(error)")
        case (.records(let ids), .records(let reply)) where !reply.coverage.isPartial:
            compare(ids, reply.records)
            if isLastReadDue, ids.count == records.count { isLastReadDone = true }
        default: break
        }
        simulation.schedule(after: simulation.draw(0...20_000_000)) { [weak self] in
            guard let self, case .nothing = self.expected, !self.isLastReadDone else { return }
            self.proceed()
        }
    }

    /// Acknowledged: from now on exactly this version is there.
    private func settle(_ counts: WriteCounts) {
        guard let write = pending else { return }
        if counts != write.counts {
            simulation.violation("\(write.request.key) did \(counts), expected \(write.counts)")
        }
        pending = nil
        acknowledged += write.ids.count
        for id in write.ids {
            guard let newest = records[id]?.unsettled.last else { continue }
            records[id] = Expected(committed: newest)
        }
    }

    private func compare(_ ids: [UInt64], _ found: [Record]) {
        var stored: [UInt64: Record] = [:]
        for record in found {
            guard case .number(let id) = record.id else { continue }
            if stored.updateValue(record, forKey: id) != nil {
                simulation.violation("client \(number): record \(id) came twice")
            }
        }
        for id in ids { judge(id, stored[id]) }
    }

    private func judge(_ id: UInt64, _ found: Record?) {
        guard let record = records[id] else { return }
        let allowed = [record.committed] + record.unsettled
        guard let found else {
            if !allowed.contains(where: { $0 == 0 || deletes.contains($0) }) {
                simulation.violation("record \(id) is lost, expected version \(allowed)")
            }
            return
        }
        let versions = allowed.filter { $0 > 0 && !deletes.contains($0) }
        guard
            let version = versions.first(where: { Self.metadata(id, $0) == found.metadata ?? [] })
        else {
            let seen = String(decoding: found.metadata ?? [], as: UTF8.self)
            simulation.violation("record \(id) is \(seen), expected version \(allowed)")
            return
        }
        if found.vector != Self.vector(id, version) {
            simulation.violation("record \(id) version \(version) has another vector")
        }
    }
}
