import Testing

@testable import OmenCore

@Suite struct HashingTests {
    @Test func checksumIsCastagnoli() {
        // The check value of CRC-32C (RFC 3720, appendix B.4 uses the same polynomial).
        #expect(crc32c(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test func checksumChains() {
        let all = Array("123456789".utf8)
        #expect(crc32c(Array(all[4...]), seed: crc32c(Array(all[..<4]))) == crc32c(all))
        #expect(crc32c([], seed: 7) == 7)
    }

    @Test func slotsAreFixedForEver() {
        // Ids would move between shards if these ever changed.
        #expect(hashID(.number(0)) == hashID(.number(0)))
        #expect(hashID(.number(0x6161_6161_6161_6161)) != hashID(.text("aaaaaaaa")))
        #expect(slot(of: .number(42)) == 10_184)
        #expect(slot(of: .text("omen")) == 3647)
    }
}
