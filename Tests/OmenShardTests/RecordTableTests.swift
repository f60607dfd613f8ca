import OmenCore
import Testing

@testable import OmenShard

@Suite struct RecordTableTests {
    @Test func numbersAndTextsAreDifferentIDs() throws {
        let table = try RecordTable()
        #expect(try table.append(.number(7), metadata: [], version: 1) == nil)
        #expect(try table.append(.text("7"), metadata: Array("{}".utf8), version: 2) == nil)
        #expect(table.row(of: .number(7)) == 0)
        #expect(table.row(of: .text("7")) == 1)
        #expect(table.id(of: 1) == .text("7"))
        #expect(table.metadata(of: 0) == nil)
        #expect(table.metadata(of: 1) == Array("{}".utf8))
    }

    @Test func replacingNamesTheOldRow() throws {
        let table = try RecordTable()
        _ = try table.append(.number(1), metadata: [], version: 1)
        #expect(try table.append(.number(1), metadata: [], version: 1) == 0)
        #expect(table.row(of: .number(1)) == 1)
        #expect(table.liveCount == 1)
        #expect(table.remove(.number(1)) == 1)
        #expect(table.remove(.number(1)) == nil)
        #expect(table.liveCount == 0)
    }

    @Test func agreesWithADictionaryUnderRandomOperations() throws {
        let seed: UInt64 = 4242
        var random = SplitMix64(seed: seed)
        let table = try RecordTable()
        var model: [RecordID: UInt32] = [:]
        for step in 0..<20_000 {
            let number = UInt64.random(in: 0..<900, using: &random)
            let id: RecordID = number % 2 == 0 ? .number(number) : .text("t\(number)")
            if UInt64.random(in: 0..<3, using: &random) == 0 {
                #expect(table.remove(id) == model.removeValue(forKey: id), "seed \(seed)")
            } else {
                let row = UInt32(table.rowCount)
                #expect(
                    try table.append(id, metadata: [], version: 1)
                        == model.updateValue(row, forKey: id),
                    "seed \(seed) step \(step)"
                )
            }
        }
        #expect(table.liveCount == model.count)
        for (id, row) in model {
            #expect(table.row(of: id) == row)
            #expect(table.id(of: row) == id)
        }
    }
}
