import OmenCore
import OmenMetadata
import Testing

@Suite struct CatalogTests {
    @Test func findsRowsByTheirValues() throws {
        let catalog = try catalog([
            #"{"a": 1, "b": "x"}"#, #"{"a": 2, "b": ["x", "y"]}"#, nil, #"{"a": 1.0, "c": null}"#,
        ])
        try catalog.check {}
        #expect(catalog.rowCount == 4)
        #expect(catalog.pathNames == ["a", "b", "c"])
        #expect(try catalog.rows("a", .number(number("1"))) == [0, 3])
        #expect(try catalog.rows("b", value("x")) == [0, 1])
        #expect(try catalog.rows("b", value("y")) == [1])
        #expect(try catalog.rows("c", .null) == [3])
    }

    @Test func findsDatesByTheInstant() throws {
        let catalog = try catalog([
            #"{"t": "2026-11-28T19:05:53Z"}"#, #"{"t": "2026-11-28T20:05:53+01:00"}"#,
            #"{"t": ["2027-01-01T00:00:00Z", "no date"]}"#, #"{"t": "2026-02-30T00:00:00Z"}"#,
        ])
        try catalog.check {}
        let path = try #require(try catalog.indexed("t"))
        let date = try #require(
            Array("2026-11-28T21:05:53+02:00".utf8).withUnsafeBytes { FilterDate($0) }
        )
        #expect(try path.rows(equalTo: .date(date)).rows().rows == [0, 1])
        let later = FilterKeys(.above(.date(date), orEqual: false))
        #expect(try path.rows(with: later).rows().rows == [2])
        #expect(path.keyCount(.dates) == 2)
        #expect(path.keyCount(.strings) == 5)
    }

    @Test func wholeNumbersBesideDoublesCompareExactly() throws {
        let catalog = try catalog([
            #"{"a": 9007199254740992}"#, #"{"a": 9007199254740993}"#, #"{"a": 9007199254740994.0}"#,
            #"{"a": -9223372036854775807}"#, #"{"a": 18446744073709551615}"#, #"{"a": 1e19}"#,
        ])
        try catalog.check {}
        let path = try #require(try catalog.indexed("a"))
        let edge = FilterValue.number(number("9007199254740993"))
        #expect(try path.rows(equalTo: edge).rows().rows == [1])
        let above = FilterKeys(.above(edge, orEqual: false))
        #expect(try path.rows(with: above).rows().rows == [2, 4, 5])
        let below = FilterKeys(.below(edge, orEqual: false))
        #expect(try path.rows(with: below).rows().rows == [0, 3])
        var cursor = path.keys(.numbers)
        var keys: [CatalogKey] = []
        while let element = try cursor.next() { keys.append(element.key) }
        let sorted = [
            "-9223372036854775807", "9007199254740992", "9007199254740993", "9007199254740994",
            "1e19", "18446744073709551615",
        ]
        #expect(keys == sorted.map { .number(number($0)) })
    }

    @Test func listedValuesAreFoundTogether() throws {
        let catalog = try catalog([
            #"{"a": 1}"#, #"{"a": "x"}"#, #"{"a": null}"#, #"{"a": [true, 7]}"#, #"{"a": 2}"#, "{}",
        ])
        let path = try #require(try catalog.indexed("a"))
        let operands: [FilterOperand] = [
            .value(.number(number("1"))), .value(value("x")), .value(.null), .value(.bool(true)),
            .value(.number(number("7"))),
        ]
        let found = try path.rows(with: FilterKeys(operands))
        #expect(try found.rows().rows == [0, 1, 2, 3])
        #expect(found.countMax == 5 && !found.isExact)
        #expect(try path.rows(with: FilterKeys()).countMax == 0)
    }

    @Test func aNumberThatComesTwiceInAListCountsOnce() throws {
        let catalog = try catalog([#"{"a": [1, 1.0, "x", "x"]}"#, #"{"a": 1}"#])
        try catalog.check {}
        let path = try #require(try catalog.indexed("a"))
        let found = try path.rows(equalTo: .number(JSONNumber(1)))
        #expect(found.countMax == 2 && found.isExact)
        #expect(try path.rows(equalTo: value("x")).countMax == 1)
    }
}
