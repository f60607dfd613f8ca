import OmenCore
import Testing

extension Filter {
    init(_ json: String) throws { try self.init(json: Array(json.utf8)) }

    init(where text: String) throws { try self.init(where: Array(text.utf8)) }

    func matches(_ metadata: String) throws -> Bool {
        try Array(metadata.utf8).withUnsafeBytes { try matches($0) }
    }
}

@Suite struct FilterMeaningTests {
    @Test(arguments: FilterTables.rows("| filter | metadata | true |"))
    func theDocumentTellsWhatIsTrue(row: FilterTables.Row) throws {
        let filter = try Filter(row.cells[0])
        #expect(try filter.matches(row.cells[1]) == (row.cells[2] == "yes"))
        try expectSameAfterTravelling(filter)
    }

    @Test(arguments: FilterTables.rows("| where | metadata | true |"))
    func theDocumentTellsWhatIsTrueOfText(row: FilterTables.Row) throws {
        let filter = try Filter(where: row.cells[0])
        #expect(try filter.matches(row.cells[1]) == (row.cells[2] == "yes"))
        try expectSameAfterTravelling(filter)
    }

    @Test(arguments: FilterTables.rows("| given | becomes |"))
    func theDocumentTellsWhatTravels(row: FilterTables.Row) throws {
        let filter = try Filter(row.cells[0])
        #expect(String(decoding: filter.json, as: UTF8.self) == row.cells[1])
        try expectSameAfterTravelling(filter)
    }

    @Test func theTablesAreRead() {
        #expect(FilterTables.rows("| filter | metadata | true |").count > 100)
        #expect(FilterTables.rows("| where | metadata | true |").count > 25)
        #expect(FilterTables.rows("| given | becomes |").count > 5)
    }

    /// What the two lines of the document's beginning say.
    @Test func bothFormsMakeTheSameTree() throws {
        let json = try Filter(
            #"{"section": "science", "$or": [{"size": {"$gte": 1e6}}, {"tags": {"$in": ["a", "b"]}}], "x.y": {"$exists": false}}"#
        )
        let text = try Filter(
            where:
                #"section = "science" and (size >= 1e6 or tags in ["a", "b"]) and not exists(x.y)"#
        )
        #expect(json == text)
        #expect(json.root == text.root)
        #expect(json.hashValue == text.hashValue)
        #expect(json != (try Filter(where: "section = 'science'")))
    }

    @Test func aRecordWithoutMetadataIsLikeOneWithAnEmptyObject() throws {
        for text in ["{}", #"{"a": null}"#, #"{"a": {"$ne": 1}}"#, #"{"a": 1}"#] {
            let filter = try Filter(text)
            #expect(try filter.matches("") == filter.matches("{}"))
        }
    }

    @Test func everyFilterIsTheComplementOfItsNegation() throws {
        for row in FilterTables.rows("| filter | metadata | true |") {
            let isTrue = try Filter(row.cells[0]).matches(row.cells[1])
            #expect(try Filter(#"{"$not": \#(row.cells[0])}"#).matches(row.cells[1]) != isTrue)
            #expect(try Filter(#"{"$nor": [\#(row.cells[0])]}"#).matches(row.cells[1]) != isTrue)
        }
    }

    @Test func metadataThatIsNoObjectIsCorrupt() throws {
        let filter = try Filter(#"{"a": 1, "b.c": [1]}"#)
        let deep = String(repeating: #"{"b":"#, count: 1000)
        let lists = #"{"b":"# + String(repeating: "[", count: 1000)
        for text in [
            "[]", "{", #"{"a"}"#, #"{"a":}"#, #"{"a":1"#, "nul", #"{"b":[{"c":[1,"#, deep, lists,
        ] {
            let error = #expect(throws: OmenError.self) { try filter.matches(text) }
            #expect(error?.code == .corrupt, "\(text)")
        }
    }

    @Test func oldMetadataMayHoldNamesTwiceAndEndlessNumbers() throws {
        let filter = try Filter(#"{"a": {"$gt": 1}}"#)
        #expect(try !filter.matches(#"{"a": 1e999}"#))
        #expect(try filter.matches(#"{"a": 1, "a": 2}"#))
        #expect(try filter.matches(#"{"a": "\ud800", "a": 2}"#))
    }

    @Test func oneTreeHasManyConditionsOnManyPaths() throws {
        let parts = (0..<1000).map { #"{"k\#($0 * 7919 % 1000).x": \#($0)}"# }
        let filter = try Filter(#"{"$or": [\#(parts.joined(separator: ","))]}"#)
        for index in [0, 1, 499, 999] {
            let key = index * 7919 % 1000
            #expect(try filter.matches(#"{"a": 0, "k\#(key)": [{"x": \#(index)}]}"#))
            #expect(try !filter.matches(#"{"k\#(key)": {"x": \#(index + 1)}}"#))
        }
    }

    private func expectSameAfterTravelling(_ filter: Filter) throws {
        let arrived = try Filter(json: filter.json)
        #expect(arrived.root == filter.root)
        #expect(arrived.json == filter.json)
    }
}
