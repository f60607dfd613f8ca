import OmenSystem
import OmenCore
import OmenIndex
import Testing

@Suite struct PersistenceTests {
    typealias Section = VectorIndex.Section

    /// What a file would hold.
    static func bytes(_ index: VectorIndex) -> [Section: [UInt8]] {
        var copies: [Section: [UInt8]] = [:]
        let snapshot = index.freeze()
        withExtendedLifetime(snapshot) {
            for (section, bytes) in snapshot.sections { copies[section] = Array(bytes) }
        }
        index.thaw()
        return copies
    }

    static func reopen(
        _ schema: CollectionSchema,
        _ copies: [Section: [UInt8]]
    ) throws -> VectorIndex {
        var sections: [Section: (region: ReservedRegion, byteCount: Int)] = [:]
        for (section, bytes) in copies {
            let region = try ReservedRegion(
                byteCountMax: VectorIndex.regionByteCountMax(section, schema: schema)
            )
            bytes.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: region.base, count: $0.count)
                    .copyMemory(from: $0)
            }
            sections[section] = (region, bytes.count)
        }
        return try VectorIndex(schema: schema, sections: sections)
    }

    static func search(
        _ index: VectorIndex,
        _ schema: CollectionSchema,
        _ query: [Float]
    ) throws -> [Neighbor] {
        var hits: [Neighbor] = []
        let bytes =
            schema.element == .f32
            ? query.withUnsafeBytes(Array.init) : TestData.bytes(query)
        try bytes.withUnsafeBytes {
            try index.search(
                #require($0.baseAddress),
                element: schema.element,
                k: 10,
                effort: .walk(ef: 20),
                into: &hits
            )
        }
        return hits
    }

    static func filled(_ schema: CollectionSchema) throws -> (Checked, TestData) {
        let (checked, data) = try LifecycleTests.filled(schema, count: 800)
        _ = checked.index.link(atMost: 750)
        for row in stride(from: UInt32(0), to: 800, by: 9) { checked.delete(row) }
        return (checked, data)
    }

    @Test(arguments: schemas(dim: 16))
    func aReopenedIndexAnswersTheSameAndGoesOn(_ schema: CollectionSchema) throws {
        let (checked, data) = try Self.filled(schema)
        let reopened = try Self.reopen(schema, Self.bytes(checked.index))
        #expect(reopened.rowCount == 800)
        #expect(reopened.linkedCount == 750)
        #expect(reopened.deletedCount == checked.index.deletedCount)
        try reopened.checkInvariants()
        for query in data.queries {
            let original = try checked.search(query, ef: 20)
            #expect(try Self.search(reopened, schema, query) == original)
        }
        // Both grow on in the same way.
        let more = TestData(.normal, count: 100, dim: schema.dim, seed: 77)
        for vector in more.vectors {
            try checked.append(vector)
            let bytes =
                schema.element == .f32
                ? vector.withUnsafeBytes(Array.init) : TestData.bytes(vector)
            _ = try bytes.withUnsafeBytes { try reopened.append(#require($0.baseAddress)) }
        }
        checked.linkAll()
        while reopened.link(atMost: 16) > 0 {}
        try reopened.checkInvariants()
        #expect(Self.bytes(reopened) == Self.bytes(checked.index))
    }

    @Test func anEmptyIndexReopens() throws {
        let schema = LifecycleTests.schema
        let index = try VectorIndex(schema: schema, seed: 3)
        let reopened = try Self.reopen(schema, Self.bytes(index))
        #expect(reopened.rowCount == 0)
        try reopened.checkInvariants()
    }

    @Test func frozenRowsStandStillWhileWritesGoOn() throws {
        for schema in schemas(dim: 16) {
            let (checked, data) = try Self.filled(schema)
            let snapshot = checked.index.freeze()
            func contents() -> [[UInt8]] {
                withExtendedLifetime(snapshot) { snapshot.sections.map { Array($0.1) } }
            }
            let before = contents()
            #expect(checked.index.isFrozen)
            for (index, query) in data.queries.enumerated() {
                let row = try checked.append(query)
                checked.delete(UInt32(index * 9 + 1))
                #expect(checked.index.link(atMost: 16) == 0)
                if schema.metric != .ip {
                    #expect(try checked.search(query, k: 1).first?.row == row)
                }
            }
            #expect(contents() == before)
            checked.index.thaw()
            checked.linkAll()
            #expect(checked.index.linkedCount == checked.index.rowCount)
            try checked.index.checkInvariants()
        }
    }

    @Test func aSnapshotOutlivesItsIndex() throws {
        var snapshot: IndexSnapshot?
        do {
            let (checked, _) = try Self.filled(LifecycleTests.schema)
            snapshot = checked.index.freeze()
        }
        let vectors = try #require(snapshot?.sections.first { $0.0 == .vectors })
        #expect(vectors.1.count == 800 * 64)
        #expect(vectors.1.contains { $0 != 0 })
    }

    /// Overwrites a 32-bit word of one section and expects the reopening to fail.
    func expectCorrupt(
        _ copies: [Section: [UInt8]],
        _ section: Section,
        offset: Int,
        _ value: UInt32,
        code: OmenError.Code = .corrupt
    ) throws {
        var copies = copies
        var bytes = try #require(copies[section])
        withUnsafeBytes(of: value.littleEndian) { source in
            for i in 0..<4 { bytes[offset + i] = source[i] }
        }
        copies[section] = bytes
        let error = #expect(throws: OmenError.self, "\(section) at \(offset)") {
            try Self.reopen(LifecycleTests.schema, copies)
        }
        #expect(error?.code == code, "\(section) at \(offset): \(String(describing: error))")
    }

    @Test func everyBadNumberIsRefused() throws {
        let (checked, _) = try Self.filled(LifecycleTests.schema)
        let copies = Self.bytes(checked.index)
        // Links: out of range, and to itself (row 2 has its list at 2 * 16 words).
        try expectCorrupt(copies, .links, offset: 64 * 3, 750)
        try expectCorrupt(copies, .links, offset: 64 * 2, 2)
        try expectCorrupt(copies, .links, offset: 64 * 700 + 4, 0x7FFF_FFF0)
        // Nodes of level 1: row, slot below, link.
        try expectCorrupt(copies, .upper1, offset: 0, 750)
        try expectCorrupt(copies, .upper1, offset: 4, 749)
        try expectCorrupt(copies, .upper1, offset: 8, 0x00FF_FFFF)
        // Flags: one row more or fewer than counted, and a bit beyond the last row.
        try expectCorrupt(copies, .flags, offset: 0, 0xFFFF_FFFF)
        try expectCorrupt(copies, .flags, offset: 800 / 8, 0x0100_0000)
        // State: magic, version, dim, counts, entry point, quantizer.
        try expectCorrupt(copies, .state, offset: 0, 1)
        try expectCorrupt(copies, .state, offset: 4, 9, code: .unsupportedVersion)
        try expectCorrupt(copies, .state, offset: 8, 17)
        try expectCorrupt(copies, .state, offset: 24, 801)
        try expectCorrupt(copies, .state, offset: 28, 0x4000_0000)
        try expectCorrupt(copies, .state, offset: 32, 749)
        try expectCorrupt(copies, .state, offset: 32, 801)
        try expectCorrupt(copies, .state, offset: 40, 3)
        try expectCorrupt(copies, .state, offset: 48, 8)
        try expectCorrupt(copies, .state, offset: 48, .max)
        try expectCorrupt(copies, .state, offset: 52, 5000)
        try expectCorrupt(copies, .state, offset: 56, 1)
        try expectCorrupt(copies, .state, offset: 120, 7)
        try expectCorrupt(copies, .state, offset: 124, 0)
        try expectCorrupt(copies, .state, offset: 124, 0x7F80_0000)
        // A scale whose inverse is infinite.
        try expectCorrupt(copies, .state, offset: 124, 1)
    }

    @Test func missingAndShortSectionsAreRefused() throws {
        let (checked, _) = try Self.filled(LifecycleTests.schema)
        let copies = Self.bytes(checked.index)
        for section in copies.keys {
            var missing = copies
            missing[section] = nil
            #expect(throws: OmenError.self, "\(section) missing") {
                try Self.reopen(LifecycleTests.schema, missing)
            }
            var short = copies
            short[section]?.removeLast()
            #expect(throws: OmenError.self, "\(section) short") {
                try Self.reopen(LifecycleTests.schema, short)
            }
        }
    }

    /// Pinned links must come in pairs, which opening does not look for: it would have to jump
    /// about in memory for every link.
    @Test func linkingSurvivesPinnedLinksWithoutAWayBack() throws {
        let (checked, data) = try Self.filled(LifecycleTests.schema)
        var copies = Self.bytes(checked.index)
        let rowCount = UInt32(750)
        let slots = UInt32(16)
        let links = (0..<rowCount * slots).map {
            (1 << 31) | ($0 / slots + $0 % slots + 1) % rowCount
        }
        copies[.links] = links.withUnsafeBytes(Array.init)
        let reopened = try Self.reopen(LifecycleTests.schema, copies)
        while reopened.link(atMost: 16) > 0 {}
        #expect(reopened.linkedCount == 800)
        let hits = try Self.search(reopened, LifecycleTests.schema, #require(data.queries.first))
        #expect(hits.count == 10)
    }

    @Test func randomDamageNeverCrashes() throws {
        let (checked, data) = try Self.filled(LifecycleTests.schema)
        let copies = Self.bytes(checked.index)
        let seed: UInt64 = 99
        var generator = SplitMix64(seed: seed)
        let structural: [Section] = [.state, .links, .upper1, .flags]
        var survivors = 0
        for _ in 0..<60 {
            var damaged = copies
            let section = structural[Int(generator.next() % 4)]
            let count = damaged[section]?.count ?? 1
            let at = Int(generator.next() % UInt64(count))
            damaged[section]?[at] ^= UInt8(1 << (generator.next() % 8))
            do {
                let reopened = try Self.reopen(LifecycleTests.schema, damaged)
                for query in data.queries.prefix(3) {
                    _ = try Self.search(reopened, LifecycleTests.schema, query)
                }
                survivors += 1
            } catch let error as OmenError {
                #expect([.corrupt, .unsupportedVersion].contains(error.code), "seed \(seed)")
            }
        }
        // Some flips are harmless (another valid link, a drawn-out clamp count); most are not.
        #expect(survivors < 60)
    }
}
