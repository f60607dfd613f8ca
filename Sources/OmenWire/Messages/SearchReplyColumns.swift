package import OmenCore

#if _endian(big)
#error("columns are copied as they lie in memory, which must be little-endian")
#endif

/// What the hits of a reply have, found in one pass; decides which columns are sent.
struct ReplyColumns {
    private enum ColumnFlag {
        static let texts: UInt8 = 1
        static let metadata: UInt8 = 2
        static let vectors: UInt8 = 4
        /// What the shards decided follows the columns.
        static let explanations: UInt8 = 8
        static let all: UInt8 = 15
    }

    var hasTexts = false
    var hasMetadata = false
    var hasVectors = false
    var hasExplanations = false

    init(_ list: HitList, hasExplanations: Bool) {
        self.hasExplanations = hasExplanations
        guard case .full(let hits) = list else { return }
        for hit in hits {
            if case .text = hit.id { hasTexts = true }
            if hit.metadata != nil { hasMetadata = true }
            if hit.vector != nil { hasVectors = true }
        }
    }

    init(flags: UInt8) throws(OmenError) {
        guard flags & ~ColumnFlag.all == 0 else {
            throw OmenError(.protocolViolation, "hit columns are \(flags)")
        }
        hasTexts = flags & ColumnFlag.texts != 0
        hasMetadata = flags & ColumnFlag.metadata != 0
        hasVectors = flags & ColumnFlag.vectors != 0
        hasExplanations = flags & ColumnFlag.explanations != 0
    }

    var flags: UInt8 {
        (hasTexts ? ColumnFlag.texts : 0) | (hasMetadata ? ColumnFlag.metadata : 0)
            | (hasVectors ? ColumnFlag.vectors : 0)
            | (hasExplanations ? ColumnFlag.explanations : 0)
    }

    /// Whether hits are numbers and distances alone.
    var hasOnlyNumbers: Bool { !hasTexts && !hasMetadata && !hasVectors }

    /// Least bytes of one hit.
    var leastByteCount: Int { (hasTexts ? 7 : 12) + (hasMetadata ? 4 : 0) + (hasVectors ? 4 : 0) }
}

/// A search's answer as it lies in a frame, behind its coverage; borrows the frame's bytes.
struct SearchReplyColumns {
    let element: ElementType
    let flags: ReplyColumns
    let queryCount: Int
    let hitCount: Int
    let counts: UnsafeRawBufferPointer
    let distances: UnsafeRawBufferPointer
    /// The ids, when all that follows is numbers; else nil, and the ids are still to be read.
    let numbers: UnsafeRawBufferPointer?

    init(from reader: inout ByteReader) throws(OmenError) {
        element = try ElementType(from: &reader)
        flags = try ReplyColumns(flags: try reader.read(UInt8.self))
        queryCount = try reader.readItemCount(limit: Limits.queryCountMax, least: 4)
        counts = try reader.read(count: queryCount * 4)
        hitCount = try reader.readItemCount(
            limit: queryCount * Limits.limitMax,
            least: flags.leastByteCount
        )
        var sum = 0
        for query in 0..<queryCount {
            sum += Int(counts.loadUnaligned(fromByteOffset: query * 4, as: UInt32.self))
        }
        guard sum == hitCount else {
            throw OmenError(.protocolViolation, "hit counts do not add up to \(hitCount)")
        }
        distances = try reader.read(count: hitCount * 4)
        numbers = flags.hasOnlyNumbers ? try reader.read(count: hitCount * 8) : nil
    }

    /// As `SearchReply.checkOrder`, on columns.
    func checkOrder() throws(OmenError) {
        guard let numbers else { return }
        var index = 0
        for query in 0..<queryCount {
            let count = Int(counts.loadUnaligned(fromByteOffset: query * 4, as: UInt32.self))
            let end = index + count
            var last = -Float.infinity
            var lastNumber: UInt64 = 0
            while index < end {
                let distance = distances.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                let number = numbers.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                // Not a number is neither above nor equal.
                guard distance > last || (distance == last && number >= lastNumber) else {
                    throw Self.disorder(query)
                }
                last = distance
                lastNumber = number
                index += 1
            }
        }
    }

    static func disorder(_ query: Int) -> OmenError {
        OmenError(.protocolViolation, "hits of query \(query) are not ascending")
    }
}

/// The answer of one shard that is whole and only numbers and distances, still in its frame.
///
/// Borrowed: valid inside the call that gives it. Checked like any reply: the counts add up and
/// each query's hits ascend.
package struct NumberedHits {
    package let element: ElementType
    package let queryCount: Int
    package let hitCount: Int
    /// `UInt32` per query.
    package let counts: UnsafeRawBufferPointer
    /// `Float` per hit.
    package let distances: UnsafeRawBufferPointer
    /// `UInt64` per hit.
    package let ids: UnsafeRawBufferPointer

    /// Nil when the reply of `message`, a `.hits`, has more to it and must be decoded.
    ///
    /// - Throws: `.protocolViolation` for what decoding it would throw.
    package init?(_ message: RawMessage) throws(OmenError) {
        precondition(message.kind == .hits, "\(message.kind) has no hits")
        var reader = ByteReader(message.body)
        do throws(OmenError) {
            _ = try reader.read(UInt32.self)
            guard try reader.read(UInt32.self) == 0 else { return nil }
            let columns = try SearchReplyColumns(from: &reader)
            guard let numbers = columns.numbers, !columns.flags.hasExplanations else { return nil }
            try columns.checkOrder()
            try RawMessage.expectPadding(&reader)
            element = columns.element
            queryCount = columns.queryCount
            hitCount = columns.hitCount
            counts = columns.counts
            distances = columns.distances
            ids = numbers
        } catch {
            throw OmenError(.protocolViolation, "\(message.kind): \(error.message)")
        }
    }

    /// The same reply with memory of its own.
    ///
    /// - Returns: The reply of one shard that answered wholly.
    /// - Complexity: O(queries + hits).
    package func decoded() -> SearchReply {
        SearchReply(
            element: element,
            hitCounts: (0..<queryCount).map {
                counts.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)
            },
            list: .numbered(
                distances: (0..<hitCount).map {
                    distances.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self)
                },
                ids: (0..<hitCount).map {
                    ids.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
                }
            ),
            coverage: Coverage(shardsTotal: 1)
        )
    }
}
