internal import CISAL
internal import CXXHash

/// The hash slot of an id: `xxh3_64(id bytes) % 16384`.
///
/// Never Swift's `Hasher`: it is seeded per process, and every id would move at each start.
/// The function is part of the data format; `ClusterManifest.hashVersion` names it.
package func slot(of id: RecordID) -> Int {
    Int(hashID(id) % UInt64(Limits.slotCount))
}

/// XXH3 (64 bits, seed 0) of an id's bytes; the seed is 1 for texts, so that `.number(n)` and a
/// text of the same eight bytes differ.
package func hashID(_ id: RecordID) -> UInt64 {
    id.withBytes { isText, bytes in hashID(isText: isText, bytes: bytes) }
}

/// The same hash from the id's raw bytes.
package func hashID(isText: Bool, bytes: UnsafeRawBufferPointer) -> UInt64 {
    XXH3_64bits_withSeed(bytes.baseAddress, bytes.count, isText ? 1 : 0)
}

/// CRC-32C (Castagnoli, RFC 3720) of `bytes`, continuing from `seed`.
///
/// Chaining holds: `crc32c(b, seed: crc32c(a))` equals the checksum of `a` followed by `b`.
/// - Complexity: O(count), about 0.1 ns per byte (ISA-L, PCLMULQDQ).
package func crc32c(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return seed }
    var crc = ~seed
    var offset = 0
    // The library takes an `int`; sections of files are longer than that.
    while offset < bytes.count {
        let count = min(bytes.count - offset, 1 << 30)
        let start = UnsafeMutableRawPointer(mutating: base + offset)
        crc = crc32_iscsi(start.assumingMemoryBound(to: UInt8.self), Int32(count), crc)
        offset += count
    }
    return ~crc
}

/// CRC-32C of an array of bytes.
package func crc32c(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { crc32c($0, seed: seed) }
}
