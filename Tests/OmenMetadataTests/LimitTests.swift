import OmenCore
import OmenMetadata
import Testing

@Suite struct LimitTests {
    private func state(_ catalog: MetadataCatalog, _ text: String) throws -> String {
        switch catalog[try path(text)] {
        case .indexed: "indexed"
        case .absent: "absent"
        case .unindexed: "unindexed"
        }
    }

    @Test func aCatalogWithoutRowsKnowsNothing() throws {
        for catalog in try [catalog([]), catalog([nil, nil]), catalog(["{}", nil])] {
            try catalog.check {}
            #expect(catalog.pathNames == [])
            #expect(try state(catalog, "a") == "absent")
            let again = try MetadataCatalog(CatalogMerge([catalog, catalog]).run {})
            #expect(again.rowCount == 2 * catalog.rowCount)
        }
        let nothing = try MetadataCatalog(
            CatalogMerge([catalog([#"{"a": 1}"#])], choosing: []).run {}
        )
        #expect(nothing.rowCount == 0)
        #expect(nothing.pathNames == [])
    }

    @Test func pathsBeyondTheirNumberAreNamed() throws {
        let count = MetadataLimits.pathCountMax
        let names = (0..<count + 3).map { "\"p\($0)\": {\"x\": 1}" }
        // Half of them are p0, p0.x, p1, ...: the others have no place.
        let catalog = try catalog(["{\(names.joined(separator: ", "))}", #"{"q": 1, "p0": 2}"#])
        try catalog.check {}
        #expect(catalog.pathNames.count == count)
        #expect(try state(catalog, "p0.x") == "indexed")
        #expect(try state(catalog, "p\(count / 2)") == "unindexed")
        #expect(try state(catalog, "p\(count / 2).x") == "unindexed")
        #expect(try state(catalog, "q") == "unindexed")
        #expect(try state(catalog, "r") == "absent")
        #expect(catalog.unindexedPathNames.contains("q"))
        #expect(!catalog.hasMoreUnindexedPaths)
    }

    @Test func morePathsThanAreNamedMakeEveryOtherPathDoubtful() throws {
        let count = MetadataLimits.pathCountMax + MetadataLimits.unindexedPathCountMax + 1
        let texts = (0..<count).map { Optional("{\"p\($0)\": 1}") }
        let catalog = try catalog(texts)
        #expect(catalog.unindexedPathNames.count == MetadataLimits.unindexedPathCountMax)
        #expect(catalog.hasMoreUnindexedPaths)
        #expect(try state(catalog, "other") == "unindexed")
        #expect(try state(catalog, "p0") == "indexed")
        #expect(try catalog.unindexedRows.countMax == MetadataLimits.unindexedPathCountMax + 1)
        let again = try MetadataCatalog(CatalogMerge([catalog]).run {})
        #expect(again.hasMoreUnindexedPaths)
        #expect(try state(again, "other") == "unindexed")
    }

    @Test func rowsWithPathsThatTheirCatalogLeavesOutOverflowInAMerge() throws {
        let count = MetadataLimits.pathCountMax
        let names = (0..<count).map { "\"p\($0)\": 1" }
        let odd = (0..<3 * count).map { "\"odd\($0)\": 1" }
        let full = try catalog(["{\(names.joined(separator: ", "))}", #"{"q": 1}"#, "{}"])
        let other = try catalog([#"{"q": 2, "r": 2}"#, "{\(odd.joined(separator: ", "))}"])
        #expect(try full.unindexedRows.rows().rows == [1])
        #expect(try other.unindexedRows.rows().rows == [1])
        // The row with all other paths is dropped, so that there is room for q.
        let merged = try MetadataCatalog(
            CatalogMerge([full, other], choosing: [1, 2, 3, 4]).run {}
        )
        try merged.check {}
        let q = try #require(try merged.indexed("q"))
        #expect(try q.rows(equalTo: .number(JSONNumber(2))).rows().rows == [2])
        // Not row 3: its catalog indexes q and knows that it has none.
        #expect(try q.overflow.rows().rows == [0])
        #expect(try merged.indexed("r")?.overflow.rows().rows == [])
        #expect(try merged.unindexedRows.rows().rows == [0, 3])
        #expect(try state(merged, "q.x") == "unindexed")
        // One odd record does not take the paths of all others away.
        let alone = try catalog(["{\(odd.joined(separator: ", "))}"])
        let again = try MetadataCatalog(CatalogMerge([catalog([#"{"r": 2}"#]), alone]).run {})
        try again.check {}
        #expect(try again.rows("r", .number(JSONNumber(2))) == [0])
        #expect(try again.indexed("r")?.overflow.rows().rows == [1])
        // And nothing is left of it when it is deleted.
        let rest = try MetadataCatalog(CatalogMerge([again], choosing: [0]).run {})
        #expect(rest.pathNames == ["r"])
        #expect(try state(rest, "q") == "absent")
        #expect(try rest.indexed("r")?.overflow.countMax == 0)
        #expect(!rest.hasMoreUnindexedPaths && rest.unindexedPathNames == [])
    }

    @Test func pathsThatManyRowsHaveAreIndexedBeforeOnesThatCameFirst() throws {
        let odd = (0..<3 * MetadataLimits.pathCountMax).map { "\"odd\($0)\": 1" }
        let usual = #"{"kind": "x", "size": {"width": 2}}"#
        let texts = ["{\(odd.joined(separator: ", "))}", usual, usual]
        let parts = try texts.map { try catalog([$0]) }
        for catalog in try [catalog(texts), MetadataCatalog(CatalogMerge(parts).run {})] {
            try catalog.check {}
            #expect(catalog.pathNames.count == MetadataLimits.pathCountMax)
            #expect(try catalog.rows("kind", value("x")) == [1, 2])
            #expect(try catalog.rows("size.width", .number(JSONNumber(2))) == [1, 2])
            #expect(try catalog.unindexedRows.rows().rows == [0])
        }
    }

    @Test func namesDeeperThanTheLimitAreLeftOut() throws {
        let depth = MetadataLimits.depthMax
        let names = (0...depth).map { "n\($0)" }
        let open = names.map { "{\"\($0)\": " }.joined()
        let catalog = try catalog([open + "1" + String(repeating: "}", count: depth + 1)])
        try catalog.check {}
        let deepest = names.dropLast().joined(separator: ".")
        #expect(try catalog.indexed(deepest)?.exists.rows().rows == [0])
        #expect(try catalog.indexed(deepest)?.overflow.countMax == 0)
        #expect(try state(catalog, names.joined(separator: ".")) == "unindexed")
        #expect(try state(catalog, deepest + ".other") == "absent")
    }

    @Test func longStringsOverflow() throws {
        let limit = MetadataLimits.stringByteCountMax
        let longest = String(repeating: "x", count: limit)
        let catalog = try catalog([
            "{\"a\": \"\(longest)\"}", "{\"a\": \"\(longest)x\"}", "{\"a\": [1, \"\(longest)é\"]}",
        ])
        try catalog.check {}
        let path = try #require(try catalog.indexed("a"))
        #expect(try path.overflow.rows().rows == [1, 2])
        #expect(try catalog.rows("a", value(longest)) == [0])
        #expect(try catalog.rows("a", .number(JSONNumber(1))) == [2])
        #expect(path.keyCount(.strings) == 1)
    }

    @Test func elementsBehindTheLimitOverflowAtTheirOwnPaths() throws {
        let limit = MetadataLimits.elementCountMax
        let ones = Array(repeating: "1", count: limit)
        let full = ones.joined(separator: ",")
        let catalog = try catalog([
            "{\"a\": [\(full)]}", "{\"a\": [\(full), 2]}",
            "{\"a\": [\(full), {\"b\": {\"c\": 3, \"d\": []}}]}",
        ])
        try catalog.check {}
        #expect(try catalog.rows("a", .number(JSONNumber(1))) == [0, 1, 2])
        #expect(try catalog.rows("a", .number(JSONNumber(2))) == [])
        #expect(try catalog.indexed("a")?.overflow.rows().rows == [1])
        #expect(try catalog.indexed("a.b")?.overflow.rows().rows == [])
        #expect(try catalog.indexed("a.b.c")?.exists.rows().rows == [2])
        #expect(try catalog.indexed("a.b.c")?.overflow.rows().rows == [2])
        #expect(try catalog.rows("a.b.c", .number(JSONNumber(3))) == [])
        #expect(try catalog.indexed("a.b.d")?.lists.rows().rows == [2])
    }

    @Test func aCatalogThatIsTooLargeLosesTheKeysOfItsLargestPath() throws {
        var random = SplitMix64(seed: 3)
        let rowCount = 4000
        let texts: [String?] = (0..<rowCount).map { row in
            let noise = (0..<12).map { _ in "\(random.next())" }.joined()
            return "{\"noise\": \"\(noise.prefix(200))\", \"small\": \(row % 10), \"no\": null}"
        }
        let catalog = try catalog(texts)
        try catalog.check {}
        let noise = try #require(try catalog.indexed("noise"))
        #expect(noise.keyCount(.strings) == 0)
        #expect(try noise.overflow.rows() == .all(of: rowCount))
        #expect(try noise.exists.rows() == .all(of: rowCount))
        #expect(try catalog.indexed("small")?.overflow.countMax == 0)
        #expect(try catalog.rows("small", .number(JSONNumber(3))).count == rowCount / 10)
        // Its rows overflow in a merge, too.
        let small = try MetadataCatalog(image([#"{"noise": "x"}"#]))
        let merged = try MetadataCatalog(CatalogMerge([small, catalog]).run {})
        try merged.check {}
        #expect(try merged.rows("noise", value("x")) == [0])
        #expect(try merged.indexed("noise")?.overflow.countMax == rowCount)
    }

    @Test func oddNamesArePathsAsFiltersWriteThem() throws {
        let long = String(repeating: "k", count: 512)
        let longest = String(repeating: "k", count: MetadataLimits.pathByteCountMax + 1)
        let catalog = try catalog([
            #"{"": {"": 1}, "a.b": {"c": 2}, "a": {"b": {"c": 3}}, "$x": 4, "\\": 5, "\u0000": 6}"#,
            "{\"\(long)\": 7, \"\(longest)\": 8}",
        ])
        try catalog.check {}
        #expect(try catalog.rows(".", .number(JSONNumber(1))) == [0])
        #expect(try catalog.rows(#"a\.b.c"#, .number(JSONNumber(2))) == [0])
        #expect(try catalog.rows("a.b.c", .number(JSONNumber(3))) == [0])
        #expect(try catalog.rows(#"\$x"#, .number(JSONNumber(4))) == [0])
        #expect(try catalog.rows(#"\\"#, .number(JSONNumber(5))) == [0])
        #expect(try catalog.rows("\u{0}", .number(JSONNumber(6))) == [0])
        #expect(try catalog.rows(long, .number(JSONNumber(7))) == [1])
        #expect(catalog.hasMoreUnindexedPaths)
        #expect(try state(catalog, longest) == "unindexed")
    }

    @Test func whatIsNoObjectIsDamage() throws {
        for text in ["", "[]", "1", "{", #"{"a": }"#, #"{"a": 1} x"#, #"{"a": [1, }"#, #"{"a" 1}"#]
        {
            let error = #expect(throws: OmenError.self, "\(text)") { try catalog([text]) }
            #expect(error?.code == .corrupt, "\(text)")
        }
        let deep = String(repeating: #"{"a":"#, count: 10_000)
        #expect(throws: OmenError.self) { try catalog([deep]) }
        let lists = #"{"a":"# + String(repeating: "[", count: 10_000)
        #expect(throws: OmenError.self) { try catalog([lists]) }
        // Beyond all doubles: doors refuse it, old files may have it.
        let huge = try catalog([#"{"a": 1e400, "b": 1}"#])
        #expect(try huge.indexed("a")?.overflow.rows().rows == [0])
    }

    @Test func thousandsOfNamesThatAreValuesLeaveTheFirstPathsIndexed() throws {
        var texts: [String?] = []
        for row in 0..<100 {
            let names = (0..<100).map { "\"name \(row * 100 + $0)\": {\"x\": \($0)}" }
            texts.append("{\"id\": \(row), \(names.joined(separator: ", "))}")
        }
        let catalog = try catalog(texts)
        try catalog.check {}
        #expect(catalog.pathNames.count == MetadataLimits.pathCountMax)
        #expect(catalog.hasMoreUnindexedPaths)
        #expect(try catalog.rows("id", .number(JSONNumber(77))) == [77])
        #expect(try catalog.rows("name 3.x", .number(JSONNumber(3))) == [0])
        #expect(try state(catalog, "name 9999.x") == "unindexed")
    }
}
