import Glibc
import OmenCoordinator
import OmenCore
import OmenWire

// A worker that keeps ids in memory: stands in for the real one where only processes, sockets and
// frames matter. Id 666 makes it exit, 667 makes it deaf.

guard CommandLine.arguments.dropFirst().first == WorkerOrders.command else { exit(64) }
let orders = try WorkerOrders(arguments: Array(CommandLine.arguments.dropFirst(2)))
let socket = WorkerOrders.descriptor
// The cluster of `ServerTests`.
let scope = FrameScope(
    cluster: ClusterUUID(high: 1, low: 2),
    shard: orders.shard,
    epoch: orders.epoch
)

struct FakeShard {
    let one = Coverage(shardsTotal: 1)
    var ids: Set<RecordID> = []
    var collections: [CollectionInfo] = []

    mutating func reply(to write: ShardWrite) -> Message {
        var counts = WriteCounts()
        switch write.operation.operation {
        case .createCollection(let name, let schema):
            collections.append(CollectionInfo(name: name, schema: schema))
        case .dropCollection, .clearCollection:
            collections = []
            ids = []
        case .upsert(let batch):
            if batch.ids.contains(.number(666)) { exit(7) }
            if batch.ids.contains(.number(667)) { while true { sleep(1000) } }
            ids.formUnion(batch.ids)
            counts.upserted = UInt64(batch.ids.count)
        case .delete(_, let gone): ids.subtract(gone)
        case .calibrate: break
        }
        return .written(WriteReply(counts: counts, coverage: one))
    }

    mutating func reply(to message: Message) -> Message {
        switch message {
        case .shardWrite(let write): return reply(to: write)
        // As many bytes as records may have, so that some replies fit no frame.
        case .get(let request):
            let metadata = [UInt8](repeating: 32, count: Limits.metadataByteCountMax)
            let records = request.ids.map { Record(id: $0, metadata: metadata, vector: nil) }
            return .records(RecordsReply(element: .u8, records: records, coverage: one))
        case .count: return .counted(CountReply(count: UInt64(ids.count), coverage: one))
        case .shardSearch(let order):
            let hits = ids.sorted().prefix(order.limit).map { Hit(id: $0, distance: 1) }
            return .hits(
                SearchReply(
                    element: .f32,
                    hitCounts: [UInt32(hits.count)],
                    hits: hits,
                    coverage: one
                )
            )
        case .listCollections: return .collections(collections)
        default: return .done
        }
    }
}

func send(_ envelopes: [Envelope]) {
    var encoder = FrameEncoder(scope)
    for envelope in envelopes { encoder.append(envelope) }
    var bytes = encoder.finish()[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(socket, $0.baseAddress, $0.count) }
        guard count > 0 else { exit(2) }
        bytes.removeFirst(count)
    }
}

let hello = WorkerAnnouncement(
    shard: orders.shard,
    incarnation: orders.incarnation,
    state: .ready,
    progress: ShardProgress(history: 1, generation: 0, durableLSN: 0)
)
send([Envelope(requestID: 0, message: .announcement(hello))])
var fake = FakeShard()
var decoder = FrameDecoder(.between(scope))
var buffer = [UInt8](repeating: 0, count: 1 << 16)
while true {
    let count = read(socket, &buffer, buffer.count)
    guard count > 0 else { exit(count == 0 ? 0 : 3) }
    buffer.withUnsafeBytes { decoder.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    while let envelopes = try decoder.next() {
        let replies = envelopes.map {
            Envelope(requestID: $0.requestID, message: fake.reply(to: $0.message))
        }
        send(replies)
        if envelopes.contains(where: { $0.message == .stop }) { exit(0) }
    }
}
