import OmenCore
import OmenMetadata
import Testing

/// Catalogs with bitmaps of all containers, cuts, and many blocks of strings.
@Suite struct LargeCatalogTests {
    static let rowCount = 80_000

    /// What row r has; the same for each run.
    static func document(_ row: Int) -> String {
        let mixed = row &* 7919 % rowCount
        let tags = "[\(mixed % 50), \(row % 7), \(row / 1000)]"
        return """
            {"all": true, "third": \(row % 3), "size": \(mixed % 1000), "unique": \(mixed), \
            "block": \(row / 30_000), "name": "n\(mixed % 5000)", "tags": \(tags)}
            """
    }

    static let texts = (0..<rowCount).map { Optional(document($0)) }

    /// Built once for all tests.
    static let whole = Result { try image(texts) }

    static func range(_ low: Int, _ high: Int) -> FilterKeys {
        var keys = FilterKeys()
        let low = JSONNumber(whole: Int128(low))
        keys.numbers = KeyRanges(.init(lower: low, upper: JSONNumber(whole: Int128(high))))
        return keys
    }

    static func rows(where isIn: (Int) -> Bool) -> RowSet {
        RowSet((0..<rowCount).filter(isIn).map { UInt32($0) }, of: rowCount)
    }

    @Test func answersRangesThroughCuts() throws {
        let catalog = try MetadataCatalog(Self.whole.get())
        try catalog.check {}
        let size = try #require(try catalog.indexed("size"))
        let unique = try #require(try catalog.indexed("unique"))
        var random = SplitMix64(seed: 5)
        for _ in 0..<40 {
            let low = Int.random(in: -5...1000, using: &random)
            let high = Int.random(in: low...1005, using: &random)
            let expected = Self.rows { (low...high).contains($0 &* 7919 % Self.rowCount % 1000) }
            let found = try size.rows(with: Self.range(low, high))
            #expect(try found.rows() == expected, "\(low)...\(high)")
            #expect(found.isExact && found.countMax == expected.count, "\(low)...\(high)")
        }
        for _ in 0..<40 {
            let low = Int.random(in: 0..<Self.rowCount, using: &random)
            let high = Int.random(in: low..<Self.rowCount, using: &random)
            let found = try unique.rows(with: Self.range(low, high))
            let expected = Self.rows { (low...high).contains($0 &* 7919 % Self.rowCount) }
            #expect(try found.rows() == expected, "\(low)...\(high)")
            #expect(found.isExact && found.countMax == expected.count, "\(low)...\(high)")
        }
    }

    @Test func answersRangesOverListsWithoutCuts() throws {
        let catalog = try MetadataCatalog(Self.whole.get())
        let tags = try #require(try catalog.indexed("tags"))
        let found = try tags.rows(with: Self.range(40, 60))
        let expected = Self.rows { row in
            [row &* 7919 % Self.rowCount % 50, row % 7, row / 1000].contains {
                (40...60).contains($0)
            }
        }
        #expect(try found.rows() == expected)
        #expect(!found.isExact && found.countMax >= expected.count)
    }

    @Test func readsEveryKindOfContainer() throws {
        let catalog = try MetadataCatalog(Self.whole.get())
        // Runs, bits, rows, and runs that end inside a container.
        #expect(try #require(try catalog.indexed("all")).exists.rows() == .all(of: Self.rowCount))
        let third = try #require(try catalog.indexed("third"))
        let two = FilterValue.number(JSONNumber(2))
        #expect(try third.rows(equalTo: two).rows() == Self.rows { $0 % 3 == 2 })
        let block = try #require(try catalog.indexed("block"))
        #expect(try block.rows(equalTo: two).rows() == Self.rows { $0 / 30_000 == 2 })
        let name = try #require(try catalog.indexed("name"))
        #expect(name.keyCount(.strings) == 5000)
        for wanted in [0, 1, 2499, 4999] {
            let found = try name.rows(equalTo: value("n\(wanted)"))
            #expect(try found.rows() == Self.rows { $0 &* 7919 % Self.rowCount % 5000 == wanted })
        }
        #expect(try name.rows(equalTo: value("n5000")).countMax == 0)
    }

    @Test func mergesAndRenumbersToTheSameBytes() throws {
        let whole = try Self.whole.get()
        let parts = try [0..<10, 10..<66_000, 66_000..<Self.rowCount].map {
            try catalog(Array(Self.texts[$0]))
        }
        let merged = try CatalogMerge(parts).run {}
        #expect(merged.directory.elementsEqual(whole.directory))
        #expect(merged.data.elementsEqual(whole.data))
        var random = SplitMix64(seed: 9)
        let rows = (0..<UInt32(Self.rowCount)).filter { $0 % 11 > 0 }.shuffled(using: &random)
        let renumbered = try CatalogMerge(parts, choosing: rows).run {}
        let chosen = try image(rows.map { Self.texts[Int($0)] })
        #expect(renumbered.directory.elementsEqual(chosen.directory))
        #expect(renumbered.data.elementsEqual(chosen.data))
    }

    @Test func breathesInAllLongWork() throws {
        // Also between the rows of one key, and while keys are sorted.
        let rowCount = 20_000
        let builder = CatalogBuilder()
        for (row, text) in Self.texts[..<rowCount].enumerated() {
            try Array((text ?? "").utf8).withUnsafeBytes {
                try builder.append(UInt32(row), metadata: $0)
            }
        }
        var breaths = 0
        let image = try builder.finish(rowCount: rowCount) { breaths += 1 }
        #expect(breaths > rowCount / 50)
        breaths = 0
        let catalog = try MetadataCatalog(image)
        _ = try CatalogMerge([catalog]).run { breaths += 1 }
        #expect(breaths > rowCount / 50)
    }
}
