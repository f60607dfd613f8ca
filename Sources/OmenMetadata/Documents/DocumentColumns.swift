internal import OmenCore

/// What the documents of a catalog have, path by path, until it is written.
final class DocumentColumns {
    /// What documents have at one path.
    struct Path {
        /// Rows by `PathProperty`, ascending.
        var properties = [[UInt32]](repeating: [], count: PathProperty.allCases.count)
        /// By `KeyTableKind`; that of strings is empty.
        var numbers = [NumberColumn](repeating: NumberColumn(), count: KeyTableKind.allCases.count)
        var strings = StringColumn()

        /// Rows that have the path.
        var exists: [UInt32] { properties[PathProperty.exists.rawValue] }
    }

    private var tree = PathTree()
    private var paths: [Path] = []
    /// Rows that have a path that is not indexed.
    private var unindexedRows: [UInt32] = []
    /// The row whose document is being read.
    private var row: UInt32 = 0

    /// Reads the document of a row.
    ///
    /// - Parameters:
    ///   - row: The row; above those before.
    ///   - metadata: A JSON object.
    /// - Throws: `.badRequest` when it is no JSON object; the columns are of no use then.
    func append(_ row: UInt32, _ metadata: UnsafeRawBufferPointer) throws(OmenError) {
        self.row = row
        try DocumentReader.read(metadata, into: self)
    }

    // MARK: What a document has

    /// Finds a member of an object, see `PathTree.child`.
    func child(
        _ name: UnsafeRawBufferPointer,
        of parent: Int?,
        _ hint: inout Int
    ) -> PathTree.Place {
        let place = tree.child(name, of: parent, &hint)
        if tree.count > paths.count { paths.append(Path()) }
        if case .unindexed = place, unindexedRows.last != row { unindexedRows.append(row) }
        return place
    }

    func add(_ property: PathProperty, at path: Int) {
        guard paths[path].properties[property.rawValue].last != row else { return }
        paths[path].properties[property.rawValue].append(row)
    }

    func add(_ number: JSONNumber, at path: Int) {
        let (kind, key) = NumberKey.of(number)
        paths[path].numbers[kind.rawValue].append(key, row)
    }

    func add(string: UnsafeRawBufferPointer, at path: Int) {
        paths[path].strings.append(string, row)
        guard let date = FilterDate(string) else { return }
        let dates = KeyTableKind.dates.rawValue
        paths[path].numbers[dates].append(UInt64(date.microseconds), row)
    }

    // MARK: Writing

    /// Writes everything down.
    ///
    /// - Parameters:
    ///   - rowCount: Rows of the catalog.
    ///   - breathe: Called every few microseconds.
    /// - Returns: The catalog.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    func write(rowCount: Int, breathe: () -> Void) throws(OmenError) -> CatalogImage {
        let order = PathRank.sorted(
            paths.indices.map { PathRank(paths[$0].exists, tree.name($0), place: $0) }
        )
        var unindexed = tree.unindexed
        var unindexedRows = RowSet(unindexedRows, of: rowCount)
        for rank in order.dropFirst(MetadataLimits.pathCountMax) {
            unindexed.insert(rank.name)
            unindexedRows = unindexedRows.union(RowSet(paths[rank.place].exists, of: rowCount))
            breathe()
        }
        var assembler = CatalogAssembler(
            rowCount: rowCount,
            unindexed: unindexed,
            unindexedRows: unindexedRows
        )
        for rank in order.prefix(MetadataLimits.pathCountMax) {
            // The columns go, one path after the other, when they are written.
            var path = Path()
            swap(&path, &paths[rank.place])
            let writer = try Self.write(&path, rowCount, breathe)
            assembler.append(rank.name, firstRow: rank.firstRow, writer, breathe: breathe)
        }
        return try assembler.finish(breathe: breathe)
    }

    private static func write(
        _ path: inout Path,
        _ rowCount: Int,
        _ breathe: () -> Void
    ) throws(OmenError) -> PathWriter {
        var writer = PathWriter(rowCount: rowCount)
        for property in PathProperty.allCases {
            try path.properties[property.rawValue]
                .withUnsafeBufferPointer { (rows) throws(OmenError) in
                    try writer.set(property, rows, breathe: breathe)
                }
        }
        for kind in KeyTableKind.allCases {
            let count =
                kind.isNumeric ? path.numbers[kind.rawValue].count : path.strings.keyCount
            var table = KeyTableWriter(kind, keyCountMax: count)
            if kind.isNumeric {
                try path.numbers[kind.rawValue]
                    .forEachKey(breathe: breathe) { (key, rows) throws(OmenError) in
                        try table.append(key, rows, to: &writer, breathe: breathe)
                    }
            } else {
                try path.strings.forEachKey(breathe: breathe) { (key, rows) throws(OmenError) in
                    try table.append(key, rows, to: &writer, breathe: breathe)
                }
            }
            try table.finish(into: &writer, breathe: breathe)
        }
        return writer
    }
}
