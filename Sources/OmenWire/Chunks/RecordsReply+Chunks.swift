internal import OmenCore

extension RecordsReply {
    /// A reply of the same element type and coverage.
    init(records: [Record], like other: RecordsReply) {
        self.init(element: other.element, records: records, coverage: other.coverage)
    }

    /// Calls `body` with one chunk after the other; each is a whole reply with some of the records.
    ///
    /// - Parameters:
    ///   - byteCount: Bytes of a chunk's body, unless one record takes more.
    ///   - body: Takes a chunk and its place among the others.
    /// - Complexity: O(bytes of ids).
    func forEachChunk(ofAtMost byteCount: Int, _ body: (RecordsReply, ReplyChunk) -> Void) {
        let frame = RecordsReply(records: [], like: self).encodedByteCount
        var number: UInt64 = 0
        var start = 0
        repeat {
            var end = start
            var size = frame
            while end < records.count {
                size += records[end].encodedByteCount
                if end > start, size > byteCount { break }
                end += 1
            }
            let chunk = RecordsReply(records: Array(records[start..<end]), like: self)
            body(chunk, ReplyChunk(number: number, isLast: end == records.count))
            number += 1
            start = end
        } while start < records.count
    }

    /// Appends the records of the next chunk.
    ///
    /// - Throws: `.protocolViolation` when it is no chunk of the same reply, or there are more
    ///   records than one reply has.
    mutating func join(_ next: RecordsReply) throws(OmenError) {
        guard next.element == element, next.coverage == coverage else {
            throw OmenError(.protocolViolation, "chunks of different replies under one request id")
        }
        guard records.count + next.records.count <= Limits.batchCountMax else {
            throw OmenError(
                .protocolViolation,
                "chunks with \(records.count + next.records.count) records, at most \(Limits.batchCountMax)"
            )
        }
        records += next.records
    }
}
