import OmenCore
import Testing

@testable import OmenIndex

@Suite struct CalibrationTests {
    /// Three widths; the nearest row is found most often, each further one a little less.
    private static let table: SearchCalibration = {
        let first: [Float] = [0.80, 0.90, 0.98]
        let loss: Float = 0.02
        var recalls: [Float] = []
        for share in first {
            for k in 1...10 {
                recalls.append((0..<k).reduce(0) { $0 + share - loss * Float($1) } / Float(k))
            }
        }
        return SearchCalibration(efs: [10, 20, 40], recalls: recalls)
    }()

    @Test func oneShardIsMeasuredByItsOwnRecall() throws {
        // Recall@10 is 0.71, 0.81, 0.89; a tenth of what may be missed is kept in reserve.
        #expect(Self.table.ef(recall: 0.5, k: 10, shardCount: 1) == 10)
        #expect(Self.table.ef(recall: 0.75, k: 10, shardCount: 1) == 17)
        #expect(Self.table.ef(recall: 0.8, k: 10, shardCount: 1) == 23)
        #expect(Self.table.ef(recall: 0.9, k: 10, shardCount: 1) == nil)
    }

    @Test func moreShardsNeedNarrowerSearches() throws {
        let alone = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 1))
        let eight = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 8))
        let many = try #require(Self.table.ef(recall: 0.85, k: 10, shardCount: 64))
        #expect(alone > eight && eight > many)
        // With very many shards each holds the nearest of its own only.
        #expect(many == (try #require(Self.table.ef(recall: 0.85, k: 1, shardCount: 1))))
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

    @Test(
        arguments: [
            [65, 1], [2, 20, 10], [1, 0], [1, 10, 0x7FC0_0000], [1, 10, 0x4000_0000], [1, 10],
        ] as [[UInt32]]
    )
    func badBytesAreNamed(words: [UInt32]) {
        var writer = ByteWriter(reserving: 64)
        writer.write(words[0])
        for (i, word) in words.dropFirst().enumerated() {
            writer.write(word)
            // Recalls of a width, unless the bad one is to come.
            if i == 0, words.count == 3, words[2] < 100 {
                for _ in 0..<10 { writer.write(Float(0.5)) }
            }
        }
        #expect(throws: OmenError.self) {
            try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                _ = try SearchCalibration.decode(from: &reader)
            }
        }
    }
}
