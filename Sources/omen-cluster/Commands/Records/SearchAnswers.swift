internal import OmenCore
internal import OmenWire

/// What came back for all queries, in order.
struct SearchAnswers {
    var hits: [[Hit]] = []
    /// Type of the elements of the hits' vectors.
    private(set) var element = ElementType.f32
    var coverage = Coverage(shardsTotal: 0)
    var seconds = 0.0
    private var latencies: [Double] = []
    /// What each shard decided, if that was asked for, summed over all requests.
    private var explanations: [UInt32: ShardExplanation] = [:]

    mutating func append(
        _ reply: SearchReply,
        queryCount: Int,
        seconds: Double
    ) throws(OmenError) {
        guard reply.hitCounts.count == queryCount else {
            throw OmenError(
                .protocolViolation,
                "\(reply.hitCounts.count) answers to \(queryCount) queries"
            )
        }
        element = reply.element
        let all = reply.hits
        var start = 0
        for count in reply.hitCounts {
            let end = start + Int(count)
            guard end <= all.count else {
                throw OmenError(.protocolViolation, "fewer hits than the reply counts")
            }
            hits.append(Array(all[start..<end]))
            start = end
        }
        self.seconds += seconds
        latencies.append(seconds)
        for explanation in reply.explanations {
            explanations[explanation.shard, default: explanation.emptied] += explanation
        }
        // A shard that missed any of the queries is missing from the whole.
        coverage.shardsTotal = reply.coverage.shardsTotal
        let known = Set(coverage.failures.map(\.shard))
        coverage.failures += reply.coverage.failures.filter { !known.contains($0.shard) }
        coverage.failures.sort { $0.shard < $1.shard }
    }

    /// The latency that `share` of the requests did not exceed.
    private func percentile(_ share: Double) -> Double {
        let sorted = latencies.sorted()
        guard let last = sorted.last else { return 0 }
        let index = Int((Double(sorted.count) * share).rounded(.up)) - 1
        return sorted.indices.contains(index) ? sorted[index] : last
    }

    var latencyText: String {
        "latency p50 \(rounded(percentile(0.5) * 1000)) ms, p99 \(rounded(percentile(0.99) * 1000)) ms"
    }

    private var orderedExplanations: [ShardExplanation] {
        explanations.values.sorted { $0.shard < $1.shard }
    }

    /// A line for each shard.
    var explanationText: String {
        var table = TextTable([
            "shard#", "rows#", "linked#", "walks#", "width#", "scans#", "rerank min#", "unlike#",
            "distances#", "ms#", "why scanned",
        ])
        for one in orderedExplanations {
            table.append([
                "\(one.shard)", "\(one.rowCount)", "\(one.linkedCount)", "\(one.walkCount)",
                "\(one.width)", "\(one.scanCount)", "\(one.rerankCount)",
                "\(one.strangerCount)", "\(one.distanceCount)",
                rounded(Double(one.nanoseconds) / 1e6), one.scanReasons.joined(separator: "; "),
            ])
        }
        return table.text
    }

    func json(recall: Double?, latencies: Bool) -> JSON {
        var members: [(String, JSON)] = [
            ("hits", .array(hits.map { .array($0.map(json)) })),
            ("seconds", .number(seconds)),
        ]
        members += coverage.members
        if let recall { members.append(("recall", .number(recall))) }
        if !explanations.isEmpty {
            members.append(("explain", .array(orderedExplanations.map(\.json))))
        }
        if latencies {
            members.append(
                (
                    "latency_seconds",
                    .object([
                        ("p50", .number(percentile(0.5))), ("p99", .number(percentile(0.99))),
                    ])
                )
            )
        }
        return .object(members)
    }

    private func json(_ hit: Hit) -> JSON {
        var members: [(String, JSON)] = [
            ("id", hit.id.json),
            ("distance", .float(hit.distance)),
            ("metadata", hit.metadata.map { .text($0) } ?? .null),
        ]
        if let vector = hit.vector {
            members.append(("vector", vectorJSON(vector, element: element)))
        }
        return .object(members)
    }
}

extension ShardExplanation {
    /// The same shard before any query.
    fileprivate var emptied: ShardExplanation {
        ShardExplanation(
            shard: shard,
            rowCount: rowCount,
            linkedCount: linkedCount,
            deletedCount: deletedCount
        )
    }
}
