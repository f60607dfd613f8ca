internal import OmenCore

extension SearchReply {
    private var columns: ReplyColumns {
        ReplyColumns(list, hasExplanations: !explanations.isEmpty)
    }

    /// Columns, not rows: distances, then ids, each copied in one piece.
    ///
    /// - Precondition: `hitCounts` add up to `list.count`.
    func encode(into writer: inout ByteWriter) {
        let columns = columns
        coverage.encode(into: &writer)
        writer.write(element.rawValue)
        writer.write(columns.flags)
        writer.write(UInt32(hitCounts.count))
        hitCounts.withUnsafeBytes { writer.write(raw: $0) }
        writer.write(UInt32(list.count))
        switch list {
        case .numbered(let distances, let ids):
            precondition(ids.count == distances.count, "columns of different lengths")
            distances.withUnsafeBytes { writer.write(raw: $0) }
            ids.withUnsafeBytes { writer.write(raw: $0) }
        case .full(let hits): Self.encode(hits, columns, into: &writer)
        }
        guard columns.hasExplanations else { return }
        writer.write(UInt32(explanations.count))
        for explanation in explanations { explanation.encode(into: &writer) }
    }

    private static func encode(
        _ hits: [Hit],
        _ columns: ReplyColumns,
        into writer: inout ByteWriter
    ) {
        Self.writeColumn(hits, into: &writer) { $0.distance }
        if columns.hasTexts {
            for hit in hits { hit.id.encode(into: &writer) }
        } else {
            Self.writeColumn(hits, into: &writer) { hit in
                guard case .number(let number) = hit.id else {
                    preconditionFailure("a text among numbers")
                }
                return number
            }
        }
        if columns.hasMetadata {
            for hit in hits { writer.write(counted: hit.metadata ?? []) }
        }
        if columns.hasVectors {
            for hit in hits { writer.write(counted: hit.vector ?? []) }
        }
    }

    private static func writeColumn<Value: BitwiseCopyable>(
        _ hits: [Hit],
        into writer: inout ByteWriter,
        _ value: (Hit) -> Value
    ) {
        withUnsafeTemporaryAllocation(of: Value.self, capacity: hits.count) { column in
            for (index, hit) in hits.enumerated() { column[index] = value(hit) }
            writer.write(raw: UnsafeRawBufferPointer(column))
        }
    }

    init(from reader: inout ByteReader) throws(OmenError) {
        let coverage = try Coverage(from: &reader)
        let columns = try SearchReplyColumns(from: &reader)
        let counts = [UInt32](unsafeUninitializedCapacity: columns.queryCount) { buffer, count in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: columns.counts)
            count = columns.queryCount
        }
        let list: HitList
        if let numbers = columns.numbers {
            list = .numbered(
                distances: [Float](unsafeUninitializedCapacity: columns.hitCount) { buffer, count in
                    UnsafeMutableRawBufferPointer(buffer).copyMemory(from: columns.distances)
                    count = columns.hitCount
                },
                ids: [UInt64](unsafeUninitializedCapacity: columns.hitCount) { buffer, count in
                    UnsafeMutableRawBufferPointer(buffer).copyMemory(from: numbers)
                    count = columns.hitCount
                }
            )
        } else {
            list = .full(try Self.readHits(columns.distances, columns.flags, from: &reader))
        }
        self.init(element: columns.element, hitCounts: counts, list: list, coverage: coverage)
        switch list {
        case .numbered: try columns.checkOrder()
        case .full(let hits): try checkOrder(hits)
        }
        guard columns.flags.hasExplanations else { return }
        let count = try reader.readItemCount(
            limit: Limits.shardCountMax,
            least: ShardExplanation.byteCount
        )
        for _ in 0..<count { explanations.append(try ShardExplanation(from: &reader)) }
        guard Set(explanations.map(\.shard)).count == count else {
            throw OmenError(.protocolViolation, "a shard explains itself twice")
        }
    }

    private static func readHits(
        _ distances: UnsafeRawBufferPointer,
        _ columns: ReplyColumns,
        from reader: inout ByteReader
    ) throws(OmenError) -> [Hit] {
        let count = distances.count / 4
        var hits: [Hit] = []
        hits.reserveCapacity(count)
        if columns.hasTexts {
            for index in 0..<count {
                let distance = distances.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                hits.append(Hit(id: try RecordID(from: &reader), distance: distance))
            }
        } else {
            let numbers = try reader.read(count: count * 8)
            for index in 0..<count {
                let distance = distances.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                let number = numbers.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                hits.append(Hit(id: .number(number), distance: distance))
            }
        }
        if columns.hasMetadata {
            for index in 0..<count {
                hits[index].metadata = try reader.readOptional(limit: Limits.metadataByteCountMax)
            }
        }
        if columns.hasVectors {
            for index in 0..<count {
                hits[index].vector = try reader.readOptional(limit: Limits.vectorByteCountMax)
            }
        }
        return hits
    }

    /// Merging takes order for granted, so a peer that breaks it is stopped here.
    private func checkOrder(_ hits: [Hit]) throws(OmenError) {
        var start = 0
        for (query, count) in hitCounts.enumerated() {
            var last = -Float.infinity
            for index in start..<start + Int(count) {
                let distance = hits[index].distance
                let isTie = index > start && distance == last
                // Not a number is neither above nor equal.
                guard distance > last || distance == last,
                    !isTie || !(hits[index].id < hits[index - 1].id)
                else { throw SearchReplyColumns.disorder(query) }
                last = distance
            }
            start += Int(count)
        }
    }
}
