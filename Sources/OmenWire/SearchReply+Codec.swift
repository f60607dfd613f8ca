internal import OmenCore

#if _endian(big)
#error("columns are copied as they lie in memory, which must be little-endian")
#endif

/// What the hits of a reply have, found in one pass; decides which columns are sent.
private struct HitColumns {
    private enum Flag {
        static let texts: UInt8 = 1
        static let metadata: UInt8 = 2
        static let vectors: UInt8 = 4
        static let all: UInt8 = 7
    }

    var hasTexts = false
    var hasMetadata = false
    var hasVectors = false
    private var textByteCount = 0
    private var extraByteCount = 0

    init(_ hits: [Hit]) {
        for hit in hits {
            if case .text(let text) = hit.id {
                hasTexts = true
                // A text takes its length instead of the 8 bytes of a number.
                textByteCount += text.utf8.count - 8
            }
            if let metadata = hit.metadata {
                hasMetadata = true
                extraByteCount += metadata.count
            }
            if let vector = hit.vector {
                hasVectors = true
                extraByteCount += vector.count
            }
        }
    }

    init(flags: UInt8) throws(OmenError) {
        guard flags & ~Flag.all == 0 else {
            throw OmenError(.protocolViolation, "hit columns are \(flags)")
        }
        hasTexts = flags & Flag.texts != 0
        hasMetadata = flags & Flag.metadata != 0
        hasVectors = flags & Flag.vectors != 0
    }

    var flags: UInt8 {
        (hasTexts ? Flag.texts : 0) | (hasMetadata ? Flag.metadata : 0)
            | (hasVectors ? Flag.vectors : 0)
    }

    /// Least bytes of one hit.
    var leastByteCount: Int { (hasTexts ? 7 : 12) + (hasMetadata ? 4 : 0) + (hasVectors ? 4 : 0) }

    func byteCount(hitCount: Int) -> Int {
        let fixed = 12 + (hasTexts ? 2 : 0) + (hasMetadata ? 4 : 0) + (hasVectors ? 4 : 0)
        return hitCount * fixed + textByteCount + extraByteCount
    }
}

extension SearchReply {
    var bodyByteCount: Int {
        coverage.bodyByteCount + 2 + 4 + hitCounts.count * 4 + 4
            + HitColumns(hits).byteCount(hitCount: hits.count)
    }

    /// Columns, not rows: distances, then ids, each copied in one piece.
    ///
    /// - Precondition: `hitCounts` add up to `hits.count`.
    func encode(into writer: inout ByteWriter) {
        let columns = HitColumns(hits)
        coverage.encode(into: &writer)
        writer.write(element.rawValue)
        writer.write(columns.flags)
        writer.write(UInt32(hitCounts.count))
        hitCounts.withUnsafeBytes { writer.write(raw: $0) }
        writer.write(UInt32(hits.count))
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
        coverage = try Coverage(from: &reader)
        element = try reader.readElementType()
        let columns = try HitColumns(flags: try reader.read(UInt8.self))
        let queryCount = try reader.readItemCount(limit: Limits.queryCountMax, least: 4)
        let counts = try reader.read(count: queryCount * 4)
        hitCounts = (0..<queryCount).map {
            counts.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)
        }
        let hitCount = try reader.readItemCount(
            limit: queryCount * Limits.kMax,
            least: columns.leastByteCount
        )
        guard hitCounts.reduce(0, { $0 + Int($1) }) == hitCount else {
            throw OmenError(.protocolViolation, "hit counts do not add up to \(hitCount)")
        }
        // Read twice, borrowed: checking a column of floats is cheaper than copying hits about.
        let distances = try reader.read(count: hitCount * 4)
        hits = try Self.readHits(distances, columns, from: &reader)
        try checkOrder(distances)
    }

    private static func readHits(
        _ distances: UnsafeRawBufferPointer,
        _ columns: HitColumns,
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
    private func checkOrder(_ distances: UnsafeRawBufferPointer) throws(OmenError) {
        var start = 0
        for (query, count) in hitCounts.enumerated() {
            var last = -Float.infinity
            for index in start..<start + Int(count) {
                let distance = distances.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                let isTie = index > start && distance == last
                // Not a number is neither above nor equal.
                guard distance > last || distance == last,
                    !isTie || !(hits[index].id < hits[index - 1].id)
                else {
                    throw OmenError(.protocolViolation, "hits of query \(query) are not ascending")
                }
                last = distance
            }
            start += Int(count)
        }
    }
}
