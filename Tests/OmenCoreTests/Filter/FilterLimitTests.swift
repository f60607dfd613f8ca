import OmenCore
import Testing

@Suite struct FilterLimitTests {
    private func error(_ json: String) -> OmenError? {
        #expect(throws: OmenError.self) { try Filter(json) }
    }

    private func error(where text: String) -> OmenError? {
        #expect(throws: OmenError.self) { try Filter(where: text) }
    }

    private func nested(_ count: Int, _ open: String, _ close: String, _ inside: String) -> String {
        String(repeating: open, count: count) + inside + String(repeating: close, count: count)
    }

    @Test func nestingIsLimitedInBothForms() throws {
        let condition = #"{"a": 1}"#
        for (open, close, perLevel) in [
            (#"{"$and":["#, "]}", 1), (#"{"$not":"#, "}", 1), (#"{"$nor":["#, "]}", 2),
        ] {
            let most = (Limits.filterDepthMax - 1) / perLevel
            let filter = try Filter(nested(most, open, close, condition))
            #expect(try Filter(json: filter.json).root == filter.root)
            let deeper = try #require(error(nested(most + 1, open, close, condition)))
            #expect(deeper.message.contains("expected at most 32"))
            let deep = try #require(error(nested(50_000, open, close, condition)))
            #expect(
                deep.message.contains("filter: $.")
                    && deep.message.contains("expected at most 32 levels")
            )
        }
        _ = try Filter(#"{"a":\#(nested(31, #"{"$not":"#, "}", #"{"$eq":[1]}"#))}"#)
        #expect(error(#"{"a":\#(nested(32, #"{"$not":"#, "}", #"{"$eq":[1]}"#))}"#) != nil)
        #expect(error(#"{"a":\#(nested(100_000, "[", "]", "1"))}"#) != nil)
        _ = try Filter(where: nested(31, "not ", "", "a = 1"))
        _ = try Filter(where: nested(100, "(", ")", "a = 1"))
        #expect(error(where: nested(32, "not ", "", "a = 1")) != nil)
        #expect(
            error(where: nested(100_000, "not ", "", "a = 1"))?.message.contains("column") == true
        )
        #expect(
            error(where: nested(100_000, "(", ")", "a = 1"))?.message.contains("column") == true
        )
        #expect(error(where: "a = " + nested(100_000, "[", "]", "1")) != nil)
    }

    @Test func theDeepestFilterMayHaveTheDeepestOperand() throws {
        let inside = #"{"a":{"$in":[[1],{"$date":"2026-11-28T19:05:53Z"}]}}"#
        let filter = try Filter(nested(31, #"{"$and":["#, "]}", inside))
        #expect(try Filter(json: filter.json).root == filter.root)
    }

    @Test func nodesAreCountedInBothForms() throws {
        func filter(_ count: Int) -> String {
            #"{"$or":["# + (0..<count).map { #"{"a\#($0)":1}"# }.joined(separator: ",") + "]}"
        }
        func text(_ count: Int) -> String {
            (0..<count).map { "a\($0) = 1" }.joined(separator: " or ")
        }
        let most = Limits.filterNodeCountMax - 1
        #expect(try Filter(filter(most)) == Filter(where: text(most)))
        #expect(
            error(filter(most + 1))?.message
                == "filter: $.$or is condition 1025, expected at most 1024"
        )
        #expect(
            error(filter(100_000 / 8))?.message
                == "filter: $.$or[1024].a1024 is condition 1025, expected at most 1024"
        )
        #expect(error(where: text(most + 1))?.message.contains("condition 1025") == true)
        let all = (0..<2000).map { "\($0)" }.joined(separator: ",")
        #expect(
            error(#"{"a":{"$all":[\#(all)]}}"#)?.message.contains("expected at most 1024") == true
        )
        #expect(error(where: "a all [\(all)]")?.message.contains("expected at most 1024") == true)
    }

    @Test func valuesAndBytesAreLimited() throws {
        func list(_ count: Int) -> String {
            "[" + (0..<count).map { "\($0)" }.joined(separator: ",") + "]"
        }
        let most = Limits.filterValueCountMax
        let filter = try Filter(#"{"a":{"$in":\#(list(most))}}"#)
        #expect(try filter.matches(#"{"a":\#(most - 1)}"#))
        #expect(try !filter.matches(#"{"a":\#(most)}"#))
        #expect(try !filter.matches(#"{"a":0.5}"#))
        #expect(try Filter(where: "a in \(list(most))") == filter)
        #expect(
            error(#"{"a":{"$in":\#(list(most + 1))}}"#)?.message.contains(
                "$.a.$in[65536] is value 65537"
            ) == true
        )
        #expect(error(where: "a in \(list(most + 1))")?.message.contains("value 65537") == true)
        #expect(
            error(#"{"a":{"$in":\#(list(1_000_000))}}"#)?.message.contains(
                "expected at most 1048576"
            ) == true
        )
        let long = String(repeating: "x", count: 64 << 20)
        #expect(
            error(#"{"a":"\#(long)"}"#)?.message
                == "filter has 67108872 bytes, expected at most 1048576"
        )
        #expect(
            error(where: "a = '\(long)'")?.message
                == "where has 67108870 bytes, expected at most 1048576"
        )
    }

    @Test func aFilterWhoseJSONIsTooLongIsRefused() {
        // A control character is one byte in quotes, and six as JSON.
        let text = "a = '" + String(repeating: "\u{1}", count: 200_000) + "'"
        #expect(
            error(where: text)?.message
                == "where as JSON has 1200016 bytes, expected at most 1048576"
        )
    }

    @Test func pathsAreLimited() throws {
        let path = (0..<32).map { "\($0)" }.joined(separator: ".")
        _ = try Filter(#"{"\#(path)":1}"#)
        #expect(
            error(#"{"\#(path).x":1}"#)?.message.contains("has 33 names, expected at most 32")
                == true
        )
        #expect(
            error(where: "x.\(path) = 1")?.message
                == "where: column 1: a path that has 33 names, expected at most 32"
        )
    }

    /// What takes longest of the largest metadata and the largest filters, each within its limits.
    @Test func theWorstOfBothEndsInBoundedTime() throws {
        let values = (0..<16_000).map { "\($0)" }.joined(separator: ",")
        let conditions = (0..<300).map { #"{"a":{"$gt":\#(100_000 + $0)}}"# }.joined(
            separator: ","
        )
        let keys = (0..<8000).map { #""k\#($0)":1"# }.joined(separator: ",")
        let paths = (0..<1000).map { #"{"k\#($0).k":2}"# }.joined(separator: ",")
        let lists = (0..<16_000).map { "[\($0)]" }.joined(separator: ",")
        let empty = (0..<20_000).map { _ in "[]" }.joined(separator: ",")
        let clock = ContinuousClock()
        for (filter, metadata) in [
            (#"{"$or":[\#(conditions)]}"#, #"{"a":[\#(values.prefix(65_000))1]}"#),
            (#"{"$or":[\#(paths)]}"#, #"{\#(keys)}"#),
            (#"{"a":{"$in":[\#(lists)]}}"#, #"{"a":[\#(empty)]}"#),
        ] {
            let filter = try Filter(filter)
            var isTrue = true
            let time = try clock.measure { isTrue = try filter.matches(metadata) }
            #expect(!isTrue)
            #expect(time < .seconds(10), "\(filter.json.prefix(20)) took \(time)")
        }
    }
}
