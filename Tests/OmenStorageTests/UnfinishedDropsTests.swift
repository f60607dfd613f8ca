import OmenCore
import Testing

@testable import OmenStorage

@Suite struct UnfinishedDropsTests {
    private static let drops = (1...3 as ClosedRange<UInt64>).map { number in
        UnfinishedDrop(name: "c\(number)", key: RequestKey(client: 9, sequence: number))
    }

    @Test func dropsComeBackAsTheyWereStored() throws {
        let scratch = try Scratch()
        #expect(try UnfinishedDropsFile.load(scratch.directory) == [])
        for drops in [Self.drops, [], Array(Self.drops.prefix(1))] {
            try UnfinishedDropsFile.store(drops, scratch.directory)
            #expect(try UnfinishedDropsFile.load(scratch.directory) == drops)
        }
        let many = (0..<Limits.collectionCountMax).map { number in
            let name = String(repeating: "n", count: 60) + "\(1000 + number)"
            return UnfinishedDrop(name: name, key: RequestKey(client: 1, sequence: UInt64(number)))
        }
        try UnfinishedDropsFile.store(many, scratch.directory)
        #expect(try UnfinishedDropsFile.load(scratch.directory) == many)
    }

    @Test func everyFlippedBitAndEveryCutIsFound() {
        let bytes = UnfinishedDropsFile.encode(Self.drops)
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: OmenError.self) { try UnfinishedDropsFile.decode(flipped, path: "x") }
        }
        for count in 0..<bytes.count {
            let cut = Array(bytes[..<count])
            let error = #expect(throws: OmenError.self) {
                try UnfinishedDropsFile.decode(cut, path: "x")
            }
            #expect(error?.code == .corrupt)
        }
    }

    @Test func whatNoCoordinatorWritesIsRefused() {
        let twice = Self.drops + [Self.drops[0]]
        let keyless = [UnfinishedDrop(name: "c", key: RequestKey(client: 0, sequence: 1))]
        let nameless = [UnfinishedDrop(name: "../c", key: RequestKey(client: 1, sequence: 1))]
        for drops in [twice, keyless, nameless] {
            let error = #expect(throws: OmenError.self) {
                try UnfinishedDropsFile.decode(UnfinishedDropsFile.encode(drops), path: "drops")
            }
            #expect(error?.code == .corrupt)
            #expect(error?.message.hasPrefix("drops: ") == true)
        }
    }
}
