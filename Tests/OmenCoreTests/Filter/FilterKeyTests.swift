import OmenCore
import Testing

@Suite struct FilterKeyTests {
    private func number(_ text: String) throws -> JSONNumber {
        try #require(Array(text.utf8).withUnsafeBytes { JSONNumber($0) })
    }

    private func date(_ text: String) -> FilterDate? {
        Array(text.utf8).withUnsafeBytes { FilterDate($0) }
    }

    @Test func numbersAreOrderedExactly() throws {
        let ascending = try [
            "-1e308", "-18446744073709551616", "-9223372036854775809", "-9223372036854775807",
            "-9007199254740993",
            "-9007199254740992", "-1.5", "-1", "-5e-324", "0", "5e-324", "0.1",
            "0.10000000000000002", "1", "1.5",
            "9007199254740992", "9007199254740993", "9007199254740994", "9223372036854775806",
            "9223372036854775807",
            "9223372036854775808", "18446744073709551614", "18446744073709551615",
            "18446744073709551616", "1e308",
        ].map(number)
        for (index, one) in ascending.enumerated() {
            for (otherIndex, other) in ascending.enumerated() {
                #expect((one < other) == (index < otherIndex), "\(one) \(other)")
                #expect((one == other) == (index == otherIndex), "\(one) \(other)")
            }
        }
    }

    @Test func theSameNumberMayBeWrittenInManyWays() throws {
        for same in [
            ["0", "-0", "0.0", "-0.0", "0e5", "1e-400"],
            ["1", "1.0", "1e0", "10e-1", "0.1e1", "1E+0", "1.000000000000000000000000"],
            ["-9223372036854775808", "-9223372036854775808.0", "-9.223372036854775808e18"],
            ["9007199254740992", "9007199254740993.0"], ["1e22", "10000000000000000000000"],
            ["0.3", "0.30", "3e-1", "300000000000000000000000000e-27"],
        ] {
            for one in same { #expect(try number(one) == number(same[0]), "\(one)") }
        }
        #expect(Array("1e400".utf8).withUnsafeBytes { JSONNumber($0) } == nil)
        #expect(
            Array(("1" + String(repeating: "0", count: 400)).utf8).withUnsafeBytes {
                JSONNumber($0)
            } == nil
        )
    }

    /// Reading what was written gives the same number; compared with the standard library where
    /// that one is exact.
    @Test func numbersAreReadAsTheStandardLibraryReadsThem() throws {
        let seed: UInt64 = 20_261_128
        var random = SplitMix64(seed: seed)
        for _ in 0..<20_000 {
            let double = Double(bitPattern: random.next())
            guard double.isFinite else { continue }
            #expect(try number("\(double)") == JSONNumber(double), "seed \(seed): \(double)")
            let short = Double(Int64(truncatingIfNeeded: random.next()) >> 40) / 1000
            #expect(try number("\(short)") == JSONNumber(short), "seed \(seed): \(short)")
            let whole = Int64(truncatingIfNeeded: random.next()) >> Int64(random.next() % 64)
            #expect(try number("\(whole)").description == "\(whole)", "seed \(seed)")
            let unsigned = random.next()
            #expect(try number("\(unsigned)").description == "\(unsigned)", "seed \(seed)")
            let written = JSONNumber(double).description
            #expect(try number(written) == JSONNumber(double), "seed \(seed): \(written)")
            let isBelow = Int128(whole) < Int128(unsigned)
            #expect(try (number("\(whole)") < number("\(unsigned)")) == isBelow, "seed \(seed)")
        }
    }

    @Test func datesAreInstants() throws {
        let day = try #require(date("1970-01-01T00:00:00Z"))
        for same in [
            "1970-01-01T01:00:00+01:00", "1969-12-31T23:30:00-00:30", "1970-01-01 00:00:00.000000z",
            "1970-01-01t00:00:00.0Z",
        ] { #expect(date(same) == day, "\(same)") }
        let ascending = [
            "0000-01-01T00:00:00Z", "0000-02-29T00:00:00Z", "0001-01-01T00:00:00Z",
            "1900-02-28T23:59:59.999999Z",
            "1900-03-01T00:00:00Z", "1999-12-31T23:59:59Z", "2000-01-01T00:00:00Z",
            "2000-02-29T12:00:00Z",
            "2026-11-28T19:05:53Z", "2026-11-28T19:05:53.000001Z", "9999-12-31T23:59:59.999999Z",
        ].map { date($0) }
        for (one, next) in zip(ascending, ascending.dropFirst()) {
            #expect(try #require(one) < #require(next))
        }
        for one in ascending {
            let text = try #require(one).description
            #expect(date(text) == one, "\(text)")
        }
        #expect(ascending.last??.description == "9999-12-31T23:59:59.999999Z")
        let first = try #require(date("1970-01-01T00:00:00Z")).microseconds
        let second = try #require(date("2026-11-28T19:05:53.25Z")).microseconds
        #expect(second - first == 1_795_892_753_250_000)
    }

    @Test func whatIsNoDateIsNone() {
        for text in [
            "", "2026-11-28", "2026-11-28T19:05:53", "2026-11-28T19:05Z", "2026-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ",
            "26-01-01T00:00:00Z",
            "+2026-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "２０２６-01-01T00:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01", "2026-01-01T00:00:00\u{0}", "2026-01-01T00:00:-1Z",
        ] { #expect(date(text) == nil, "\(text)") }
    }

    @Test func valuesOfAllKindsHaveOneOrder() throws {
        let ascending: [FilterValue] = try [
            .null, .bool(false), .bool(true), .number(number("-1")), .number(number("2")),
            .string(FilterText([])),
            .string(FilterText(Array("a".utf8))), .string(FilterText(Array("ab".utf8))),
            .string(FilterText(Array("é".utf8))), .date(#require(date("1970-01-01T00:00:00Z"))),
        ]
        for (index, one) in ascending.enumerated() {
            for (otherIndex, other) in ascending.enumerated() {
                #expect((one < other) == (index < otherIndex), "\(one) \(other)")
            }
        }
    }

    /// Sets of ranges over few keys, compared with sets of keys.
    @Test func rangesAreSetsOfKeys() {
        let seed: UInt64 = 7
        var random = SplitMix64(seed: seed)
        func set() -> KeyRanges<Int> {
            func bound() -> Int? { random.next() % 4 == 0 ? nil : Int(random.next() % 12) }
            guard random.next() % 2 == 0 else {
                return KeyRanges((0..<random.next() % 6).map { _ in Int(random.next() % 12) })
            }
            return KeyRanges(
                .init(
                    lower: bound(),
                    includesLower: random.next() % 2 == 0,
                    upper: bound(),
                    includesUpper: random.next() % 2 == 0
                )
            )
        }
        func members(_ set: KeyRanges<Int>) -> [Int] {
            (-1...13).filter { key in
                set.ranges.contains { range in
                    (range.lower.map { key > $0 || (key == $0 && range.includesLower) } ?? true)
                        && (range.upper.map { key < $0 || (key == $0 && range.includesUpper) }
                            ?? true)
                }
            }
        }
        for _ in 0..<5000 {
            let (one, other) = (set(), set())
            let both = one.intersection(other)
            #expect(members(both) == members(one).filter(members(other).contains), "seed \(seed)")
            #expect(both == other.intersection(one), "seed \(seed)")
            #expect((-1...13).filter { both.contains($0) } == members(both), "seed \(seed)")
        }
    }

    @Test func keysOfAConditionAreWhatAnIndexLooksUp() throws {
        let filter = try Filter(
            #"{"a.b": {"$gte": 1, "$lt": 5, "$in": [0, 1, 4.5, 5, "x", null]}}"#
        )
        guard case .condition(let condition) = filter.root,
            case .some(let comparisons) = condition.test
        else { throw OmenError(.badRequest, "not one condition") }
        #expect(condition.path.description == "a.b")
        let keys = FilterKeys(comparisons)
        #expect(keys.numbers == KeyRanges([JSONNumber(1), JSONNumber(4.5)]))
        #expect(
            keys.strings.isEmpty && keys.dates.isEmpty && keys.lists.isEmpty && !keys.includesNull
        )
        let prefix = FilterKeys(FilterComparison.prefix(FilterText(Array("aé".utf8))))
        #expect(prefix.strings.contains(FilterText(Array("aé".utf8))))
        #expect(prefix.strings.contains(FilterText(Array("aé\u{10FFFF}".utf8))))
        #expect(!prefix.strings.contains(FilterText(Array("aê".utf8))))
        #expect(!prefix.strings.contains(FilterText(Array("a".utf8))))
    }
}
