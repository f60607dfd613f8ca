internal import OmenCore

/// Numbers and the rows that have them, in the order of the rows.
struct NumberColumn {
    private var keys: [UInt64] = []
    private var rows: [UInt32] = []

    /// Numbers that were appended.
    var count: Int { keys.count }

    /// Appends a number.
    ///
    /// - Parameters:
    ///   - key: The number, as a key.
    ///   - row: The row; not below the one before.
    @inline(__always)
    mutating func append(_ key: UInt64, _ row: UInt32) {
        keys.append(key)
        rows.append(row)
    }

    /// Sorts by key, equal ones by row, and hands each key over with its rows; the column is empty
    /// then.
    ///
    /// - Parameters:
    ///   - breathe: Called every few microseconds.
    ///   - take: Called with each key and its rows, each once.
    /// - Throws: What `take` throws.
    mutating func forEachKey(
        breathe: () -> Void,
        _ take: (UInt64, UnsafeBufferPointer<UInt32>) throws(OmenError) -> Void
    ) throws(OmenError) {
        // Taken out, because a second reference would make sorting copy them.
        var (keys, rows): ([UInt64], [UInt32]) = ([], [])
        swap(&keys, &self.keys)
        swap(&rows, &self.rows)
        RadixSort.sort(&keys, &rows, breathe: breathe)
        var start = 0
        while start < keys.count {
            let key = keys[start]
            var kept = start
            var end = start
            while end < keys.count, keys[end] == key {
                // A list can have a number twice.
                if end == start || rows[end] != rows[kept - 1] {
                    rows[kept] = rows[end]
                    kept += 1
                }
                end += 1
            }
            try rows.withUnsafeBufferPointer { (rows) throws(OmenError) in
                try take(key, UnsafeBufferPointer(rebasing: rows[start..<kept]))
            }
            start = end
        }
    }
}

/// Strings and the rows that have them, in the order of the rows.
struct StringColumn {
    private var pool = StringPool()
    /// Of each string of the pool: how often it came.
    private var counts: [Int] = []
    private var strings: [UInt32] = []
    private var rows: [UInt32] = []

    /// Different strings that were appended.
    var keyCount: Int { counts.count }

    /// Appends a string.
    ///
    /// - Parameters:
    ///   - string: The string.
    ///   - row: The row; not below the one before.
    mutating func append(_ string: UnsafeRawBufferPointer, _ row: UInt32) {
        let index = pool.index(of: string)
        if Int(index) == counts.count { counts.append(0) }
        counts[Int(index)] += 1
        strings.append(index)
        rows.append(row)
    }

    /// Sorts by string, equal ones by row, and hands each string over with its rows.
    ///
    /// - Parameters:
    ///   - breathe: Called every few microseconds.
    ///   - take: Called with each string and its rows, each once.
    /// - Throws: What `take` throws.
    consuming func forEachKey(
        breathe: () -> Void,
        _ take: (UnsafeRawBufferPointer, UnsafeBufferPointer<UInt32>) throws(OmenError) -> Void
    ) throws(OmenError) {
        // Where the rows of each string end, by counting.
        var ends: [Int] = []
        ends.reserveCapacity(counts.count)
        var total = 0
        for count in counts {
            ends.append(total)
            total += count
        }
        var sorted = [UInt32](unwritten: total)
        for place in strings.indices {
            if place % 1024 == 0 { breathe() }
            let string = Int(strings[place])
            sorted[ends[string]] = rows[place]
            ends[string] += 1
        }
        for string in pool.sorted(breathe: breathe) {
            let end = ends[Int(string)]
            let start = end - counts[Int(string)]
            var kept = start
            for place in start..<end where place == start || sorted[place] != sorted[kept - 1] {
                sorted[kept] = sorted[place]
                kept += 1
            }
            try pool.withBytes(string) { (bytes) throws(OmenError) in
                try sorted.withUnsafeBufferPointer { (rows) throws(OmenError) in
                    try take(bytes, UnsafeBufferPointer(rebasing: rows[start..<kept]))
                }
            }
        }
    }
}
