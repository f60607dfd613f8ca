internal import Glibc
internal import OmenCore

/// Different strings, each numbered when it first came.
struct StringPool {
    private var bytes: [UInt8] = []
    /// Where each string ends in `bytes`.
    private var ends: [Int] = []
    private var hashes: [UInt64] = []
    /// A power of two of places, with the number of a string + 1, or 0; at most half are taken.
    private var places = [UInt32](repeating: 0, count: 64)

    /// Finds a string, or adds it.
    ///
    /// - Parameter string: The string.
    /// - Returns: Its number.
    mutating func index(of string: UnsafeRawBufferPointer) -> UInt32 {
        let hash = hashID(isText: true, bytes: string)
        var place = Int(truncatingIfNeeded: hash) & (places.count - 1)
        while places[place] != 0 {
            let index = places[place] - 1
            if hashes[Int(index)] == hash, isEqual(index, string) { return index }
            place = (place + 1) & (places.count - 1)
        }
        bytes.append(contentsOf: string)
        ends.append(bytes.count)
        hashes.append(hash)
        places[place] = UInt32(ends.count)
        if ends.count * 2 > places.count { grow() }
        return UInt32(ends.count - 1)
    }

    private mutating func grow() {
        places = [UInt32](repeating: 0, count: places.count * 2)
        for (index, hash) in hashes.enumerated() {
            var place = Int(truncatingIfNeeded: hash) & (places.count - 1)
            while places[place] != 0 { place = (place + 1) & (places.count - 1) }
            places[place] = UInt32(index + 1)
        }
    }

    private func range(_ index: UInt32) -> Range<Int> {
        (index == 0 ? 0 : ends[Int(index) - 1])..<ends[Int(index)]
    }

    private func isEqual(_ index: UInt32, _ string: UnsafeRawBufferPointer) -> Bool {
        let range = range(index)
        guard range.count == string.count else { return false }
        return bytes.withUnsafeBytes { bytes in
            guard let left = bytes.baseAddress, let right = string.baseAddress else { return true }
            return memcmp(left + range.lowerBound, right, range.count) == 0
        }
    }

    /// Lends the bytes of a string.
    ///
    /// - Parameters:
    ///   - index: The string's number.
    ///   - body: Called with the bytes.
    /// - Throws: What `body` throws.
    func withBytes(
        _ index: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(OmenError) -> Void
    ) throws(OmenError) {
        let range = range(index)
        try bytes.withUnsafeBufferPointer { (bytes) throws(OmenError) in
            try body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[range])))
        }
    }

    /// The numbers of the strings, in the order of their bytes.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: The numbers.
    func sorted(breathe: () -> Void) -> [UInt32] {
        var order = ends.indices.map { UInt32($0) }
        var comparisons = 0
        bytes.withUnsafeBytes { bytes in
            order.sort { left, right in
                comparisons += 1
                if comparisons % 64 == 0 { breathe() }
                let one = range(left)
                let other = range(right)
                guard let base = bytes.baseAddress else { return false }
                let count = min(one.count, other.count)
                let order = memcmp(base + one.lowerBound, base + other.lowerBound, count)
                return order != 0 ? order < 0 : one.count < other.count
            }
        }
        return order
    }
}
