import OmenCore
import OmenMetadata
import Testing

@Suite struct RowSetTests {
    static let rowCounts = [0, 1, 63, 64, 65, 1000, 4096]

    @Test(arguments: rowCounts)
    func combinesAsSetsDo(rowCount: Int) {
        var random = SplitMix64(seed: UInt64(rowCount))
        let all = Set((0..<rowCount).map { UInt32($0) })
        // Few rows, some, and nearly all: arrays and bits in all pairs.
        let sets = [0, 0.01, 0.02, 0.3, 0.7, 1].map { part in
            all.filter { _ in Double.random(in: 0..<1, using: &random) < part }
        }
        for a in sets {
            let left = rowSets(a, rowCount)
            for set in left {
                #expect(set.count == a.count)
                #expect(set.complement.rows == all.subtracting(a).sorted())
                #expect(RowSet(bits: set.bits, of: rowCount) == set)
                for row in all { #expect(set.contains(row) == a.contains(row)) }
            }
            for b in sets {
                for (one, other) in pairs(left, rowSets(b, rowCount)) {
                    expect(one.intersection(other), a.intersection(b))
                    expect(one.union(other), a.union(b))
                    expect(one.subtracting(other), a.subtracting(b))
                    expect(RowSet.intersection(of: [one, other, one]), a.intersection(b))
                    #expect((one == other) == (a == b))
                }
            }
        }
    }

    @Test func joinsTheRowsOfOneAfterTheOther() {
        var random = SplitMix64(seed: 8)
        for _ in 0..<50 {
            var sets: [RowSet] = []
            var expected: [UInt32] = []
            var rowCount = 0
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let part = Double.random(in: 0...1, using: &random)
                let count = Int.random(in: 0...200, using: &random) * (sets.isEmpty ? 64 : 1)
                let rows = (0..<UInt32(count)).filter { _ in
                    Double.random(in: 0...1, using: &random) < part * part * part
                }
                sets += [
                    rowSets(Set(rows), count).randomElement(using: &random) ?? .none(of: count)
                ]
                expected += rows.map { $0 + UInt32(rowCount) }
                rowCount += count
            }
            let joined = RowSet.joined(sets)
            #expect(joined.rowCount == rowCount)
            #expect(joined.rows == expected)
        }
    }

    /// The set as an array and as bits.
    private func rowSets(_ rows: Set<UInt32>, _ rowCount: Int) -> [RowSet] {
        let array = RowSet(rows.sorted(), of: rowCount)
        return [array, RowSet(bits: array.bits, of: rowCount)]
    }

    private func pairs(_ left: [RowSet], _ right: [RowSet]) -> [(RowSet, RowSet)] {
        left.flatMap { one in right.map { (one, $0) } }
    }

    private func expect(
        _ set: RowSet,
        _ rows: Set<UInt32>,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(set.rows == rows.sorted(), sourceLocation: sourceLocation)
        #expect(set.count == rows.count, sourceLocation: sourceLocation)
        #expect(set.isEmpty == rows.isEmpty, sourceLocation: sourceLocation)
    }
}
