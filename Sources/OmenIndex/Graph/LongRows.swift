internal import Glibc
internal import OmenCore

/// The longest of some rows, the longest first.
///
/// Under ip they are the most likely answers to any query, and a walk through near rows seldom
/// comes to them (Liu et al., "Understanding and improving proximity graph based maximum inner
/// product search", 2020).
struct LongRows: Equatable {
    /// Most rows kept.
    static let countMax = 256

    /// Rows, the longest first.
    private(set) var rows: [UInt32] = []
    private var squaredLengths: [Float] = []

    /// Takes a row in, if it is long enough or takes the place of one that was deleted, and equal
    /// to no other: one leads to all its equals.
    ///
    /// - Complexity: O(countMax).
    mutating func add(
        _ row: UInt32,
        squaredLength: Float,
        isDeleted: (UInt32) -> Bool,
        isEqual: (UInt32) -> Bool
    ) {
        if rows.count == Self.countMax, let dead = rows.firstIndex(where: isDeleted) {
            rows.remove(at: dead)
            squaredLengths.remove(at: dead)
        }
        if rows.count == Self.countMax {
            guard let last = squaredLengths.last, squaredLength > last else { return }
        }
        let at = squaredLengths.firstIndex { $0 < squaredLength } ?? rows.count
        var before = at
        while before > 0, squaredLengths[before - 1] == squaredLength {
            before -= 1
            if isEqual(rows[before]) { return }
        }
        if rows.count == Self.countMax {
            rows.removeLast()
            squaredLengths.removeLast()
        }
        rows.insert(row, at: at)
        squaredLengths.insert(squaredLength, at: at)
    }
}

extension LongRows {
    func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(rows.count))
        for (row, squaredLength) in zip(rows, squaredLengths) {
            writer.write(row)
            writer.write(squaredLength)
        }
    }

    /// - Throws: `.corrupt` for more rows than are kept, or one that is not below `rowCount`.
    init(from reader: inout ByteReader, rowCount: Int) throws(OmenError) {
        let offset = reader.offset
        let count = try reader.read(UInt32.self)
        guard count <= Self.countMax else {
            throw OmenError(.corrupt, "section state, offset \(offset): \(count) longest rows")
        }
        for _ in 0..<count {
            let row = try reader.readRow(of: rowCount)
            let squaredLength = try reader.readFloat()
            guard squaredLength >= 0, squaredLength.isFinite else {
                throw OmenError(
                    .corrupt,
                    "section state, offset \(offset): length of row \(row) is not finite"
                )
            }
            rows.append(row)
            squaredLengths.append(squaredLength)
        }
    }
}

extension Graph {
    /// Keeps a linked row that is among the longest.
    ///
    /// - Precondition: The metric is ip.
    func noteLongRow(_ row: UInt32, of rows: RowStore) {
        let deleted = UnsafePointer(rows.deleted)
        let hasDeleted = rows.deletedCount > 0
        longRows.add(
            row,
            squaredLength: rows.norms[Int(row)],
            isDeleted: { hasDeleted && deleted.bit($0) },
            isEqual: { rows.areEqual(row, $0) }
        )
    }

    /// Finds the longest of all linked rows.
    ///
    /// - Precondition: The metric is ip.
    /// - Complexity: O(linked rows).
    func findLongRows(of rows: RowStore) {
        longRows = LongRows()
        for row in 0..<linkedCount { noteLongRow(UInt32(truncatingIfNeeded: row), of: rows) }
    }
}
