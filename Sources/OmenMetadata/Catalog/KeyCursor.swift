package import OmenCore

/// A value of a path, as the catalog keeps it.
package enum CatalogKey: Equatable, Sendable {
    /// A number.
    case number(JSONNumber)
    /// A string of at most `MetadataLimits.stringByteCountMax` bytes.
    case string(FilterText)
    /// Microseconds as `FilterDate` counts them.
    case date(microseconds: Int64)
}

/// Goes through the values of a path in order, each with its rows.
package struct KeyCursor {
    /// A value and the rows that have it.
    package struct Element {
        package let key: CatalogKey
        package let rows: RowSelection
    }

    private let kind: KeyKind
    private let path: CatalogPath
    private let isDescending: Bool
    /// Keys that are still to come, of each table.
    private var left: [Range<Int>]
    /// The strings of the block that was read last, and its number.
    private var block: (number: Int, strings: [[UInt8]])?

    init(_ kind: KeyKind, of path: CatalogPath, isDescending: Bool) {
        self.kind = kind
        self.path = path
        self.isDescending = isDescending
        left = kind.tables.map { 0..<path.shape.tables[$0.rawValue].keyCount }
    }

    /// The next value.
    ///
    /// - Returns: It and its rows; nil behind the last.
    /// - Throws: `.corrupt` when bytes of the catalog are damaged.
    package mutating func next() throws(OmenError) -> Element? {
        var best: (place: Int, index: Int, key: CatalogKey)?
        for place in left.indices where !left[place].isEmpty {
            let index = isDescending ? left[place].upperBound - 1 : left[place].lowerBound
            let key = try key(index, of: path.table(kind.tables[place]))
            if let other = best, !isBefore(key, other.key) { continue }
            best = (place, index, key)
        }
        guard let best else { return nil }
        if isDescending {
            left[best.place].removeLast()
        } else {
            left[best.place].removeFirst()
        }
        let piece = RowSelection.Piece.keys(kind.tables[best.place], best.index..<best.index + 1)
        return Element(key: best.key, rows: try RowSelection([piece], of: path))
    }

    private func isBefore(_ key: CatalogKey, _ other: CatalogKey) -> Bool {
        guard case .number(let one) = key, case .number(let two) = other else { return false }
        return isDescending ? one > two : one < two
    }

    private mutating func key(_ index: Int, of table: KeyTable) throws(OmenError) -> CatalogKey {
        switch table.kind {
        case .strings: return .string(FilterText(try string(index, of: table)))
        case .dates: return .date(microseconds: Int64(truncatingIfNeeded: table.number(index)))
        case .doubles, .negatives, .positives:
            guard let number = NumberKey.number(table.number(index), in: table.kind) else {
                throw OmenError(.corrupt, "a key of the metadata catalog is no number")
            }
            return .number(number)
        }
    }

    private mutating func string(_ index: Int, of table: KeyTable) throws(OmenError) -> [UInt8] {
        let number = index / StringBlocks.blockCount
        if block?.number != number {
            var cursor = try table.strings(fromBlock: number)
            var strings: [[UInt8]] = []
            while strings.count < StringBlocks.blockCount, try cursor.next() {
                strings.append(cursor.string)
            }
            block = (number, strings)
        }
        // A block has as many strings as its number says, or reading it has failed.
        return block?.strings[index % StringBlocks.blockCount] ?? []
    }
}

extension Range where Bound == Int {
    fileprivate mutating func removeFirst() { self = lowerBound + 1..<upperBound }
    fileprivate mutating func removeLast() { self = lowerBound..<upperBound - 1 }
}
