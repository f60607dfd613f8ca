internal import OmenCore

/// Writes one table of keys, which come in ascending order.
struct KeyTableWriter {
    let kind: KeyTableKind
    private var shape = KeyTableShape()
    private var sums: [UInt8] = []
    private var numbers: [UInt8] = []
    private var strings = StringBlocks.Writer()
    private var references: [UInt8] = []
    /// One bit for each row that has a key; made with the first key.
    private var seen: [UInt64] = []
    private var total: UInt64 = 0

    /// Fewest keys of a table with cuts: the rows of fewer are put together quickly.
    private static let cutKeyCountMin = 64
    /// Fewest rows of a table with cuts.
    private static let cutRowCountMin: UInt64 = 8192

    /// Makes a table without keys.
    ///
    /// - Parameters:
    ///   - kind: The kind of its keys.
    ///   - keyCountMax: Most keys that will come. There is room for them, so that nothing is copied
    ///     when it grows.
    init(_ kind: KeyTableKind, keyCountMax: Int) {
        self.kind = kind
        if kind.isNumeric { numbers.reserveCapacity(keyCountMax * 8) }
        references.reserveCapacity(keyCountMax * 4)
    }

    /// Appends a key of a numeric table.
    ///
    /// - Parameters:
    ///   - key: A key above the one before.
    ///   - rows: Its rows, ascending, each once; at least one.
    ///   - path: What holds the postings of the path.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    mutating func append(
        _ key: UInt64,
        _ rows: UnsafeBufferPointer<UInt32>,
        to path: inout PathWriter,
        breathe: () -> Void
    ) throws(OmenError) {
        numbers.append(littleEndian: key)
        try append(rows, to: &path, breathe)
    }

    /// Appends a string.
    ///
    /// - Parameters:
    ///   - string: A string above the one before.
    ///   - rows: Its rows, ascending, each once; at least one.
    ///   - path: What holds the postings of the path.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    mutating func append(
        _ string: UnsafeRawBufferPointer,
        _ rows: UnsafeBufferPointer<UInt32>,
        to path: inout PathWriter,
        breathe: () -> Void
    ) throws(OmenError) {
        strings.append(string)
        try append(rows, to: &path, breathe)
    }

    private mutating func append(
        _ rows: UnsafeBufferPointer<UInt32>,
        to path: inout PathWriter,
        _ breathe: () -> Void
    ) throws(OmenError) {
        guard shape.keyCount < PostingReference.postingCountMax else {
            throw OmenError(.resourceExhausted, "a path of metadata has too many keys to index")
        }
        if shape.keyCount % KeyTableShape.keysPerSum == 0 {
            sums.append(littleEndian: total)
            breathe()
        }
        if seen.isEmpty {
            seen = [UInt64](repeating: 0, count: RowSet.wordCount(path.rowCount))
        }
        let reference = try path.postings.add(rows, breathe: breathe)
        references.append(littleEndian: reference.word)
        shape.keyCount += 1
        total += UInt64(rows.count)
        var start = 0
        while start < rows.count {
            let end = min(start + RowSet.rowsPerBreath, rows.count)
            if !note(UnsafeBufferPointer(rebasing: rows[start..<end])) { shape.isSingle = false }
            start = end
            if start < rows.count { breathe() }
        }
    }

    /// Notes rows of a key.
    ///
    /// - Returns: Whether they had no key before.
    private mutating func note(_ rows: UnsafeBufferPointer<UInt32>) -> Bool {
        var again: UInt64 = 0
        seen.withUnsafeMutableBufferPointer { seen in
            for row in rows {
                again |= seen[Int(row) / 64] & RowSet.bit(row)
                seen[Int(row) / 64] |= RowSet.bit(row)
            }
        }
        return again == 0
    }

    /// Ends the table and appends it to the path.
    ///
    /// - Parameters:
    ///   - path: What holds the postings of the path.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    consuming func finish(
        into path: inout PathWriter,
        breathe: () -> Void
    ) throws(OmenError) {
        let keys = kind.isNumeric ? numbers : strings.finish()
        shape.keyByteCount = keys.count
        var bytes: [UInt8] = []
        let cutsByteCount = KeyTableShape.cutCountMax * KeyTableShape.cutByteCount
        bytes.reserveCapacity(shape.byteCount + cutsByteCount)
        bytes.append(contentsOf: sums)
        bytes.append(keys, breathe: breathe)
        bytes.pad(to: 4)
        bytes.append(references, breathe: breathe)
        if kind.isNumeric, shape.isSingle, shape.keyCount >= Self.cutKeyCountMin,
            total >= Self.cutRowCountMin
        {
            let cuts = try Self.makeCuts(references, total, &path, breathe)
            shape.cutCount = cuts.count / KeyTableShape.cutByteCount
            bytes.append(contentsOf: cuts)
        }
        bytes.pad(to: 8)
        path.setTable(kind, shape, bytes)
    }

    /// Goes through all keys once more, and writes the rows so far down in even distances.
    private static func makeCuts(
        _ references: [UInt8],
        _ total: UInt64,
        _ path: inout PathWriter,
        _ breathe: () -> Void
    ) throws(OmenError) -> [UInt8] {
        var cuts: [UInt8] = []
        var rows = RowCollector(of: path.rowCount, expecting: path.rowCount)
        var count: UInt64 = 0
        var made: UInt64 = 0
        for index in 0..<references.count / 4 {
            let word = references.withUnsafeBytes { $0.u32(at: index * 4) }
            count += UInt64(try path.read(PostingReference(word: word), into: &rows))
            if index % 64 == 0 { breathe() }
            let due = count * UInt64(KeyTableShape.cutCountMax) / total
            guard due > made else { continue }
            made = due
            let sofar = rows.finish().rows(breathe: breathe)
            let reference = try sofar.withUnsafeBufferPointer { (sofar) throws(OmenError) in
                try path.postings.add(sofar, breathe: breathe)
            }
            cuts.append(littleEndian: UInt32(index + 1))
            cuts.append(littleEndian: reference.word)
        }
        return cuts
    }
}
