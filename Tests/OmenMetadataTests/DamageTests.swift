import OmenCore
import OmenMetadata
import Testing

/// Bytes of a file that a test changes; keeps them for a catalog.
private final class Bytes: Sendable {
    let directory: [UInt8]
    let data: [UInt8]

    init(_ directory: [UInt8], _ data: [UInt8]) {
        self.directory = directory
        self.data = data
    }

    /// Opens the bytes and lends the catalog.
    func with(_ body: (MetadataCatalog) throws -> Void) throws {
        try directory.withUnsafeBytes { directory in
            try data.withUnsafeBytes { data in
                try body(MetadataCatalog(directory: directory, data: data, owner: self))
            }
        }
    }
}

@Suite struct DamageTests {
    private static func bytes(_ texts: [String?]) throws -> Bytes {
        let image = try image(texts)
        return Bytes(Array(image.directory), Array(image.data))
    }

    /// Small documents of all shapes, and large ones with bitmaps and cuts.
    private static func samples() throws -> [Bytes] {
        var maker = DocumentMaker(random: SplitMix64(seed: 77))
        let large = (0..<8300).map { row in
            Optional("{\"u\": \(row), \"m\": \(row % 3), \"s\": \"s\(row % 100)\", \"b\": true}")
        }
        return try [bytes((0..<150).map { _ in maker.document() }), bytes(large)]
    }

    /// Does everything that can be done with a catalog; errors are answers.
    private static func useAll(_ catalog: MetadataCatalog) {
        attempt { try catalog.check {} }
        for name in catalog.pathNames {
            attempt {
                guard let path = try catalog.indexed(name) else { return }
                useAll(path, catalog.rowCount)
            }
        }
        attempt {
            let merged = try MetadataCatalog(CatalogMerge([catalog, catalog]).run {})
            #expect(merged.rowCount == 2 * catalog.rowCount)
        }
        attempt {
            let rows = (0..<UInt32(min(catalog.rowCount, 10_000))).reversed()
            _ = try CatalogMerge([catalog], choosing: Array(rows)).run {}
        }
    }

    private static func useAll(_ path: CatalogPath, _ rowCount: Int) {
        func rows(_ selection: @autoclosure () throws -> RowSelection) {
            attempt {
                let rows = try selection().rows()
                #expect(rows.rows.allSatisfy { $0 < rowCount } && rows.count <= rowCount)
            }
        }
        rows(try path.exists)
        rows(try path.lists)
        rows(try path.overflow)
        rows(try path.rows(equalTo: .null))
        rows(try path.rows(equalTo: .bool(true)))
        rows(try path.rows(equalTo: .number(JSONNumber(1))))
        rows(try path.rows(equalTo: value("s42")))
        rows(try path.rows(with: FilterKeys(.prefix(FilterText(Array("s".utf8))))))
        rows(try path.rows(with: FilterKeys(.above(.number(JSONNumber(40)), orEqual: true))))
        rows(try path.rows(with: FilterKeys(.below(.number(JSONNumber(4000)), orEqual: true))))
        for kind in [KeyKind.numbers, .strings, .dates] {
            for isDescending in [false, true] {
                attempt {
                    var cursor = path.keys(kind, isDescending: isDescending)
                    var count = 0
                    // A damaged count of keys is no more than there are bytes for.
                    while let element = try cursor.next(), count < 300 {
                        rows(element.rows)
                        count += 1
                    }
                }
            }
        }
    }

    private static func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            #expect(error is OmenError)
        }
    }

    @Test func nothingButErrorsComesOfFlippedBytes() throws {
        var random = SplitMix64(seed: 2026)
        for sample in try Self.samples() {
            for _ in 0..<50 {
                var directory = sample.directory
                var data = sample.data
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let byte = UInt8.random(in: 0...255, using: &random)
                    if Bool.random(using: &random) {
                        directory[Int.random(in: directory.indices, using: &random)] = byte
                    } else {
                        data[Int.random(in: data.indices, using: &random)] = byte
                    }
                }
                Self.attempt { try Bytes(directory, data).with { Self.useAll($0) } }
            }
        }
    }

    @Test func damagedDataIsSearchedWithoutATrap() throws {
        var random = SplitMix64(seed: 11)
        for sample in try Self.samples() {
            for round in 0..<50 {
                var data = sample.data
                // Whole words, which as counts and places lead farthest.
                let at = Int.random(in: 0..<data.count / 4, using: &random) * 4
                let word: [UInt8] = round % 2 == 0 ? [255, 255, 255, 255] : [0, 0, 0, 128]
                data.replaceSubrange(at..<at + 4, with: word)
                try Bytes(sample.directory, data).with { Self.useAll($0) }
            }
        }
    }

    @Test func everyCutOfTheBytesIsRefused() throws {
        let sample = try Self.bytes([#"{"a": 1, "b": ["x", "y"]}"#, #"{"a": 2.5, "c": null}"#])
        for count in sample.directory.indices {
            #expect(throws: OmenError.self) {
                try Bytes(Array(sample.directory[..<count]), sample.data).with { _ in }
            }
        }
        for count in sample.data.indices {
            #expect(throws: OmenError.self) {
                try Bytes(sample.directory, Array(sample.data[..<count])).with { _ in }
            }
        }
        #expect(throws: OmenError.self) {
            try Bytes(sample.directory + [0], sample.data).with { _ in }
        }
    }

    @Test func anotherVersionIsRefusedByItsNumber() throws {
        let sample = try Self.bytes([#"{"a": 1}"#])
        var directory = sample.directory
        directory[4] = 2
        let error = #expect(throws: OmenError.self) {
            try Bytes(directory, sample.data).with { _ in }
        }
        #expect(error?.code == .unsupportedVersion)
        #expect(error?.message.contains("version 2") == true)
    }

    @Test func theCheckFindsKeysOutOfOrderAndWrongCounts() throws {
        let texts = (0..<200).map { Optional("{\"a\": \($0 % 50)}") }
        let sample = try Self.bytes(texts)
        var found = 0
        for at in stride(from: 0, to: sample.data.count, by: 8) {
            var data = sample.data
            data[at] ^= 1
            do {
                try Bytes(sample.directory, data).with { try $0.check {} }
            } catch {
                found += 1
            }
        }
        // A row in the place of another one is what it cannot see.
        #expect(found > sample.data.count / 8 / 2, "\(found) of \(sample.data.count / 8)")
    }

    @Test func moreRowsThanAShardHasAreNotMerged() throws {
        let sample = try Self.bytes([#"{"a": 1}"#])
        var directory = sample.directory
        directory.replaceSubrange(8..<16, with: [0, 0, 0, 16, 0, 0, 0, 0])
        try Bytes(directory, sample.data).with { catalog in
            #expect(catalog.rowCount == Limits.shardRowCountMax)
            let error = #expect(throws: OmenError.self) {
                try CatalogMerge([catalog, catalog]).run {}
            }
            #expect(error?.code == .resourceExhausted)
        }
        directory[8] = 1
        #expect(throws: OmenError.self) { try Bytes(directory, sample.data).with { _ in } }
    }
}
