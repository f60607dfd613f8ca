import OmenCore
import Glibc
import Testing

@testable import OmenSystem

/// Regions that grow in place, as they do where addresses are limited.
@Suite struct ReservedRegionTests {
    private static let gibibyte = 1 << 30

    @Test func aPlacedRegionGrowsWithoutMovingAndReadsAsZeros() throws {
        let region = try ReservedRegion(placedTo: 64 * Self.gibibyte, from: 100)
        #expect(region.mappedByteCount == 4096)
        let base = region.base
        base.storeBytes(of: 7, as: UInt8.self)
        for byteCount in [4097, 1 << 20, 5 << 20, 3 << 20] {
            try region.grow(to: byteCount)
            #expect(region.mappedByteCount >= byteCount)
            #expect(region.base == base && base.load(as: UInt8.self) == 7)
            #expect(base.load(fromByteOffset: byteCount - 1, as: UInt8.self) == 0)
        }
        base.storeBytes(of: 9, toByteOffset: 3 << 20, as: UInt8.self)
        region.shrink(to: 4096)
        #expect(region.mappedByteCount == 4096)
        try region.grow(to: 5 << 20)
        #expect(base.load(fromByteOffset: 3 << 20, as: UInt8.self) == 0)
    }

    @Test func placesAreFarApartAndUsedAgain() throws {
        var first: ReservedRegion? = try ReservedRegion(placedTo: Self.gibibyte, from: 1)
        let second = try ReservedRegion(placedTo: Self.gibibyte, from: 1)
        let base = try #require(first).base
        let distance = base < second.base ? second.base - base : base - second.base
        #expect(distance >= Self.gibibyte)
        first = nil
        var bases: [UnsafeMutableRawPointer] = []
        var regions: [ReservedRegion] = []
        for _ in 0..<4 {
            let region = try ReservedRegion(placedTo: Self.gibibyte, from: 1)
            bases.append(region.base)
            regions.append(region)
        }
        #expect(Set(bases).count == 4 && !bases.contains(second.base))
    }

    @Test func beyondItsMostARegionDoesNotGrow() throws {
        let region = try ReservedRegion(placedTo: 8192, from: 1)
        try region.grow(to: 8192)
        let error = #expect(throws: OmenError.self) { try region.grow(to: 8193) }
        #expect(error?.code == .resourceExhausted)
        #expect(region.mappedByteCount == 8192)
    }

    @Test func addressesThatAreTakenAreNotTakenAway() throws {
        let region = try ReservedRegion(placedTo: 1 << 20, from: 4096)
        let behind = region.base + 8192
        #expect(AddressSpace.map(behind, 4096) == 0)
        behind.storeBytes(of: 5, as: UInt8.self)
        #expect(throws: OmenError.self) { try region.grow(to: 1 << 20) }
        #expect(behind.load(as: UInt8.self) == 5)
        munmap(behind, 4096)
        try region.grow(to: 1 << 20)
    }
}
