import Foundation
import OmenCore
import Testing

@testable import OmenIndex

/// Data on which graphs are known to do badly; `bench/run hard` measures more of it.
@Suite struct HardDataTests {
    private static let dim = 32
    private static let count = 2400
    private static let queryCount = 30

    private static func normal(_ generator: inout SplitMix64, _ dim: Int = dim) -> [Float] {
        (0..<dim).map { _ in
            (0..<12).reduce(-6) { sum, _ in sum + Float(generator.next() >> 40) / Float(1 << 24) }
        }
    }

    private static func unit(_ vector: [Float]) -> [Float] {
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return vector.map { $0 / length }
    }

    /// Directions with lognormal lengths; queries are directions alone.
    static func lengths(
        _ spread: Float,
        dim: Int = dim
    ) -> (rows: [[Float]], queries: [[Float]]) {
        var generator = SplitMix64(seed: 5)
        let rows = (0..<count).map { _ in
            let length = exp(spread * normal(&generator, 1)[0])
            return unit(normal(&generator, dim)).map { $0 * length }
        }
        return (rows, (0..<queryCount).map { _ in normal(&generator, dim) })
    }

    /// Groups of 30 near-duplicates.
    static func duplicates(_ width: Float) -> (rows: [[Float]], queries: [[Float]]) {
        var generator = SplitMix64(seed: 6)
        let centres = (0..<count / 30).map { _ in unit(normal(&generator)) }
        let all = (0..<count + queryCount).map { _ in
            let centre = centres[Int(generator.next() % UInt64(centres.count))]
            return unit(zip(centre, normal(&generator)).map { $0 + width * $1 })
        }
        return (Array(all.prefix(count)), Array(all.suffix(queryCount)))
    }

    /// A linked index, built at once or row by row, and a check of its recall.
    static func linked(
        _ schema: CollectionSchema,
        _ rows: [[Float]],
        inBulk: Bool
    ) throws -> Checked {
        let source = try Checked(schema)
        for row in rows { try source.append(row) }
        guard inBulk else {
            source.linkAll()
            return source
        }
        let rebuilt = try #require(
            try source.index.rebuildJob().run(progress: { _ in }, shouldStop: { false })
        )
        let checked = Checked(schema, index: rebuilt.index)
        checked.stored = rebuilt.sourceRows.map { source.stored[Int($0)] }
        return checked
    }

    private static let kinds: [(Float, CodeKind)] = [
        (0.1, .u8), (0.5, .f32), (0.5, .u8), (0.5, .u4), (0.5, .u1), (1, .u8),
    ]

    @Test(arguments: kinds)
    func longRowsAreFoundUnderInnerProduct(_ spread: Float, _ codes: CodeKind) throws {
        let dim = [.u4: 64, .u1: 256][codes] ?? Self.dim
        let (rows, queries) = Self.lengths(spread, dim: dim)
        let schema = CollectionSchema(
            dim: dim,
            metric: .ip,
            codes: codes,
            m: 8,
            efConstruction: 64
        )
        for inBulk in [true, false] {
            let checked = try Self.linked(schema, rows, inBulk: inBulk)
            try checked.index.checkInvariants()
            let recall = try checked.recall(queries, ef: 64)
            // A graph on one lifted length found 0.02 to 0.4 here.
            let floor = [.u4: 0.8, .u1: 0.5][codes] ?? 0.9
            #expect(recall >= floor, "\(codes), \(spread), bulk \(inBulk)")
        }
    }

    @Test func rowsWithoutLengthAndLengthsThatOverflowAreNoTrap() throws {
        let schema = CollectionSchema(dim: Self.dim, metric: .ip, m: 8, efConstruction: 48)
        var (rows, queries) = Self.lengths(0.5)
        for i in stride(from: 0, to: rows.count, by: 7) {
            rows[i] = [Float](repeating: 0, count: Self.dim)
        }
        rows[1] = [Float](repeating: 1e19, count: Self.dim)
        rows[2] = [Float](repeating: 1e-30, count: Self.dim)
        for inBulk in [true, false] {
            let checked = try Self.linked(schema, rows, inBulk: inBulk)
            try checked.index.checkInvariants()
            for query in queries { #expect(try checked.search(query, k: 10, ef: 32).count == 10) }
        }
    }

    @Test(arguments: [Float(0.01), 0.001])
    func aWiderSearchFindsMoreNearDuplicates(_ width: Float) throws {
        let (rows, queries) = Self.duplicates(width)
        let schema = CollectionSchema(dim: Self.dim, metric: .cosine, m: 8, efConstruction: 64)
        for inBulk in [true, false] {
            let checked = try Self.linked(schema, rows, inBulk: inBulk)
            let recall = try checked.recall(queries, ef: 64)
            // What is scored again was 15 candidates, whatever the width: 0.4 to 0.7.
            #expect(recall >= 0.9, "width \(width), bulk \(inBulk)")
        }
    }

    @Test func groupsOfEqualRowsAreReached() throws {
        let rows = (0..<Self.count).map { i in
            (0..<Self.dim).map { $0 == i * 7 % Self.dim ? Float(1) : 0 }
        }
        let schema = CollectionSchema(dim: Self.dim, m: 8, efConstruction: 64)
        let checked = try Self.linked(schema, rows, inBulk: true)
        var found = 0
        for axis in 0..<Self.dim {
            let query = (0..<Self.dim).map { $0 == axis ? Float(1) : 0 }
            found += try checked.search(query, k: 10, ef: 64).count { $0.distance == 0 }
        }
        #expect(Double(found) >= 0.93 * Double(10 * Self.dim))
    }

    @Test func whereDataMoveOnSomeNewRowsAreLandmarks() throws {
        var generator = SplitMix64(seed: 9)
        var place = [Float](repeating: 0, count: Self.dim)
        let rows = (0..<2 * Self.count).map { _ in
            place = zip(place, Self.normal(&generator)).map { $0 + $1 }
            return place
        }
        let schema = CollectionSchema(dim: Self.dim, m: 8, efConstruction: 64)
        let checked = try Self.linked(schema, Array(rows.prefix(Self.count)), inBulk: true)
        let before = checked.index.graph.landmarks.count
        for row in rows.suffix(Self.count) { try checked.append(row) }
        checked.linkAll()
        let added = checked.index.graph.landmarks.count - before
        #expect((1..<Landmarks.farCountMax).contains(added), "\(added) landmarks")
        let queries = stride(from: 0, to: rows.count, by: 50).map { rows[$0] }
        #expect(try checked.recall(queries, ef: 64) >= 0.98)
    }

    @Test func rowsThatAreAsNearToManyLeadersDoNotAllFollowTheFirst() throws {
        let checked = try Checked(CollectionSchema(dim: Self.dim))
        for i in 0..<Self.count {
            try checked.append((0..<Self.dim).map { $0 == i % Self.dim ? 1 : 0 })
        }
        let rows = (0..<UInt32(Self.count)).map { $0 }
        // Two leaders are near a row; all others are as far as each other.
        let leaders = Array(rows.prefix(2 * Self.dim))
        let fanOut = 8
        var chosen = [UInt16](repeating: 0, count: rows.count * fanOut)
        try rows.withUnsafeBufferPointer { base throws in
            let comparer = GroupComparer(
                BuildSource(vectorsOf: checked.index),
                rows: try #require(base.baseAddress),
                plan: BuildPlan(slots: 32, count: rows.count, dim: Self.dim),
                columnCountMax: leaders.count,
                candidateCountMax: 48,
                pulse: BuildProgress(total: 1, progress: { _ in }, shouldStop: { false })
            )
            try chosen.withUnsafeMutableBufferPointer {
                try comparer.assign(rows[...], to: leaders, fanOut: fanOut, $0)
            }
        }
        var sizes = [Int](repeating: 0, count: leaders.count)
        for leader in chosen { sizes[Int(leader)] += 1 }
        let mean = chosen.count / leaders.count
        #expect(sizes.max() ?? 0 < 3 * mean, "groups of \(sizes) rows")
    }

    @Test(arguments: [CodeKind.f32, .u8])
    func theTableOfACodedCollectionIsThatOfItsSearches(_ codes: CodeKind) throws {
        let (rows, _) = Self.duplicates(0.3)
        let schema = CollectionSchema(dim: Self.dim, codes: codes, m: 8, efConstruction: 64)
        let checked = try Self.linked(schema, rows, inBulk: true)
        let table = try #require(checked.index.calibration)
        // It was measured before the codes were ready, and was 0.
        #expect(table.near.recall(at: table.near.efs.count - 1, k: 10) >= 0.95)
    }

    @Test func theLongestRowsAreKept() {
        var long = LongRows()
        for row in 0..<1000 as Range<UInt32> {
            let length = Float((row * 7919) % 1000)
            long.add(row, squaredLength: length, isDeleted: { _ in false }, isEqual: { _ in false })
        }
        let expected = (0..<1000 as Range<UInt32>).sorted {
            ($0 * 7919) % 1000 > ($1 * 7919) % 1000
        }
        #expect(long.rows == Array(expected.prefix(LongRows.countMax)))
        // A deleted row gives way even to a shorter one.
        let dead = long.rows[7]
        long.add(5000, squaredLength: 1, isDeleted: { $0 == dead }, isEqual: { _ in false })
        #expect(long.rows.count == LongRows.countMax && long.rows.last == 5000)
        #expect(!long.rows.contains(dead))
        // Of equal rows one is enough.
        let kept = long.rows
        long.add(6000, squaredLength: 1, isDeleted: { _ in false }, isEqual: { $0 == 5000 })
        #expect(long.rows == kept)
    }

    @Test(arguments: [Float(1e10), 1e-12])
    func squaresOfLengthsMayLeaveTheRange(_ scale: Float) throws {
        let schema = CollectionSchema(dim: Self.dim, metric: .ip, m: 8, efConstruction: 64)
        var (rows, queries) = Self.lengths(0.5)
        // All in one orthant but for one, whose products are all negative, and which is held out.
        rows = rows.map { $0.map { abs($0) * scale } }
        rows[0] = rows[0].map { -$0 }
        queries = queries.map { $0.map(abs) }
        let checked = try Self.linked(schema, rows, inBulk: true)
        try checked.index.checkInvariants()
        #expect(try checked.recall(queries, ef: 64) >= 0.9)
    }

    @Test func errorsOfCodesBoundWhatAreStillCandidates() {
        var errors = CodeErrors(unit: 2)
        for i in 0..<16 { errors.add(exact: 102 + (i % 2 == 0 ? 1 : -1), code: 1) }
        // The mean error is 100, its deviation 1: a row at 10 is at 120, or three less.
        #expect(abs(errors.least(code: 10) - 117) < 1e-3)
    }

    @Test(arguments: [UInt8(1), 2, 4])
    func anIndexOfAnotherFormatIsRefusedByItsVersion(version: UInt8) throws {
        let (rows, _) = Self.lengths(0.5)
        let schema = CollectionSchema(dim: Self.dim, metric: .ip, m: 8, efConstruction: 48)
        let checked = try Self.linked(schema, Array(rows.prefix(300)), inBulk: false)
        var sections = PersistenceTests.bytes(checked.index)
        sections[.state]?[4] = version
        let error = #expect(throws: OmenError.self) {
            _ = try PersistenceTests.reopen(schema, sections)
        }
        #expect(error?.code == .unsupportedVersion)
        #expect(error?.message.contains("version \(version), expected 3") == true)
    }

    @Test func longestRowsOfADamagedFileAreRefused() throws {
        let (rows, _) = Self.lengths(0.5)
        let schema = CollectionSchema(dim: Self.dim, metric: .ip, m: 8, efConstruction: 48)
        let checked = try Self.linked(schema, Array(rows.prefix(300)), inBulk: false)
        let sections = PersistenceTests.bytes(checked.index)
        let state = try #require(sections[.state])
        // Behind them come a count of rows, five settings, two counts of landmarks and no sample.
        let first = state.count - 56 - 8 * checked.index.graph.longRows.rows.count
        for (offset, byte) in [(first + 3, UInt8(0x70)), (first - 2, 1)] {
            var damaged = sections
            damaged[.state]?[offset] = byte
            let error = #expect(throws: OmenError.self) {
                _ = try PersistenceTests.reopen(schema, damaged)
            }
            #expect(error?.code == .corrupt)
        }
    }
}
