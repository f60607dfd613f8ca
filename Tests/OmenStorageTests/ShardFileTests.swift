internal import OmenSystem
import Glibc
import OmenCore
import Testing

@testable import OmenStorage

@Suite struct ShardFileTests {
    private static let name = ShardFileName.make(lsn: 77, ordinal: 0)
    private static let schema = CollectionSchema(dim: 16, metric: .cosine, element: .f32)

    /// Bytes that differ from place to place and from seed to seed.
    private static func content(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    @discardableResult
    private static func write(
        _ sections: [(kind: UInt32, bytes: [UInt8], isLazy: Bool)],
        in scratch: Scratch,
        identity: ShardIdentity = testIdentity
    ) throws -> Int {
        let files = sections.map { MappedFile(copying: $0.bytes) }
        defer { withExtendedLifetime(files) {} }
        let nothing = UnsafeRawPointer(bitPattern: 1).map { $0 }
        return try ShardFileWriter.write(
            directory: scratch.directory,
            name: name,
            identity: identity,
            collection: "pictures",
            schema: schema,
            lsn: 77,
            sections: zip(sections, files).map { section, file in
                FileSection(
                    kind: section.kind,
                    base: try #require(file.bytes.baseAddress ?? nothing),
                    byteCount: section.bytes.count,
                    isLazy: section.isLazy
                )
            }
        )
    }

    private static func open(_ scratch: Scratch) throws -> ShardFile {
        try ShardFile(name, in: scratch.directory, identity: testIdentity)
    }

    @Test func aFileComesBackAsItWasWritten() throws {
        let scratch = try Scratch()
        let block = Limits.checksumBlockByteCount
        let sections: [(kind: UInt32, bytes: [UInt8], isLazy: Bool)] = [
            (1, Self.content(100, seed: 1), false),
            (2, [], false),
            (9, Self.content(block + 4097, seed: 2), false),
            (4, Self.content(block, seed: 3), true),
            (5, Self.content(4096, seed: 4), false),
        ]
        let count = try Self.write(sections, in: scratch)
        #expect(try scratch.directory.byteCount(of: Self.name) == count)
        #expect(try scratch.directory.names() == [Self.name])
        let file = try Self.open(scratch)
        #expect(file.collection == "pictures")
        #expect(file.schema == Self.schema)
        #expect(file.lsn == 77)
        #expect(file.fileByteCount == count)
        #expect(file.kinds == sections.map(\.kind))
        for section in sections {
            #expect(file.byteCount(of: section.kind) == section.bytes.count)
            #expect(file.isLazy(section.kind) == section.isLazy)
            #expect(file.bytes(of: section.kind).map(Array.init) == section.bytes)
        }
        #expect(file.byteCount(of: 3) == nil)
        #expect(file.bytes(of: 3) == nil)
        try file.verify()
    }

    @Test func aFileWithoutSectionsIsAFile() throws {
        let scratch = try Scratch()
        #expect(try Self.write([], in: scratch) == 4096)
        #expect(try Self.open(scratch).kinds == [])
    }

    @Test func everyFlippedByteOfAFileIsFound() throws {
        let scratch = try Scratch()
        let sections: [(kind: UInt32, bytes: [UInt8], isLazy: Bool)] = [
            (1, Self.content(100, seed: 1), false), (2, Self.content(4000, seed: 2), true),
        ]
        let count = try Self.write(sections, in: scratch)
        let whole = try scratch.bytes(of: Self.name)
        let file = try File(scratch.directory.path(of: Self.name), .readWrite)
        let lazyPages = 8192..<12288
        for place in 0..<count {
            try writeAll([whole[place] ^ (1 << (place % 8))], to: file, at: place)
            let error = #expect(throws: OmenError.self, "byte \(place)") {
                let opened = try Self.open(scratch)
                // Lazy sections are checked after opening, everything else by it.
                try #require(lazyPages.contains(place), "byte \(place)")
                try opened.verify()
            }
            #expect(error?.code == .corrupt, "byte \(place)")
            #expect(error?.message.contains(Self.name) == true)
            try writeAll([whole[place]], to: file, at: place)
        }
        try Self.open(scratch).verify()
    }

    /// Runs a file's check to its end; returns the bytes it saw by section.
    private static func check(_ file: ShardFile) throws -> [UInt32: [UInt8]] {
        let check = try #require(file.check())
        var seen: [UInt32: [UInt8]] = [:]
        while true {
            let isNext = try check.next { kind, offset, bytes throws(OmenError) in
                precondition(offset == seen[kind]?.count ?? 0, "offset \(offset)")
                seen[kind, default: []] += Array(bytes)
            }
            guard isNext else { return seen }
        }
    }

    @Test func aCheckSeesEveryByteOfTheLazySections() throws {
        let scratch = try Scratch()
        let block = Limits.checksumBlockByteCount
        let sections: [(kind: UInt32, bytes: [UInt8], isLazy: Bool)] = [
            (3, Self.content(2 * block + 5000, seed: 1), true), (1, [1, 2, 3], false),
            (4, [], true), (2, Self.content(block, seed: 2), true), (5, [7], true),
        ]
        try Self.write(sections, in: scratch)
        let seen = try Self.check(try Self.open(scratch))
        #expect(seen == [3: sections[0].bytes, 2: sections[3].bytes, 5: [7]])
        try Self.write([(1, [1], false)], in: scratch)
        #expect(try Self.open(scratch).check() == nil)
    }

    @Test func aCheckFindsFlippedAndMissingBytes() throws {
        let scratch = try Scratch()
        try Self.write([(1, [1], false), (2, Self.content(4000, seed: 2), true)], in: scratch)
        let opened = try Self.open(scratch)
        let whole = try scratch.bytes(of: Self.name)
        let file = try File(scratch.directory.path(of: Self.name), .readWrite)
        for place in stride(from: 8192, to: 12288, by: 37) {
            try writeAll([whole[place] ^ (1 << (place % 8))], to: file, at: place)
            let error = #expect(throws: OmenError.self) { _ = try Self.check(opened) }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains("\(Self.name) offset 8192") == true)
            #expect(throws: OmenError.self) {
                _ = try ShardFile(
                    Self.name,
                    in: scratch.directory,
                    identity: testIdentity,
                    isWhole: true
                )
            }
            try writeAll([whole[place]], to: file, at: place)
        }
        _ = try Self.check(opened)
        let check = try #require(opened.check())
        try file.truncate(byteCount: 9000)
        let error = #expect(throws: OmenError.self) {
            _ = try check.next { _, _, _ throws(OmenError) in }
        }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("ends at offset 9000") == true)
    }

    @Test func everyCutAndEveryExtensionIsFound() throws {
        let scratch = try Scratch()
        try Self.write([(1, Self.content(5000, seed: 1), false)], in: scratch)
        let whole = try scratch.bytes(of: Self.name)
        for length in stride(from: 0, to: whole.count, by: 61) {
            try scratch.put(Array(whole[..<length]), as: Self.name)
            let error = #expect(throws: OmenError.self) { try Self.open(scratch) }
            #expect(error?.code == .corrupt, "length \(length)")
        }
        try scratch.put(whole + [0], as: Self.name)
        #expect(throws: OmenError.self) { try Self.open(scratch) }
    }

    /// Headers that lie although their checksum holds: nothing outside the file is ever touched.
    @Test(arguments: [UInt64(31), 32])
    func checksummedLiesInAHeaderNeverTrap(seed: UInt64) throws {
        print("seed \(seed)")
        var generator = SplitMix64(seed: seed)
        let scratch = try Scratch()
        try Self.write(
            [(1, Self.content(5000, seed: 1), false), (2, Self.content(9, seed: 2), true)],
            in: scratch
        )
        let whole = try scratch.bytes(of: Self.name)
        let extremes: [UInt64] = [
            0, 1, 4095, 4096, 8192, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, 1 << 62, .max - 4095, .max,
        ]
        let file = try File(scratch.directory.path(of: Self.name), .readWrite)
        var refused = 0
        for _ in 0..<1500 {
            var header = Array(whole[..<4092])
            for _ in 0..<Int.random(in: 1...2, using: &generator) {
                let place = Int.random(in: 8..<72, using: &generator) * 4
                let value = extremes.randomElement(using: &generator) ?? 0
                let width = Bool.random(using: &generator) ? 4 : 8
                withUnsafeBytes(of: value.littleEndian) {
                    header.replaceSubrange(place..<place + width, with: $0.prefix(width))
                }
            }
            var writer = ByteWriter()
            writer.write(raw: header)
            writer.write(crc32c(header))
            try writeAll(writer.bytes, to: file, at: 0)
            do {
                let opened = try Self.open(scratch)
                for kind in opened.kinds {
                    let region = try opened.region(of: kind, byteCountMax: 1 << 20)
                    withExtendedLifetime(region) {}
                }
                try opened.verify()
            } catch { refused += 1 }
        }
        #expect(refused > 700)
    }

    @Test func filesOfAnotherShardOrFormatAreRefusedByName() throws {
        let scratch = try Scratch()
        let other = ShardIdentity(cluster: testIdentity.cluster, shard: 8)
        try Self.write([(1, [1, 2, 3], false)], in: scratch, identity: other)
        let error = #expect(throws: OmenError.self) { try Self.open(scratch) }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("shard 8 of cluster") == true)
        var bytes = try scratch.bytes(of: Self.name)
        // Format 1 had no versions of records.
        for format in [UInt8(1), 3] {
            bytes[8] = format
            var writer = ByteWriter()
            writer.write(crc32c(Array(bytes[..<4092])))
            bytes.replaceSubrange(4092..<4096, with: writer.bytes)
            try scratch.put(bytes, as: Self.name)
            let error = #expect(throws: OmenError.self) { try Self.open(scratch) }
            #expect(error?.code == .unsupportedVersion)
            #expect(error?.message.contains("format \(format)") == true)
        }
        try scratch.directory.remove(Self.name)
        let missing = #expect(throws: OmenError.self) { try Self.open(scratch) }
        #expect(missing?.code == .corrupt)
        #expect(missing?.message.contains("missing") == true)
    }

    @Test func aRegionStartsWithTheSectionAndGrowsWithoutTouchingTheFile() throws {
        let scratch = try Scratch()
        let content = Self.content(5000, seed: 6)
        try Self.write([(1, content, false), (2, [], false)], in: scratch)
        let before = try scratch.bytes(of: Self.name)
        let file = try Self.open(scratch)
        let region = try file.region(of: 1, byteCountMax: 1 << 20)
        let bytes = UnsafeMutableRawBufferPointer(start: region.base, count: 1 << 20)
        #expect(bytes.prefix(5000).elementsEqual(content))
        #expect(bytes[5000...].allSatisfy { $0 == 0 })
        for place in [0, 4999, 5000, 8191, 8192, (1 << 20) - 1] { bytes[place] = 0xEE }
        #expect(bytes[1] == content[1])
        #expect(try scratch.bytes(of: Self.name) == before)
        #expect(file.bytes(of: 1).map(Array.init) == content)
        try file.verify()
        // A second opening shares nothing with the first.
        let second = try Self.open(scratch).region(of: 1, byteCountMax: 5000)
        #expect(second.base.load(as: UInt8.self) == content[0])
        withExtendedLifetime((region, second)) {}
        let empty = try file.region(of: 2, byteCountMax: 4096)
        #expect(empty.base.load(as: UInt64.self) == 0)
    }

    @Test func aRegionOutlivesItsFile() throws {
        let scratch = try Scratch()
        let content = Self.content(70_000, seed: 7)
        try Self.write([(1, content, false)], in: scratch)
        let region = try Self.open(scratch).region(of: 1, byteCountMax: 1 << 20)
        try scratch.directory.remove(Self.name)
        let bytes = UnsafeMutableRawBufferPointer(start: region.base, count: content.count)
        #expect(bytes.elementsEqual(content))
        withExtendedLifetime(region) {}
    }

    @Test func aSectionThatDoesNotFitIsRefused() throws {
        let scratch = try Scratch()
        try Self.write([(1, Self.content(5000, seed: 6), false)], in: scratch)
        let file = try Self.open(scratch)
        for (kind, limit) in [(UInt32(1), 4999), (2, 1 << 20)] {
            let error = #expect(throws: OmenError.self) {
                try file.region(of: kind, byteCountMax: limit)
            }
            #expect(error?.code == .corrupt)
        }
    }

    @Test func withoutSpaceNothingIsLeftBehind() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let scratch = try Scratch()
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            try #require(setrlimit(__rlimit_resource_t(1), &limit) == 0)
            do {
                let bytes = [UInt8](repeating: 1, count: 2 << 20)
                try ShardFileTests.write([(1, bytes, false)], in: scratch)
                throw OmenError(.corrupt, "wrote over the limit")
            } catch let error as OmenError {
                try #require(error.code == .resourceExhausted)
                try #require(error.message.contains(ShardFileTests.name))
            }
            try #require(try scratch.directory.names().isEmpty)
        }
    }
}
