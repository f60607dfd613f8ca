package import OmenCore

extension OmenError {
    static let leastByteCount = 12

    func encode(into writer: inout ByteWriter) {
        writer.write(code.rawValue)
        writer.write(retryAfterMilliseconds)
        writer.write(message.cutForFrame)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let number = try reader.read(Int32.self)
        guard let code = Code(rawValue: number) else {
            throw OmenError(.protocolViolation, "error code \(number) is unknown")
        }
        let retryAfter = try reader.read(UInt32.self)
        self.init(
            code,
            try reader.readText(limit: Limits.errorMessageByteCountMax),
            retryAfterMilliseconds: retryAfter
        )
    }
}

extension Coverage {
    func encode(into writer: inout ByteWriter) {
        writer.write(shardsTotal)
        writer.write(UInt32(failures.count))
        for failure in failures {
            writer.write(failure.shard)
            failure.error.encode(into: &writer)
        }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let total = try reader.read(UInt32.self)
        guard total <= Limits.shardCountMax else {
            throw OmenError(.protocolViolation, "\(total) shards, limit \(Limits.shardCountMax)")
        }
        let count = try reader.readItemCount(
            limit: Int(total),
            least: 4 + OmenError.leastByteCount
        )
        var failures: [ShardFailure] = []
        failures.reserveCapacity(count)
        for _ in 0..<count {
            let shard = try reader.read(UInt32.self)
            guard shard < total, failures.last.map({ $0.shard < shard }) ?? true else {
                throw OmenError(
                    .protocolViolation,
                    "failed shard \(shard) of \(total) in wrong order"
                )
            }
            failures.append(ShardFailure(shard: shard, error: try OmenError(from: &reader)))
        }
        self.init(shardsTotal: total, failures: failures)
    }
}

extension WriteReply {
    func encode(into writer: inout ByteWriter) {
        writer.write(counts.upserted)
        writer.write(counts.replaced)
        writer.write(counts.deleted)
        coverage.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let upserted = try reader.read(UInt64.self)
        let replaced = try reader.read(UInt64.self)
        let deleted = try reader.read(UInt64.self)
        counts = WriteCounts(upserted: upserted, replaced: replaced, deleted: deleted)
        coverage = try Coverage(from: &reader)
    }
}

extension CountReply {
    func encode(into writer: inout ByteWriter) {
        writer.write(count)
        coverage.encode(into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        count = try reader.read(UInt64.self)
        coverage = try Coverage(from: &reader)
    }
}

extension ListReply {
    func encode(into writer: inout ByteWriter) {
        writer.write(order)
        writer.write(next)
        RecordID.encode(ids, into: &writer)
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        order = try reader.read(UInt64.self)
        next = try reader.read(UInt64.self)
        ids = try RecordID.decodeList(from: &reader, limit: Limits.batchCountMax)
    }
}

extension Record: ByteEncodable {
    package func encode(into writer: inout ByteWriter) {
        id.encode(into: &writer)
        writer.write(counted: metadata ?? [])
        writer.write(counted: vector ?? [])
    }
}

extension RecordsReply: ByteEncodable {
    package func encode(into writer: inout ByteWriter) {
        coverage.encode(into: &writer)
        writer.write(element.rawValue)
        writer.write(UInt32(records.count))
        for record in records { record.encode(into: &writer) }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        coverage = try Coverage(from: &reader)
        element = try ElementType(from: &reader)
        let count = try reader.readItemCount(limit: Limits.batchCountMax, least: 11)
        records = []
        records.reserveCapacity(count)
        for _ in 0..<count {
            let id = try RecordID(from: &reader)
            let metadata = try reader.readOptional(limit: Limits.metadataByteCountMax)
            let vector = try reader.readOptional(limit: Limits.vectorByteCountMax)
            records.append(Record(id: id, metadata: metadata, vector: vector))
        }
    }
}
