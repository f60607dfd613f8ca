import OmenCore
import Testing

@Suite struct FilterErrorTests {
    private func message(_ json: String) -> String {
        let error = #expect(throws: OmenError.self) { try Filter(json) }
        #expect(error?.code == .badRequest)
        return error?.message ?? ""
    }

    private func message(where text: String) -> String {
        let error = #expect(throws: OmenError.self) { try Filter(where: text) }
        #expect(error?.code == .badRequest)
        return error?.message ?? ""
    }

    @Test(arguments: FilterTables.rows("| filter | message |"))
    func theDocumentTellsTheMessage(row: FilterTables.Row) {
        #expect(message(row.cells[0]) == row.cells[1])
    }

    @Test(arguments: FilterTables.rows("| where | message |"))
    func theDocumentTellsTheMessageOfText(row: FilterTables.Row) {
        #expect(message(where: row.cells[0]) == row.cells[1])
    }

    @Test func everyOperatorRefusesWhatItCannotCompare() {
        for (filter, place) in [
            (#"{"a": {"$lt": null}}"#, "$.a.$lt is null"),
            (#"{"a": {"$lte": [1]}}"#, "$.a.$lte is a list"),
            (#"{"a": {"$gt": {}}}"#, "$.a.$gt is an empty object"),
            (#"{"a": {"$eq": {"b": 1}}}"#, "$.a.$eq is an object"),
            (#"{"a": {"$in": 5}}"#, "$.a.$in is 5"),
            (#"{"a": {"$nin": "x"}}"#, "$.a.$nin is \"x\""),
            (#"{"a": {"$all": true}}"#, "$.a.$all is true"),
            (#"{"a": {"$exists": 1}}"#, "$.a.$exists is 1"),
            (#"{"a": {"$prefix": 1}}"#, "$.a.$prefix is 1"),
            (#"{"a": {"$prefix": {"$date": "2026-11-28T19:05:53Z"}}}"#, "$.a.$prefix is the date"),
            (#"{"a": {"$not": 5}}"#, "$.a.$not is 5"),
            (#"{"a": {"$not": {}}}"#, "$.a.$not is empty"),
            (#"{"a": {}}"#, "$.a is empty"), (#"{"a": [{"b": 1}]}"#, "$.a[0] is an object"),
            (#"{"a": [[1]]}"#, "$.a is a list"),
            (#"{"a": {"$in": [[[1]]]}}"#, "$.a.$in[0][0] is a list"),
            (
                #"{"a": {"$in": [[{"$date": "2026-11-28T19:05:53Z"}]]}}"#,
                "$.a.$in[0][0] is the date"
            ),
            (#"{"a": {"$eq": {"$date": 5}}}"#, "$.a.$eq.$date is 5"),
            (#"{"a": {"$date": "2026-11-28T19:05:53Z", "$gt": 1}}"#, "$.a has $date beside"),
            (#"{"$and": {}}"#, "$.$and is an object"), (#"{"$or": [5]}"#, "$.$or[0] is 5"),
            (#"{"$not": []}"#, "$.$not is a list"),
            (#"{"$eq": 1}"#, "$.$eq is an unknown operator"),
            (#"{"$where": "x"}"#, "$.$where is not supported yet"),
            (#"{"a": {"$geoRadius": {}}}"#, "$.a.$geoRadius is not supported yet"),
            (#"{"a": {"$elemMatch": {}}}"#, "$.a.$elemMatch is not supported yet"),
            (#"{"a": {"$and": []}}"#, "$.a.$and is an unknown operator"), ("[]", "$ is a list"),
            ("5", "$ is 5"),
            (#"{"a\\x": 1}"#, "is no path: it has a backslash"),
            (#"{"a\\": 1}"#, "ends with a backslash"),
            (#"{"a.$b": {"$foo": 1}}"#, #"$["a.$b"].$foo"#),
        ] {
            let message = message(filter)
            #expect(
                message.hasPrefix("filter: ") && message.contains(place),
                "\(filter): \(message)"
            )
        }
    }

    @Test func whatIsNoJSONIsRefusedWithItsOffset() {
        for filter in [
            "", "{", "{]", #"{"a"}"#, #"{"a":1,}"#, #"{"a":1} x"#, #"{"a":"x"#, #"{"a":[1"#,
            #"{"a":1.}"#,
            #"{"a":"\x"}"#, "\u{0}", #"{"a":{"$in":[1,]}}"#,
        ] {
            let message = message(filter)
            #expect(message.hasPrefix("filter") || message.hasPrefix("the filter"), "\(message)")
        }
        #expect(message(#"{"a": 1, "a": 2}"#).contains("twice"))
        #expect(message(#"{"a": "\ud800"}"#).contains("half of a surrogate pair"))
        let error = #expect(throws: OmenError.self) { try Filter(json: [0x7B, 0xFF, 0x7D]) }
        #expect(error?.message == "the filter is not UTF-8")
        let text = #expect(throws: OmenError.self) { try Filter(where: [0xFF]) }
        #expect(text?.message == "where is not UTF-8")
    }

    @Test func textThatIsWrongIsRefusedWithItsColumn() {
        for (text, start) in [
            ("", "where: column 1: the end, expected a path"), ("   ", "where: column 4: the end"),
            ("a", "where: column 2: the end, expected =, !=,"),
            ("a = 1 and", "where: column 10: the end"),
            ("(a = 1", "where: column 7: the end, expected ')'"),
            ("a = 1)", "where: column 6: \")\""),
            ("a not 5", "where: column 7: 5, expected in"),
            ("a starts 'x'", "where: column 10: the string"),
            ("a = 1x", "where: column 5: 1x, expected a number as JSON has it"),
            ("a = +1", "where: column 5: +1, expected a number"), ("a = 01", "where: column 5: 01"),
            ("a = -", "where: column 5: -,"),
            ("a = 1e400", "where: column 5: 1e400, which is beyond"),
            ("a = nan", "where: column 5: \"nan\""),
            ("5 < a", "where: column 1: 5, expected a path"),
            ("null = 1", "where: column 1: \"null\", expected a condition; such a name"),
            ("and = 1", "where: column 1: \"and\""),
            ("a..b = 1", "where: column 3: \".\", expected a name"),
            ("a. = 1", "where: column 4: \"=\", expected a name"),
            ("exists() ", "where: column 8: \")\""),
            ("a = 'x", "where: column 5: a string that does not end"),
            (#"a = "\q""#, "where: column 5: a string with a backslash before \"q\""),
            ("größe @ 1", "where: column 7: \"@\", expected a name"),
            ("a in 5", "where: column 6: 5, expected a list"),
            ("a in [1 2]", "where: column 9: 2, expected ',' or ']'"),
            ("a = (1)", "where: column 5: \"(\""),
            ("a in [[[1]]]", "where: column 8: \"[\""),
            ("a prefix 5", "where: column 10: 5, expected a string"),
            ("a = [date('2026-11-28T19:05:53Z')]", "where: column 5: a list of 1"),
            ("a in [[date('2026-11-28T19:05:53Z')]]", "where: column 7: a list with dates"),
            ("a > date('2026-02-30T00:00:00Z')", "where: column 10: the string"),
            ("a > date('2026-02-03T00:00:00')", "where: column 10: the string"),
            ("a > date(5)", "where: column 10: 5"),
            ("a $gt 5", "where: column 3: \"$\""), ("a = \u{0}", "where: column 5:"),
            ("a = ; b", "where: column 5: \";\""),
        ] {
            let message = message(where: text)
            #expect(message.hasPrefix(start), "\(text): \(message)")
        }
    }

    @Test func longWordsAreCutInErrors() {
        let long = String(repeating: "x", count: 100_000)
        #expect(message(#"{"a": {"$gt": true, "\#(long)": 1}}"#).utf8.count < 500)
        #expect(message(#"{"\#(long)": {"$exists": "\#(long)"}}"#).utf8.count < 500)
        #expect(message(#"{"a": {"$date": "\#(long)"}}"#).utf8.count < 500)
        #expect(message(#"{"a": \#(long)}"#).utf8.count < 500)
        #expect(message(where: "a = \(long)").utf8.count < 500)
        #expect(message(where: "a > [\"\(long)\"]").utf8.count < 500)
        #expect(message(where: "a = 1\(long)").utf8.count < 500)
    }
}
