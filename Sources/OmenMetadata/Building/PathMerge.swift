internal import OmenCore

/// Merges what several catalogs know of one path.
struct PathMerge {
    /// One catalog's share.
    struct Part {
        var path: CatalogPath
        /// The number of the catalog's row 0 among the rows of all.
        var firstRow: Int
        /// Whether the catalog does not index the path: `path` tells only which rows may have it.
        var isDoubtful = false
    }

    private let parts: [Part]
    private let numbering: Numbering

    /// Makes the merge of a path.
    ///
    /// - Parameters:
    ///   - parts: What there is to merge, by the first row of each.
    ///   - numbering: Which numbers rows have in the new catalog.
    init(_ parts: [Part], _ numbering: Numbering) {
        self.parts = parts
        self.numbering = numbering
    }

    /// Writes the path.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: What was written.
    /// - Throws: `.corrupt` when bytes of a source are damaged; `.resourceExhausted` at the limits
    ///   of the format, or without memory.
    func write(_ breathe: () -> Void) throws(OmenError) -> PathWriter {
        var writer = PathWriter(rowCount: numbering.newCount)
        for property in PathProperty.allCases {
            let rows = try rows(with: property, breathe)
            try rows.withUnsafeBufferPointer { (rows) throws(OmenError) in
                try writer.set(property, rows, breathe: breathe)
            }
        }
        for kind in KeyTableKind.allCases {
            let count = parts.reduce(0) { $0 + $1.path.shape.tables[kind.rawValue].keyCount }
            var table = KeyTableWriter(kind, keyCountMax: count)
            if kind.isNumeric {
                try mergeNumbers(kind, &table, &writer, breathe)
            } else {
                try mergeStrings(&table, &writer, breathe)
            }
            try table.finish(into: &writer, breathe: breathe)
        }
        return writer
    }

    /// The rows of the new catalog that may have the path.
    func rows(_ breathe: () -> Void) throws(OmenError) -> RowSet {
        let exists = RowSet(try rows(with: .exists, breathe), of: numbering.newCount)
        return exists.union(RowSet(try rows(with: .overflow, breathe), of: numbering.newCount))
    }

    /// The rows of the new catalog that have a property at the path, ascending.
    func rows(
        with property: PathProperty,
        _ breathe: () -> Void
    ) throws(OmenError) -> [UInt32] {
        var rows: [UInt32] = []
        for part in parts {
            var reference = part.path.reference(property)
            if part.isDoubtful {
                // Only their metadata tells, as with rows whose values are not all keys.
                reference = property == .overflow ? part.path.reference(.exists) : .none
            }
            try append(reference, part.path.postings, part.firstRow, to: &rows, breathe)
        }
        numbering.renumber(&rows, breathe: breathe)
        return rows
    }

    private func append(
        _ reference: PostingReference,
        _ postings: PostingReader,
        _ firstRow: Int,
        to rows: inout [UInt32],
        _ breathe: () -> Void
    ) throws(OmenError) {
        let first = UInt32(firstRow)
        if let row = reference.row, row < postings.rowCount { return rows.append(first + row) }
        breathe()
        var found = RowCollector(
            of: postings.rowCount,
            expecting: try postings.count(reference),
            isAscending: true
        )
        try postings.read(reference, into: &found)
        found.finish().forEach { row in
            rows.append(first + row)
            if rows.count % RowSet.rowsPerBreath == 0 { breathe() }
        }
    }

    private func mergeNumbers(
        _ kind: KeyTableKind,
        _ table: inout KeyTableWriter,
        _ writer: inout PathWriter,
        _ breathe: () -> Void
    ) throws(OmenError) {
        let tables = parts.map { $0.path.table(kind) }
        var next = parts.map { _ in 0 }
        var last: UInt64?
        var rows: [UInt32] = []
        while true {
            var least: UInt64?
            for (part, table) in tables.enumerated() where next[part] < table.keyCount {
                least = min(least ?? .max, table.number(next[part]))
            }
            guard let key = least else { return }
            guard last.map({ $0 < key }) ?? true else { throw Self.outOfOrder }
            last = key
            rows.removeAll(keepingCapacity: true)
            for (part, table) in tables.enumerated()
            where next[part] < table.keyCount && table.number(next[part]) == key {
                let reference = table.reference(next[part])
                try append(reference, table.postings, parts[part].firstRow, to: &rows, breathe)
                next[part] += 1
            }
            numbering.renumber(&rows, breathe: breathe)
            guard !rows.isEmpty else { continue }
            try rows.withUnsafeBufferPointer { (rows) throws(OmenError) in
                try table.append(key, rows, to: &writer, breathe: breathe)
            }
        }
    }

    private func mergeStrings(
        _ table: inout KeyTableWriter,
        _ writer: inout PathWriter,
        _ breathe: () -> Void
    ) throws(OmenError) {
        var streams: [StringStream] = []
        for part in parts {
            let stream = try StringStream(part.path.table(.strings), firstRow: part.firstRow)
            if let stream { streams.append(stream) }
        }
        var last: FilterText?
        var rows: [UInt32] = []
        while let key = streams.map(\.key).min() {
            guard last.map({ $0 < key }) ?? true else { throw Self.outOfOrder }
            last = key
            rows.removeAll(keepingCapacity: true)
            try take(key, &streams, &rows, breathe)
            numbering.renumber(&rows, breathe: breathe)
            guard !rows.isEmpty else { continue }
            try rows.withUnsafeBufferPointer { (rows) throws(OmenError) in
                try key.utf8.withUnsafeBufferPointer { (utf8) throws(OmenError) in
                    try table.append(
                        UnsafeRawBufferPointer(utf8),
                        rows,
                        to: &writer,
                        breathe: breathe
                    )
                }
            }
        }
    }

    /// Takes the rows of a key from all streams that are at it, and moves these on.
    private func take(
        _ key: FilterText,
        _ streams: inout [StringStream],
        _ rows: inout [UInt32],
        _ breathe: () -> Void
    ) throws(OmenError) {
        var ended: [Int] = []
        for index in streams.indices where streams[index].key == key {
            let stream = streams[index]
            try append(
                stream.reference,
                stream.table.postings,
                stream.firstRow,
                to: &rows,
                breathe
            )
            if try !streams[index].advance() { ended.append(index) }
        }
        for index in ended.reversed() { streams.remove(at: index) }
    }

    private static var outOfOrder: OmenError {
        OmenError(.corrupt, "keys of the metadata catalog are out of order")
    }
}

/// The strings of one catalog, one after the other.
private struct StringStream {
    let table: KeyTable
    let firstRow: Int
    private var cursor: StringBlocks.Cursor
    private(set) var key: FilterText

    /// Stands at the first string; nil when there is none.
    init?(_ table: KeyTable, firstRow: Int) throws(OmenError) {
        self.table = table
        self.firstRow = firstRow
        cursor = try table.strings(fromBlock: 0)
        guard try cursor.next() else { return nil }
        key = FilterText(cursor.string)
    }

    var reference: PostingReference { table.reference(cursor.index - 1) }

    /// Moves to the next string.
    ///
    /// - Returns: Whether there is one.
    /// - Throws: `.corrupt` when it is not there.
    mutating func advance() throws(OmenError) -> Bool {
        guard try cursor.next() else { return false }
        key = FilterText(cursor.string)
        return true
    }
}
