import COmenFrame
import OmenCore

@testable import OmenWire

/// Every kind of message, plain and with everything in it, for round trips and mutations.
enum Samples {
    static let schema = CollectionSchema(dim: 3, metric: .cosine, element: .f32, codes: .u8)

    static let batch = UpsertBatch(
        collection: "default",
        element: .f32,
        dim: 2,
        ids: [.number(7), .text("Grüße"), .number(UInt64.max)],
        vectors: Array(0..<24),
        metadata: [Array(#"{"a":1}"#.utf8), [], Array(#"{"b":[true]}"#.utf8)]
    )

    static var query: SearchRequest {
        var query = SearchRequest(
            collection: "default",
            element: .u8,
            dim: 4,
            vectors: [1, 2, 3, 4, 5, 6, 7, 8],
            count: 2,
            limit: 10
        )
        query.effort = .ef(64)
        query.explain = true
        query.maxDistance = 2.5
        query.withMetadata = true
        query.withVector = true
        query.allowPartial = false
        return query
    }

    /// An order to one of 64 shards, as a coordinator writes it.
    static func order(_ request: SearchRequest) -> ShardOrder {
        let schema = CollectionSchema(dim: request.dim)
        do throws(OmenError) {
            return try ShardOrder(ordered: request, schema, limit: 7, shardCount: 64)
        } catch { preconditionFailure("\(error)") }
    }

    static var order: ShardOrder {
        var request = query
        request.effort = .exact
        request.timeoutMilliseconds = 1234
        return order(request)
    }

    static var explainedHits: SearchReply {
        var reply = numberHits
        var other = explanation
        other.shard = 4
        reply.explanations = [explanation, other]
        return reply
    }

    static var explanation: ShardExplanation {
        var found = ShardExplanation(shard: 3, rowCount: 9, linkedCount: 8, deletedCount: 1)
        found.queryCount = 12
        found.width = 40
        found.strangerCount = 2
        found.rerankCount = 15
        found.walkCount = 4
        found.scanCounts = [1, 0, 2, 0, 3, 1]
        found.distanceCount = 1 << 40
        found.nanoseconds = 77
        return found
    }

    static let partial = Coverage(
        shardsTotal: 8,
        failures: [
            ShardFailure(shard: 0, error: OmenError(.unavailable, "shard 0 is in backoff")),
            ShardFailure(shard: 5, error: OmenError(.corrupt, "")),
        ]
    )
    static let whole = Coverage(shardsTotal: 8)

    static let shardStatus = ShardStatus(
        residentByteCount: 1 << 30,
        logByteCount: 3,
        appliedLSN: 4,
        durableLSN: 5,
        checkpointLSN: 6,
        collections: [
            CollectionStatus(
                name: "a",
                schema: schema,
                vectors: 1,
                linked: 2,
                rows: 3,
                deleted: 4,
                fileByteCount: 5,
                building: 421,
                buildByteCount: 6,
                waitsForMemory: true,
                calibration: CalibrationTable(
                    isOfSample: true,
                    curves: [
                        [.init(ef: 8, recall: 0.5), .init(ef: 12, recall: 1)],
                        [.init(ef: 8, recall: 0)], [],
                    ]
                )
            )
        ]
    )

    static let numberHits = SearchReply(
        element: .f32,
        hitCounts: [2, 0, 1],
        hits: [
            Hit(id: .number(9), distance: -1),
            Hit(id: .number(3), distance: 0.5),
            Hit(id: .number(1), distance: .infinity),
        ],
        coverage: whole
    )

    static let fullHits = SearchReply(
        element: .u8,
        hitCounts: [3],
        hits: [
            Hit(id: .number(1), distance: 0, metadata: Array("{}".utf8), vector: [1, 2]),
            Hit(id: .number(2), distance: 0, metadata: nil, vector: [3, 4]),
            Hit(id: .text("x"), distance: 0, metadata: Array(#"{"a":0}"#.utf8), vector: nil),
        ],
        coverage: partial
    )

    static let writes: [WriteOperation] = [
        .createCollection(name: "images", schema: schema),
        .dropCollection(name: "images"),
        .clearCollection(name: "images"),
        .upsert(batch),
        .delete(collection: "default", ids: [.text("a"), .number(0)]),
        .calibrate(
            QuerySample(collection: "texts", element: .f32, dim: 1, vectors: Array(0..<64))
        ),
        .calibrate(QuerySample(collection: "texts", element: .u8, dim: 0, vectors: [])),
    ]

    /// What a coordinator makes of `writes`.
    static let orders: [CheckedOperation] = writes.map { write in
        let schemas = [
            "default": CollectionSchema(dim: 2), "images": schema,
            "texts": CollectionSchema(dim: 1),
        ]
        do throws(OmenError) {
            // The bytes make numbers so small that no door takes them.
            return try write.validated(against: schemas, rules: .stored)
        } catch { preconditionFailure("\(error)") }
    }

    static var requests: [Message] {
        let key = RequestKey(client: 0xFEDC_BA98_7654_3210, sequence: 1)
        return writes.map { .write(WriteRequest(key: key, operation: $0)) } + [
            .get(GetRequest(collection: "default", ids: batch.ids, withVector: true)),
            .count(collection: "default"),
            .list(ListRequest(collection: "default", shard: 3, start: .max, order: 7)),
            .search(query),
            .shardSearch(order),
        ] + orders.map { .shardWrite(ShardWrite(key: key, operation: $0)) } + [
            .listCollections, .status, .checkpoint, .ping, .stop, .acceptLoss(shard: 3),
        ]
    }

    static var replies: [Message] {
        let counts = WriteCounts(upserted: 3, replaced: 1, deleted: 2)
        return [
            .written(WriteReply(counts: counts, coverage: whole)),
            .written(WriteReply(counts: counts, coverage: partial)),
            .records(
                RecordsReply(
                    element: .f32,
                    records: [
                        Record(id: .number(1), metadata: nil, vector: [0, 0, 128, 63]),
                        Record(id: .text("b"), metadata: Array("{}".utf8), vector: nil),
                    ],
                    coverage: partial
                )
            ),
            .counted(CountReply(count: .max, coverage: whole)),
            .listed(ListReply(order: .max, next: 9, ids: [.number(1), .text("one")])),
            .listed(ListReply(order: 1, next: 0, ids: [])),
            .hits(numberHits),
            .hits(fullHits),
            .hits(explainedHits),
            .hits(SearchReply(element: .f32, hitCounts: [], hits: [], coverage: whole)),
            .collections([CollectionInfo(name: "a", schema: schema)]),
            .collections([]),
            .shardStatus(shardStatus),
            .clusterStatus(
                ClusterStatus(
                    pid: 1,
                    uptimeMilliseconds: 2,
                    socket: "/data/omen.sock",
                    workers: WorkerState.allCases.map { state in
                        WorkerStatus(
                            shard: UInt32(state.rawValue),
                            pid: 3,
                            state: state,
                            restarts: 4,
                            lastError: state == .dead ? "signal 9" : "",
                            shardStatus: state == .ready ? shardStatus : nil
                        )
                    }
                )
            ),
            .done,
            .announcement(
                WorkerAnnouncement(
                    shard: 1,
                    incarnation: 2,
                    state: .quarantined,
                    replayed: 3,
                    progress: ShardProgress(history: 4, generation: 5, durableLSN: 6),
                    collections: [CollectionInfo(name: "a", schema: schema)],
                    reason: "checksum of ckpt-1"
                )
            ),
        ] + OmenError.Code.allCases.map { .failure(OmenError($0, "text of \($0)")) }
    }

    static var all: [Message] { requests + replies }

    static var envelopes: [Envelope] {
        all.enumerated().map { Envelope(requestID: UInt64($0.offset) << 40, message: $0.element) }
    }
}

/// Feeds `bytes` in pieces of `step` bytes and gathers everything that comes out.
func decode(
    _ bytes: [UInt8],
    step: Int = .max,
    _ rules: FrameRules = .fromClient(of: testScope.cluster)
) throws -> [Envelope] {
    var decoder = FrameDecoder(rules)
    var envelopes: [Envelope] = []
    var offset = 0
    while offset < bytes.count {
        let end = min(bytes.count, step > bytes.count ? bytes.count : offset + step)
        bytes[offset..<end].withUnsafeBytes { decoder.append($0) }
        offset = end
        while let next = try decoder.next() { envelopes += next }
    }
    return envelopes
}

/// What the frames of a coordinator and a worker are about.
let testScope = FrameScope(
    cluster: ClusterUUID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
    shard: 0x2122_2324,
    epoch: 0x3132_3334_3536_3738
)

/// A header, changed by hand where `change` does so, and with a right checksum of its own.
func header(
    messageCount: UInt16 = 1,
    bodyByteCount: UInt32 = 16,
    bodyChecksum: UInt32 = 0,
    scope: FrameScope = .clients(),
    _ change: (inout ByteWriter) -> Void = { _ in }
) -> [UInt8] {
    let header = FrameHeader(
        messageCount: messageCount,
        bodyByteCount: bodyByteCount,
        bodyChecksum: bodyChecksum,
        scope: scope
    )
    var writer = ByteWriter()
    writer.write(raw: header.bytes)
    change(&writer)
    let checksum = writer.bytes.withUnsafeBytes { FrameHeader.checksum(ofHeader: $0) }
    writer.patch(checksum, at: Int(omen_frame_header_checksum_offset))
    return writer.bytes
}

/// A frame around hand-made message bytes, with a right header and checksums.
func frame(_ body: [UInt8], messageCount: UInt16 = 1, checksum: Bool = true) -> [UInt8] {
    header(
        messageCount: messageCount,
        bodyByteCount: UInt32(body.count),
        bodyChecksum: checksum ? crc32c(body) : 0
    ) + body
}

/// A message around a hand-made body, padded.
func message(_ kind: UInt16, requestID: UInt64 = 5, _ fill: (inout ByteWriter) -> Void) -> [UInt8] {
    var body = ByteWriter()
    fill(&body)
    var writer = ByteWriter()
    writer.write(UInt32(MessageHead.messageByteCount(bodyByteCount: body.count)))
    writer.write(kind)
    writer.write(UInt16(0))
    writer.write(requestID)
    writer.write(raw: body.bytes)
    writer.pad(to: 8)
    return writer.bytes
}
