extension ShardExplanation {
    /// Why queries were compared with every row, each reason once.
    package var scanReasons: [String] {
        ScanReason.allCases.filter { scanCounts[Int($0.rawValue)] > 0 }.map(\.text)
    }

    /// What `explain` shows of this shard, under the names of every door.
    package var json: JSON {
        .object([
            ("shard", .integer(Int(shard))),
            ("rows", .integer(Int(clamping: rowCount))),
            ("linked", .integer(Int(clamping: linkedCount))),
            ("deleted", .integer(Int(clamping: deletedCount))),
            ("queries", .integer(Int(queryCount))),
            ("walks", .integer(Int(walkCount))),
            ("width", .integer(Int(width))),
            ("unlike_rows", .integer(Int(strangerCount))),
            ("rerank_min", .integer(Int(rerankCount))),
            ("scans", .integer(Int(scanCount))),
            ("scan_reasons", .array(scanReasons.map(JSON.string))),
            ("distances", .integer(Int(clamping: distanceCount))),
            ("seconds", .number(Double(nanoseconds) / 1e9)),
        ])
    }
}
