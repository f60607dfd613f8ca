internal import Glibc
internal import OmenCore
internal import OmenMetadata

/// The catalog of metadata with five typical fields: bytes of a row, rows built in a second, and
/// microseconds of look-ups.
struct MetadataBenchmark {
    private let rows: Int
    private let repeats: Int

    init(_ options: Options) throws {
        rows = try options.integer("rows", standard: 1_000_000)
        repeats = try options.integer("repeats", standard: 20)
    }

    func run() throws -> String {
        let texts = documents()
        // One thread does everything, so its time is what it takes, whatever else goes on.
        let clock = CLOCK_THREAD_CPUTIME_ID
        let start = now(clock)
        let builder = CatalogBuilder()
        for row in 0..<rows {
            try texts.withText(row) { try builder.append(UInt32(row), metadata: $0) }
        }
        let read = now(clock)
        var breath = read
        var longest = 0.0
        let image = try builder.finish(rowCount: rows) {
            let moment = now(clock)
            longest = max(longest, moment - breath)
            breath = moment
        }
        let built = now(clock)
        let catalog = try MetadataCatalog(image)
        let checkStart = now(clock)
        try catalog.check {}
        let checkSeconds = now(clock) - checkStart
        let mergeStart = now(clock)
        let merged = try CatalogMerge([catalog, catalog]).run {}
        let mergeSeconds = now(clock) - mergeStart
        let order = (0..<UInt32(rows)).map { $0 ^ 1 }.filter { $0 < rows }
        let numberStart = now(clock)
        _ = try CatalogMerge([catalog], choosing: order).run {}
        let numberSeconds = now(clock) - numberStart
        let points = try lookUps(catalog).map { name, seconds, count in
            "{\"look_up\": \"\(name)\", \"us\": \(rounded(seconds * 1e6, 2)), \"rows\": \(count)}"
        }
        return """
            {"rows": \(rows), "bytes_per_row": \(rounded(perRow(image), 2)), \
            "text_bytes_per_row": \(rounded(Double(texts.bytes.count) / Double(rows), 1)), \
            "read_seconds": \(rounded(read - start, 3)), \
            "write_seconds": \(rounded(built - read, 3)), \
            "rows_per_second": \(rounded(Double(rows) / (built - start), 0)), \
            "check_seconds": \(rounded(checkSeconds, 3)), \
            "longest_breath_us": \(rounded(longest * 1e6, 0)), \
            "merge_seconds": \(rounded(mergeSeconds, 3)), \
            "merged_bytes_per_row": \(rounded(perRow(merged) / 2, 2)), \
            "renumber_seconds": \(rounded(numberSeconds, 3)), \
            "look_ups": [\(points.joined(separator: ", "))]}
            """
    }

    private func perRow(_ image: CatalogImage) -> Double {
        Double(image.directory.count + image.data.count) / Double(rows)
    }

    private struct Texts {
        var bytes: [UInt8] = []
        var ends: [Int] = []

        func withText(
            _ row: Int,
            _ body: (UnsafeRawBufferPointer) throws -> Void
        ) throws {
            try bytes.withUnsafeBytes { bytes in
                let start = row == 0 ? 0 : ends[row - 1]
                try body(UnsafeRawBufferPointer(rebasing: bytes[start..<ends[row]]))
            }
        }
    }

    /// A category of 20 and a country of 200, whose values are not equally frequent, a number from 0
    /// to 999, a time that is different in each row, and 3 tags of 1,000.
    private func documents() -> Texts {
        var random = SplitMix64(seed: 1)
        var texts = Texts()
        func skewed(_ count: Int) -> Int {
            let part = Double.random(in: 0..<1, using: &random)
            return Int(part * part * Double(count))
        }
        for row in 0..<rows {
            let tags = (0..<3).map { _ in "\"tag\(Int.random(in: 0..<1000, using: &random))\"" }
            texts.bytes.append(
                contentsOf: """
                    {"category": "category\(skewed(20))", "country": "c\(skewed(200))", \
                    "size": \(Int.random(in: 0..<1000, using: &random)), \
                    "time": \(1_700_000_000_000 + row * 977 % 1_000_003 * 1000), \
                    "tags": [\(tags.joined(separator: ", "))]}
                    """.utf8
            )
            texts.ends.append(texts.bytes.count)
        }
        return texts
    }

    private func lookUps(_ catalog: MetadataCatalog) throws -> [(String, Double, Int)] {
        func path(_ name: String) throws -> CatalogPath {
            let found = catalog[try FilterPath(Array(name.utf8))]
            guard case .indexed(let path) = found else { throw Failure("\(name) is not indexed") }
            return path
        }
        let size = try path("size")
        let time = try path("time")
        let tags = try path("tags")
        func range(_ low: Int, _ high: Int) -> FilterKeys {
            var keys = FilterKeys()
            keys.numbers = KeyRanges(
                .init(lower: JSONNumber(whole: Int128(low)), upper: JSONNumber(whole: Int128(high)))
            )
            return keys
        }
        let country = try path("country")
        let c10 = FilterValue.string(FilterText(Array("c10".utf8)))
        let tag = FilterValue.string(FilterText(Array("tag7".utf8)))
        let span = 1_700_000_000_000
        let one = try size.rows(with: range(100, 109)).rows()
        let ten = try size.rows(with: range(100, 199)).rows()
        let other = try time.rows(with: range(span, span + 100_000_000)).rows()
        let half = try size.rows(with: range(0, 499)).rows()
        let middle = range(span + 450_000_000, span + 550_000_000)
        return [
            try measure("country, 1 %") { try country.rows(equalTo: c10).rows().count },
            try measure("tag, 0.3 %") { try tags.rows(equalTo: tag).rows().count },
            try measure("size, 1 %") { try size.rows(with: range(100, 109)).rows().count },
            try measure("size, 10 %") { try size.rows(with: range(100, 199)).rows().count },
            try measure("size, 50 %") { try size.rows(with: range(0, 499)).rows().count },
            try measure("size, 90 %") { try size.rows(with: range(50, 949)).rows().count },
            try measure("time, 10 %") { try time.rows(with: middle).rows().count },
            try measure("count of time, 10 %") { try time.rows(with: middle).countMax },
            try measure("10 % and 10 %") { ten.intersection(other).count },
            try measure("50 % and 1 %") { half.intersection(one).count },
            try measure("50 % or 10 %") { half.union(ten).count },
            try measure("not 10 %") { ten.complement.count },
            try measure("not 1 %") { one.complement.count },
        ]
    }

    /// The best of `repeats`, in seconds.
    private func measure(
        _ name: String,
        _ body: () throws -> Int
    ) throws -> (String, Double, Int) {
        var best = Double.infinity
        var count = 0
        for _ in 0..<repeats {
            let start = now()
            count = try body()
            best = min(best, now() - start)
        }
        return (name, best, count)
    }
}
