import OmenCore
import OmenMetadata
import Testing

/// Catalogs against the evaluation of filters, which reads the metadata of each row.
@Suite struct FilterTests {
    private static let names = ["a", "b", "tags", #"n\\.x"#, "", "a.b", "a.tags", "o.a", "missing"]
    private static let operands = [
        "0", "1", "1.5", "2", "100", "9007199254740993", "9223372036854775807", "1e100", "\"x\"",
        "\"xy\"", "\"red\"", "\"\"", "\"é\"", #"{"$date": "2026-11-28T19:05:53Z"}"#,
    ]

    /// A filter whose conditions a catalog answers alone: without whole lists.
    private static func filter(_ random: inout SplitMix64, depth: Int = 0) -> String {
        func one(_ texts: [String]) -> String { texts.randomElement(using: &random) ?? "" }
        switch Int.random(in: 0..<(depth > 2 ? 6 : 9), using: &random) {
        case 0: return "{\"\(one(names))\": {\"$exists\": \(one(["true", "false"]))}}"
        case 1: return "{\"\(one(names))\": \(one(operands + ["null", "true", "false"]))}"
        case 2:
            let values = (0..<4).map { _ in one(operands + ["null", "true"]) }
            return
                "{\"\(one(names))\": {\"\(one(["$in", "$nin"]))\": [\(values.joined(separator: ","))]}}"
        case 3:
            let above = "\"\(one(["$gt", "$gte"]))\": \(one(Array(operands[..<8])))"
            let below = "\"\(one(["$lt", "$lte"]))\": \(one(Array(operands[..<8])))"
            return "{\"\(one(names))\": {\(above), \(below)}}"
        case 4:
            return
                "{\"\(one(names))\": {\"\(one(["$gt", "$lte", "$lt", "$gte"]))\": \(one(operands))}}"
        case 5:
            return "{\"\(one(names))\": {\"$prefix\": \"\(one(["x", "re", "", "2026", "z"]))\"}}"
        case 6: return "{\"$nor\": [\(filter(&random, depth: depth + 1))]}"
        default:
            let parts = (0..<3).map { _ in filter(&random, depth: depth + 1) }
            return "{\"\(one(["$and", "$or"]))\": [\(parts.joined(separator: ", "))]}"
        }
    }

    private static func rows(_ node: FilterNode, _ catalog: MetadataCatalog) throws -> RowSet {
        switch node {
        case .all: return .all(of: catalog.rowCount)
        case .and(let nodes): return try .intersection(of: nodes.map { try rows($0, catalog) })
        case .or(let nodes):
            return try nodes.reduce(.none(of: catalog.rowCount)) { try $0.union(rows($1, catalog)) }
        case .not(let node): return try rows(node, catalog).complement
        case .condition(let condition): return try rows(condition, catalog)
        }
    }

    private static func rows(
        _ condition: FilterCondition,
        _ catalog: MetadataCatalog
    ) throws -> RowSet {
        var path: CatalogPath?
        switch catalog[condition.path] {
        case .indexed(let indexed): path = indexed
        case .absent: break
        // What such a path has is asked of the metadata.
        case .unindexed: break
        }
        let none = RowSet.none(of: catalog.rowCount)
        let exists = try path?.exists.rows() ?? none
        switch condition.test {
        case .exists: return exists
        case .some(let comparisons):
            let keys = FilterKeys(comparisons)
            let found = try path?.rows(with: keys).rows() ?? none
            return keys.includesNull ? found.union(exists.complement) : found
        case .contains:
            Issue.record("filters of this test do not ask for whole lists")
            return none
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func catalogsFindTheRowsThatFiltersMatch(seed: UInt64) throws {
        var maker = DocumentMaker(random: SplitMix64(seed: seed + 300))
        let texts = (0..<300).map { $0 % 20 == 0 ? nil : maker.document() }
        let catalog = try catalog(texts)
        var found = 0
        for _ in 0..<200 {
            let text = Self.filter(&maker.random)
            let filter = try Filter(json: Array(text.utf8))
            let expected = try texts.indices.filter { row in
                try Array((texts[row] ?? "").utf8).withUnsafeBytes { try filter.matches($0) }
            }
            let rows = try Self.rows(filter.root, catalog).rows
            #expect(rows.map(Int.init) == expected, "seed \(seed): \(text)")
            found += expected.isEmpty ? 0 : 1
        }
        // Otherwise the filters say nothing.
        #expect(found > 100, "seed \(seed)")
    }

    // MARK: Beyond the limits

    /// A document that passes limits: more paths than are indexed, long strings and lists, deep
    /// objects.
    private static func oddDocument(_ random: inout SplitMix64) -> String {
        var names: Set<String> = ["a"]
        for _ in 0..<6 { names.insert("p\(Int.random(in: 0..<400, using: &random))") }
        let members = names.sorted().map { name in
            switch Int.random(in: 0..<8, using: &random) {
            case 0: return "\"\(name)\": \"\(String(repeating: "x", count: 300))\""
            case 1:
                let ones = String(repeating: "1,", count: MetadataLimits.elementCountMax)
                return "\"\(name)\": [\(ones) 2, \"x\", {\"b\": 2}]"
            case 2:
                let open = String(repeating: "{\"d\": ", count: 9)
                return "\"\(name)\": \(open)1\(String(repeating: "}", count: 9))"
            case 3: return "\"\(name)\": null"
            case 4: return "\"\(name)\": {\"b\": \(Int.random(in: 0..<3, using: &random))}"
            default: return "\"\(name)\": \(Int.random(in: 0..<4, using: &random))"
            }
        }
        return "{\(members.joined(separator: ", "))}"
    }

    /// The rows that a filter of one condition matches.
    ///
    /// The metadata of rows that a catalog does not wholly know is read.
    private static func rows(
        _ filter: Filter,
        _ path: String,
        _ catalog: MetadataCatalog,
        _ texts: [String]
    ) throws -> RowSet {
        let doubtful: RowSet
        switch catalog[try FilterPath(Array(path.utf8))] {
        case .indexed(let path): doubtful = try path.overflow.rows()
        case .absent: doubtful = .none(of: catalog.rowCount)
        case .unindexed: doubtful = try catalog.unindexedRows.rows()
        }
        let matching = try doubtful.rows.filter { row in
            try Array(texts[Int(row)].utf8).withUnsafeBytes { try filter.matches($0) }
        }
        return try rows(filter.root, catalog).subtracting(doubtful)
            .union(RowSet(matching, of: catalog.rowCount))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func withTheRowsThatOverflowNoRowIsMissed(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let texts = (0..<90).map { _ in Self.oddDocument(&random) }
        let parts = try [catalog(Array(texts[..<40])), catalog(Array(texts[40...]))]
        let order = (0..<90).map { UInt32($0) }.shuffled(using: &random).dropLast(12)
        let chosen = order.map { texts[Int($0)] }
        let catalogs = try [
            (catalog(texts), texts), (MetadataCatalog(CatalogMerge(parts).run {}), texts),
            (MetadataCatalog(CatalogMerge(parts, choosing: Array(order)).run {}), chosen),
        ]
        var doubtful = 0
        for (catalog, texts) in catalogs {
            try catalog.check {}
            #expect(catalog.hasMoreUnindexedPaths)
            let names =
                ["a", "a.b", "a.d.d.d.d.d.d.d", "a.d.d.d.d.d.d.d.d", "other"]
                + (0..<14).map { "p\($0 * 29)\($0 % 3 == 0 ? ".b" : "")" }
            for name in names {
                let test = [
                    "2", "{\"$gt\": 1}", "null", "{\"$exists\": true}", "{\"$ne\": 1}", "\"x\"",
                ]
                .randomElement(using: &random)
                let text = "{\"\(name)\": \(test ?? "1")}"
                let filter = try Filter(json: Array(text.utf8))
                let expected = try texts.indices.filter { row in
                    try Array(texts[row].utf8).withUnsafeBytes { try filter.matches($0) }
                }
                let rows = try Self.rows(filter, name, catalog, texts).rows
                #expect(rows.map(Int.init) == expected, "seed \(seed): \(text)")
            }
            doubtful += try catalog.unindexedRows.countMax
        }
        #expect(doubtful > 0)
    }
}
