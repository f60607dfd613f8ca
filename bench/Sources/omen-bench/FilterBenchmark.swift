internal import Glibc
internal import OmenCore

/// Nanoseconds that filters take for a record, of five typical fields in about 100 bytes.
struct FilterBenchmark {
    private let count: Int
    private let repeats: Int

    private static let filters = [
        ("every record", "{}"),
        ("equality", #"{"section": "science"}"#),
        ("range", #"{"size": {"$gte": 1000, "$lt": 50000}}"#),
        ("range of fractions", #"{"score": {"$gt": 0.5}}"#),
        ("element of a list", #"{"tags": {"$in": ["b1", "b2"]}}"#),
        ("date", #"{"published": {"$gt": {"$date": "2026-11-20T00:00:00Z"}}}"#),
        ("missing", #"{"nothing": {"$exists": false}}"#),
        ("three conditions", #"{"section": "science", "size": {"$gte": 1000}, "tags": "b1"}"#),
    ]

    init(_ options: Options) throws {
        count = try options.integer("count", standard: 5000)
        repeats = try options.integer("repeats", standard: 101)
        guard (1...1 << 20).contains(count), repeats > 0 else {
            throw Failure("count is 1...\(1 << 20), repeats above 0")
        }
    }

    func run() throws -> String {
        let records = makeRecords()
        var lines: [String] = []
        for (name, text) in Self.filters {
            let filter = try Filter(json: Array(text.utf8))
            var best = Double.infinity
            var hitCount = 0
            for _ in 0..<repeats {
                let start = now(CLOCK_THREAD_CPUTIME_ID)
                hitCount = 0
                for record in records where try record.withUnsafeBytes({ try filter.matches($0) }) {
                    hitCount += 1
                }
                best = min(best, now(CLOCK_THREAD_CPUTIME_ID) - start)
            }
            let share = rounded(Double(hitCount) / Double(count), 3)
            lines.append(
                #"{"filter": "\#(name)", "ns": \#(rounded(best / Double(count) * 1e9, 0)), "share": \#(share)}"#
            )
        }
        return #"{"unit": "ns per record", "points": [\#(lines.joined(separator: ", "))]}"#
    }

    private func makeRecords() -> [[UInt8]] {
        let sections = ["science", "news", "sport", "art"]
        var random = SplitMix64(seed: 1)
        return (0..<count).map { _ in
            let number = random.next()
            let section = sections[Int(number % 4)]
            let text = """
                {"section":"\(section)","size":\(number % 100_000),\
                "tags":["a","b\(number % 7)","c"],\
                "published":"2026-11-\(10 + number % 18)T12:00:00Z",\
                "score":0.\(number % 1000 + 1)}
                """
            return Array(text.utf8)
        }
    }
}
