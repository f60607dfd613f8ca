internal import OmenCore

extension ShardExplanation {
    /// Bytes of one explanation.
    static let byteCount = 6 * 4 + ScanReason.allCases.count * 4 + 5 * 8

    func encode(into writer: inout ByteWriter) {
        writer.write(shard)
        writer.write(queryCount)
        writer.write(walkCount)
        writer.write(width)
        writer.write(strangerCount)
        writer.write(rerankCount)
        for count in scanCounts { writer.write(count) }
        writer.write(rowCount)
        writer.write(linkedCount)
        writer.write(deletedCount)
        writer.write(distanceCount)
        writer.write(nanoseconds)
    }

    /// - Throws: `.protocolViolation` for more walks and scans than queries.
    init(from reader: inout ByteReader) throws(OmenError) {
        let shard = try reader.read(UInt32.self)
        let queries = try reader.read(UInt32.self)
        let walks = try reader.read(UInt32.self)
        let width = try reader.read(UInt32.self)
        let strangers = try reader.read(UInt32.self)
        let reranked = try reader.read(UInt32.self)
        var scans: [UInt32] = []
        for _ in ScanReason.allCases { scans.append(try reader.read(UInt32.self)) }
        self.init(
            shard: shard,
            rowCount: try reader.read(UInt64.self),
            linkedCount: try reader.read(UInt64.self),
            deletedCount: try reader.read(UInt64.self)
        )
        queryCount = queries
        walkCount = walks
        self.width = width
        strangerCount = strangers
        rerankCount = reranked
        scanCounts = scans
        distanceCount = try reader.read(UInt64.self)
        nanoseconds = try reader.read(UInt64.self)
        let answered = scans.reduce(UInt64(walks)) { $0 + UInt64($1) }
        guard answered <= UInt64(queries) else {
            throw OmenError(.protocolViolation, "\(answered) walks and scans of \(queries) queries")
        }
    }
}
