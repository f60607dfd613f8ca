import OmenCore
import Testing

@testable import OmenIndex

@Suite struct SearchTests {
    /// An index with deleted rows and hot ones.
    private static func mixed(_ schema: CollectionSchema) throws -> (Checked, TestData) {
        let (checked, data) = try LifecycleTests.filled(schema, count: 700)
        _ = checked.index.link(atMost: 640)
        for row in stride(from: UInt32(5), to: 700, by: 9) { checked.delete(row) }
        return (checked, data)
    }

    @Test func noSearchRemembersAnother() throws {
        for schema in schemas(dim: 16) {
            let (checked, data) = try Self.mixed(schema)
            let first = try data.queries.map { try checked.search($0) }
            for (query, hits) in zip(data.queries, first).reversed() {
                #expect(try checked.search(query) == hits, "\(schema)")
            }
        }
    }

    @Test func aJournalThatStartsOverForgetsNothing() throws {
        let (checked, data) = try Self.mixed(LifecycleTests.schema)
        let expected = try data.queries.map { try checked.search($0) }
        checked.index.scratch.visited.deallocate()
        checked.index.scratch.visited = try VisitedSet(journalCount: 20)
        for _ in 0..<2 {
            #expect(try data.queries.map { try checked.search($0) } == expected)
        }
    }

    @Test(arguments: [nil, 3, 5000])
    func clearingLeavesNoBit(count: Int?) throws {
        let rowCount = 5000
        let visited = try VisitedSet()
        defer { visited.deallocate() }
        let rows: [UInt32] = count == 5000 ? Array(0..<5000) : [0, 63, 4999]
        for (i, row) in rows.enumerated() {
            visited.journal[i] = row
            visited.words[Int(row >> 6)] |= 1 << UInt64(row & 63)
        }
        visited.clear(count, rowCount: rowCount)
        for word in 0..<(rowCount + 63) / 64 { #expect(visited.words[word] == 0) }
    }

    @Test func stoppingIsDueBehindTheStretchedResult() {
        var beam = Candidates(reserving: 64)
        defer { beam.deallocate() }
        func isDue(_ distances: [Float], expanded: Int, wanted: Int, width: Int) -> Bool {
            beam.reset(width: width, capacity: width)
            for (row, distance) in distances.enumerated() {
                let mark: UInt64 = row < expanded ? 1 : 0
                beam.append(Candidates.key(distance, UInt32(row)) | mark)
            }
            return EarlyStop(wanted: wanted, width: width).isDue(beam, from: 0)
        }
        #expect(!isDue([1, 10, 11.4], expanded: 2, wanted: 2, width: 8))
        #expect(isDue([1, 10, 11.6], expanded: 2, wanted: 2, width: 8))
        #expect(!isDue([1, 10, 11.6], expanded: 1, wanted: 2, width: 8), "a result is unexpanded")
        #expect(!isDue([1, 10], expanded: 1, wanted: 2, width: 8), "nothing lies behind")
        #expect(!isDue([1, 10, 99], expanded: 2, wanted: 2, width: 2), "no candidates to spare")
        #expect(!isDue([10, 10, 99], expanded: 2, wanted: 2, width: 8), "a group of equals")
        #expect(!isDue([1, 2, 8, 9], expanded: 3, wanted: 2, width: 12), "a quarter of the list")
    }

    @Test(arguments: TestData.Shape.allCases)
    func wideSearchesThatStopEarlyFindNearlyAll(_ shape: TestData.Shape) throws {
        for metric in [Metric.l2, .cosine] {
            let schema = CollectionSchema(dim: 16, metric: metric, m: 8, efConstruction: 48)
            let data = TestData(shape, count: 1500, queryCount: 12, dim: schema.dim, seed: 31)
            let checked = try Checked(schema)
            for vector in data.vectors { try checked.append(vector) }
            checked.linkAll()
            let recall = try checked.recall(data.queries, k: 5, ef: 72)
            #expect(recall >= 0.97, "recall \(recall), \(schema), \(shape)")
        }
    }
}
