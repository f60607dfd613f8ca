/// Sorts keys with their rows, byte by byte from the lowest.
///
/// Rows of equal keys keep their order. Unlike sorting by comparison it can stop to breathe, and
/// bytes that are the same in all keys cost nothing.
enum RadixSort {
    private static let step = 1024

    /// Sorts.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - rows: The row of each key.
    ///   - breathe: Called every few microseconds.
    static func sort(_ keys: inout [UInt64], _ rows: inout [UInt32], breathe: () -> Void) {
        var different: UInt64 = 0
        var isSorted = true
        for index in keys.indices.dropFirst() {
            if index % step == 0 { breathe() }
            different |= keys[index] ^ keys[0]
            isSorted = isSorted && keys[index - 1] <= keys[index]
        }
        guard !isSorted else { return }
        // Every pass writes all of them.
        var otherKeys = [UInt64](unwritten: keys.count)
        var otherRows = [UInt32](unwritten: keys.count)
        for shift in stride(from: UInt64(0), to: 64, by: 8) where different >> shift & 255 != 0 {
            pass(keys, rows, &otherKeys, &otherRows, shift, breathe)
            swap(&keys, &otherKeys)
            swap(&rows, &otherRows)
        }
    }

    private static func pass(
        _ keys: [UInt64],
        _ rows: [UInt32],
        _ sortedKeys: inout [UInt64],
        _ sortedRows: inout [UInt32],
        _ shift: UInt64,
        _ breathe: () -> Void
    ) {
        var places = [Int](repeating: 0, count: 256)
        for index in keys.indices {
            if index % step == 0 { breathe() }
            places[Int(keys[index] >> shift & 255)] += 1
        }
        var start = 0
        for digit in places.indices {
            let count = places[digit]
            places[digit] = start
            start += count
        }
        for index in keys.indices {
            if index % step == 0 { breathe() }
            let digit = Int(keys[index] >> shift & 255)
            sortedKeys[places[digit]] = keys[index]
            sortedRows[places[digit]] = rows[index]
            places[digit] += 1
        }
    }
}

extension Array where Element: FixedWidthInteger {
    /// An array whose elements are still to be written: filling a large one takes milliseconds.
    ///
    /// - Parameter count: Its elements.
    init(unwritten count: Int) {
        self.init(unsafeUninitializedCapacity: count) { _, initialized in initialized = count }
    }
}
