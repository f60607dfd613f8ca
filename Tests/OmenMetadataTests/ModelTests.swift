import Foundation
import OmenCore
import OmenMetadata
import Testing

/// Expects that a catalog knows what the model knows.
func expect(
    _ catalog: MetadataCatalog,
    knows model: Model,
    _ what: Comment,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    try catalog.check {}
    var wrong: [String] = []
    func compare(_ selection: RowSelection, _ rows: Set<UInt32>, _ name: String) throws {
        let found = try selection.rows()
        if found.rows != rows.sorted() || selection.countMax < rows.count
            || selection.isExact && selection.countMax != rows.count || found.count != rows.count
        {
            wrong.append("\(name): \(found.rows) for \(rows.sorted())")
        }
    }
    #expect(Set(catalog.pathNames) == Set(model.paths.keys), what, sourceLocation: sourceLocation)
    for (name, expected) in model.paths {
        guard let path = try catalog.indexed(name) else { continue }
        try compare(path.exists, expected.exists, "\(name) exists")
        try compare(path.lists, expected.lists, "\(name) lists")
        try compare(path.overflow, [], "\(name) overflow")
        try compare(path.rows(equalTo: .null), expected.null, "\(name) null")
        for bool in [true, false] {
            let rows = expected.bools[bool] ?? []
            try compare(path.rows(equalTo: .bool(bool)), rows, "\(name) \(bool)")
        }
        try compareNumbers(path, expected.numbers) { try compare($0, $1, "\(name) \($2)") }
        try compareStrings(path, expected.strings) { try compare($0, $1, "\(name) \($2)") }
        try compareDates(path, expected.dates) { try compare($0, $1, "\(name) \($2)") }
    }
    #expect(wrong == [], what, sourceLocation: sourceLocation)
}

typealias Compare = (RowSelection, Set<UInt32>, String) throws -> Void

private func compareNumbers(
    _ path: CatalogPath,
    _ expected: [Decimal: Set<UInt32>],
    _ compare: Compare
) throws {
    let sorted = expected.keys.sorted()
    for isDescending in [false, true] {
        var cursor = path.keys(.numbers, isDescending: isDescending)
        for decimal in isDescending ? sorted.reversed() : sorted {
            let element = try #require(try cursor.next())
            #expect(element.key == .number(number("\(decimal)")))
            try compare(element.rows, expected[decimal] ?? [], "next \(decimal)")
        }
        #expect(try cursor.next() == nil)
    }
    #expect(path.keyCount(.numbers) == sorted.count)
    // Ends that are keys, and others between and outside of them.
    let ends = sorted + [Model.decimal("0.5"), Model.decimal("-1e110"), Model.decimal("1e120")]
    for (index, low) in ends.enumerated() {
        let high = ends[(index * 7 + 3) % ends.count]
        for (includesLow, includesHigh) in [(true, true), (false, true), (true, false)] {
            let range = KeyRanges<JSONNumber>.Range(
                lower: number("\(low)"),
                includesLower: includesLow,
                upper: number("\(high)"),
                includesUpper: includesHigh
            )
            var keys = FilterKeys()
            keys.numbers = KeyRanges(range)
            let rows = expected.filter {
                ($0.key > low || includesLow && $0.key == low)
                    && ($0.key < high || includesHigh && $0.key == high)
            }
            try compare(
                path.rows(with: keys),
                rows.values.reduce(into: []) { $0.formUnion($1) },
                "\(low) \(includesLow) to \(high) \(includesHigh)"
            )
        }
    }
}

private func compareStrings(
    _ path: CatalogPath,
    _ expected: [[UInt8]: Set<UInt32>],
    _ compare: Compare
) throws {
    let sorted = expected.keys.sorted { $0.lexicographicallyPrecedes($1) }
    for isDescending in [false, true] {
        var cursor = path.keys(.strings, isDescending: isDescending)
        for text in isDescending ? sorted.reversed() : sorted {
            let element = try #require(try cursor.next())
            #expect(element.key == .string(FilterText(text)))
            try compare(element.rows, expected[text] ?? [], "next \(text)")
        }
        #expect(try cursor.next() == nil)
    }
    for prefix in sorted.map({ Array($0.prefix(2)) }) + [[], Array("zz".utf8)] {
        let keys = FilterKeys(.prefix(FilterText(prefix)))
        let rows = expected.filter { $0.key.starts(with: prefix) }
        try compare(
            path.rows(with: keys),
            rows.values.reduce(into: []) { $0.formUnion($1) },
            "beginning with \(prefix)"
        )
    }
    for low in sorted + [Array("m".utf8)] {
        let keys = FilterKeys(.above(.string(FilterText(low)), orEqual: false))
        let rows = expected.filter { low.lexicographicallyPrecedes($0.key) }
        try compare(
            path.rows(with: keys),
            rows.values.reduce(into: []) { $0.formUnion($1) },
            "above \(low)"
        )
    }
}

private func compareDates(
    _ path: CatalogPath,
    _ expected: [Int64: Set<UInt32>],
    _ compare: Compare
) throws {
    var cursor = path.keys(.dates)
    for date in expected.keys.sorted() {
        let element = try #require(try cursor.next())
        #expect(element.key == .date(microseconds: date))
        try compare(element.rows, expected[date] ?? [], "next \(date)")
    }
    #expect(try cursor.next() == nil)
}

@Suite struct ModelTests {
    static let seeds: [UInt64] = [1, 2, 3, 4, 5, 6]

    @Test(arguments: seeds)
    func answersAsDictionariesDo(seed: UInt64) throws {
        var maker = DocumentMaker(random: SplitMix64(seed: seed))
        let texts = (0..<300).map { $0 % 10 == 9 ? nil : maker.document() }
        try expect(catalog(texts), knows: Model(texts), "seed \(seed)")
    }

    @Test(arguments: seeds)
    func mergingIsBuildingFromTheBeginning(seed: UInt64) throws {
        var maker = DocumentMaker(random: SplitMix64(seed: seed + 100))
        let texts = (0..<200).map { $0 % 10 == 9 ? nil : maker.document() }
        var parts: [MetadataCatalog] = []
        var rest = texts[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...80, using: &maker.random)
            parts.append(try catalog(Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        // Empty ones may be among them.
        parts.insert(try catalog([]), at: 1)
        let merged = try CatalogMerge(parts).run {}
        let whole = try image(texts)
        #expect(merged.directory.elementsEqual(whole.directory), "seed \(seed)")
        #expect(merged.data.elementsEqual(whole.data), "seed \(seed)")
        try expect(MetadataCatalog(merged), knows: Model(texts), "seed \(seed)")
    }

    @Test(arguments: seeds)
    func renumberingIsBuildingFromTheBeginning(seed: UInt64) throws {
        var maker = DocumentMaker(random: SplitMix64(seed: seed + 200))
        let texts = (0..<200).map { $0 % 10 == 9 ? nil : maker.document() }
        let parts = try [catalog(Array(texts[..<70])), catalog(Array(texts[70...]))]
        var rows = (0..<200).map { UInt32($0) }.shuffled(using: &maker.random)
        rows.removeLast(Int.random(in: 0...150, using: &maker.random))
        // A build may keep the order as well.
        if seed % 3 == 0 { rows.sort() }
        let renumbered = try CatalogMerge(parts, choosing: rows).run {}
        let chosen = rows.map { texts[Int($0)] }
        let whole = try image(chosen)
        #expect(renumbered.directory.elementsEqual(whole.directory), "seed \(seed)")
        #expect(renumbered.data.elementsEqual(whole.data), "seed \(seed)")
        try expect(MetadataCatalog(renumbered), knows: Model(chosen), "seed \(seed)")
    }
}
