package import OmenCore

/// What a catalog knows of one path.
///
/// `@unchecked`: nothing changes the bytes, and the catalog keeps them.
package struct CatalogPath: @unchecked Sendable {
    let shape: PathShape
    private let bytes: UnsafeRawBufferPointer
    private let catalog: MetadataCatalog

    init(shape: PathShape, bytes: UnsafeRawBufferPointer, catalog: MetadataCatalog) {
        self.shape = shape
        self.bytes = bytes
        self.catalog = catalog
    }

    var rowCount: Int { catalog.rowCount }

    var postings: PostingReader { shape.postings(in: bytes, of: rowCount) }

    func table(_ kind: KeyTableKind) -> KeyTable {
        let start = shape.offset(of: kind)
        let table = shape.tables[kind.rawValue]
        return KeyTable(
            kind: kind,
            shape: table,
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<start + table.byteCount]),
            postings: postings
        )
    }

    // MARK: Properties

    /// Rows that have the path, also with null, an empty list or an object.
    package var exists: RowSelection {
        get throws(OmenError) { try rows(with: .exists) }
    }

    /// Rows whose value there is a list.
    package var lists: RowSelection {
        get throws(OmenError) { try rows(with: .list) }
    }

    /// Rows whose values there are not all indexed, because they passed a limit.
    ///
    /// The other look-ups may lack such a row.
    package var overflow: RowSelection {
        get throws(OmenError) { try rows(with: .overflow) }
    }

    private func rows(with property: PathProperty) throws(OmenError) -> RowSelection {
        try RowSelection([.posting(reference(property))], of: self)
    }

    func reference(_ property: PathProperty) -> PostingReference {
        shape.properties[property.rawValue]
    }

    // MARK: Values

    /// Rows that have one of several values there, or a list with one of them.
    ///
    /// Lists as a whole are left out: all rows that may have them are in `lists`. So are rows
    /// without a value, which `exists` tells.
    /// - Parameter keys: The values.
    /// - Returns: The rows.
    /// - Throws: `.corrupt` when bytes of the catalog are damaged.
    package func rows(with keys: FilterKeys) throws(OmenError) -> RowSelection {
        var pieces: [RowSelection.Piece] = []
        if keys.includesNull { pieces.append(.posting(reference(.null))) }
        if keys.includesFalse { pieces.append(.posting(reference(.isFalse))) }
        if keys.includesTrue { pieces.append(.posting(reference(.isTrue))) }
        for range in keys.numbers.ranges {
            for kind in KeyKind.numbers.tables {
                pieces.append(.keys(kind, table(kind).keys(in: range)))
            }
        }
        for range in keys.strings.ranges {
            pieces.append(.keys(.strings, try table(.strings).keys(in: range)))
        }
        for range in keys.dates.ranges {
            pieces.append(.keys(.dates, table(.dates).keys(in: range)))
        }
        return try RowSelection(pieces, of: self)
    }

    /// Rows that have a value there, or a list with that value.
    ///
    /// - Parameter value: The value.
    /// - Returns: The rows.
    /// - Throws: `.corrupt` when bytes of the catalog are damaged.
    package func rows(equalTo value: FilterValue) throws(OmenError) -> RowSelection {
        try rows(with: FilterKeys([.value(value)]))
    }

    // MARK: Keys

    /// Tells how many different values of a kind there are.
    ///
    /// - Parameter kind: The kind.
    /// - Returns: Values.
    package func keyCount(_ kind: KeyKind) -> Int {
        kind.tables.reduce(0) { $0 + shape.tables[$1.rawValue].keyCount }
    }

    /// Goes through the values of a kind in order.
    ///
    /// - Parameters:
    ///   - kind: The kind.
    ///   - isDescending: Whether to begin with the last one.
    /// - Returns: A cursor before the first value.
    package func keys(_ kind: KeyKind, isDescending: Bool = false) -> KeyCursor {
        KeyCursor(kind, of: self, isDescending: isDescending)
    }
}
