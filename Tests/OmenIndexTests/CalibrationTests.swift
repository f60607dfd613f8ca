import OmenCore
import Testing

@testable import OmenIndex

@Suite struct CalibrationTests {
    /// Three widths; the nearest row is found most often, each further one a little less.
    private static let curve = curve(rankCount: 10, loss: 0.02)
    private static let table = SearchCalibration(
        near: curve,
        far: curve(rankCount: 100, loss: 0.002)
    )

    private static func curve(rankCount: Int, loss: Float) -> RecallCurve {
        let first: [Float] = [0.80, 0.90, 0.98]
        var recalls: [Float] = []
        for share in first {
            for k in 1...rankCount {
                recalls.append((0..<k).reduce(0) { $0 + share - loss * Float($1) } / Float(k))
            }
        }
        return RecallCurve(efs: [100, 200, 400], rankCount: rankCount, recalls: recalls)
    }

    @Test func oneShardIsMeasuredByItsOwnRecall() throws {
        // Recall@10 is 0.71, 0.81, 0.89.
        #expect(Self.table.ef(recall: 0.5, k: 10, shardCount: 1) == 100)
        #expect(Self.table.ef(recall: 0.75, k: 10, shardCount: 1) == 140)
        #expect(Self.table.ef(recall: 0.8, k: 10, shardCount: 1) == 190)
        #expect(Self.table.ef(recall: 0.9, k: 10, shardCount: 1) == nil)
    }

    @Test func aHighRecallIsPromisedBySamplesThatMissNothing() {
        // What 64 queries tell at most.
        let curve = RecallCurve(efs: [100, 200], rankCount: 1, recalls: [0.5, 0.988])
        #expect(curve.ef(recall: 0.99, k: 1, shardCount: 1) == 200)
        #expect(curve.ef(recall: 0.999, k: 1, shardCount: 1) == nil)
        // More recall never takes a narrower search.
        let efs = (950...990).map {
            curve.ef(recall: Double($0) / 1000, k: 1, shardCount: 1) ?? .max
        }
        #expect(efs == efs.sorted())
    }

    @Test func theNearestTakeTheWidthOfTen() throws {
        let ten = Self.table.ef(recall: 0.8, k: 10, shardCount: 1)
        #expect(Self.table.ef(recall: 0.8, k: 1, shardCount: 1) == ten)
        #expect(Self.curve.ef(recall: 0.8, k: 1, shardCount: 1) == 100)
    }

    @Test func moreRowsAreMeasuredByTheirOwnCurve() throws {
        // Recall@100 is 0.701, 0.801, 0.881; recall@20 is 0.781, 0.881, 0.961.
        let hundred = try #require(Self.table.ef(recall: 0.75, k: 100, shardCount: 1))
        #expect((145...150).contains(hundred))
        #expect(try #require(Self.table.ef(recall: 0.75, k: 20, shardCount: 1)) == 100)
        // Beyond, the width grows with them.
        let more = try #require(Self.table.ef(recall: 0.75, k: 300, shardCount: 1))
        #expect((3 * hundred - 2...3 * hundred).contains(more))
        #expect(Self.table.ef(recall: 0.75, k: 10, shardCount: 1) == 140)
    }

    @Test func moreShardsNeedNarrowerSearches() throws {
        let alone = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 1))
        let eight = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 8))
        let many = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 64))
        #expect(alone > eight && eight > many)
        // With very many shards each holds the nearest of its own only.
        let nearest = try #require(Self.curve.ef(recall: 0.85, k: 1, shardCount: 1))
        #expect((nearest...nearest + 4).contains(many))
    }

    @Test func whatIsBeyondTheTableHasNoWidth() {
        #expect(Self.table.ef(recall: 0.999, k: 10, shardCount: 8) == nil)
    }

    @Test func itSurvivesItsFileFormat() throws {
        for calibration in [nil, Self.table] {
            var writer = ByteWriter(reserving: 64)
            SearchCalibration.encode(calibration, into: &writer)
            let read = try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let read = try SearchCalibration.decode(from: &reader)
                try reader.expectEnd()
                return read
            }
            #expect(read == calibration)
        }
    }

    /// Offset of the changed word in an encoded table, and what is there instead.
    @Test(
        arguments: [
            (1, 0), (1, 65), (5, 0), (5, 0x7FFF_FFFF), (9, 0x7FC0_0000), (9, 0x4000_0000),
            (49, 100),
        ] as [(Int, UInt32)]
    )
    func badBytesAreNamed(offset: Int, word: UInt32) {
        var writer = ByteWriter(reserving: 64)
        SearchCalibration.encode(Self.table, into: &writer)
        var bytes = writer.bytes
        withUnsafeBytes(of: word.littleEndian) {
            bytes.replaceSubrange(offset..<offset + 4, with: $0)
        }
        let error = #expect(throws: OmenError.self) {
            try bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                _ = try SearchCalibration.decode(from: &reader)
            }
        }
        #expect(error?.code == .corrupt)
    }

    @Test func aShortTableAndANumberOfTablesAreRefused() {
        var writer = ByteWriter(reserving: 64)
        SearchCalibration.encode(Self.table, into: &writer)
        for bytes in [Array(writer.bytes.dropLast(1)), [2], []] {
            #expect(throws: OmenError.self) {
                try bytes.withUnsafeBytes { bytes in
                    var reader = ByteReader(bytes)
                    _ = try SearchCalibration.decode(from: &reader)
                }
            }
        }
    }
}
