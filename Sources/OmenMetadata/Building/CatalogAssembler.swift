internal import OmenCore

/// Puts paths together to a catalog, and leaves out what would be too large.
struct CatalogAssembler {
    private struct Path {
        var name: [UInt8]
        var firstRow: UInt32
        var shape: PathShape
        var bytes: [UInt8]
    }

    private let rowCount: Int
    private let unindexed: UnindexedPaths
    private let unindexedRows: RowSet
    private var paths: [Path] = []

    /// Makes an assembler without paths.
    ///
    /// - Parameters:
    ///   - rowCount: Rows of the catalog.
    ///   - unindexed: Paths that it leaves out.
    ///   - unindexedRows: Rows that may have such paths.
    init(rowCount: Int, unindexed: UnindexedPaths, unindexedRows: RowSet) {
        self.rowCount = rowCount
        self.unindexed = unindexed
        self.unindexedRows = unindexedRows
    }

    /// Appends a path.
    ///
    /// - Parameters:
    ///   - name: The path, as `FilterPath` writes it.
    ///   - firstRow: The first row that has it.
    ///   - writer: What there is to write about it.
    ///   - breathe: Called every few microseconds.
    mutating func append(
        _ name: [UInt8],
        firstRow: UInt32,
        _ writer: consuming PathWriter,
        breathe: () -> Void
    ) {
        let (shape, bytes) = writer.finish(breathe: breathe)
        paths.append(Path(name: name, firstRow: firstRow, shape: shape, bytes: bytes))
    }

    /// Ends the catalog.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: The catalog.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    consuming func finish(breathe: () -> Void) throws(OmenError) -> CatalogImage {
        try leaveOutKeys(breathe)
        // Paths come in the order in which documents bring them, whatever the catalog is made of:
        // so the first ones are the same where there are too many.
        paths.sort { left, right in
            left.firstRow != right.firstRow
                ? left.firstRow < right.firstRow
                : left.name.lexicographicallyPrecedes(right.name)
        }
        var directory = CatalogDirectory()
        directory.rowCount = rowCount
        directory.unindexed = unindexed
        directory.paths = paths.map { CatalogDirectory.Path(name: $0.name, shape: $0.shape) }
        var writer = PathWriter(rowCount: rowCount)
        try writer.set(.exists, unindexedRows, breathe: breathe)
        let (shape, bytes) = writer.finish(breathe: breathe)
        directory.unindexedShape = shape
        return CatalogImage(directory, paths.map(\.bytes) + [bytes], breathe: breathe)
    }

    /// Takes the keys of the largest paths away while the catalog is too large for its rows.
    ///
    /// All rows that have such a path overflow there.
    private mutating func leaveOutKeys(_ breathe: () -> Void) throws(OmenError) {
        let byteCountMax = max(
            MetadataLimits.byteCountMin,
            rowCount * MetadataLimits.byteCountPerRowMax
        )
        var byteCount = paths.reduce(0) { $0 + $1.bytes.count }
        let order = paths.indices.sorted { paths[$0].bytes.count > paths[$1].bytes.count }
        for index in order where byteCount > byteCountMax {
            byteCount -= paths[index].bytes.count
            (paths[index].shape, paths[index].bytes) = try withoutKeys(paths[index], breathe)
            byteCount += paths[index].bytes.count
        }
    }

    private func withoutKeys(
        _ path: Path,
        _ breathe: () -> Void
    ) throws(OmenError) -> (PathShape, [UInt8]) {
        var writer = PathWriter(rowCount: rowCount)
        for property in PathProperty.allCases {
            var rows = try path.shape.rows(with: property, in: path.bytes, of: rowCount)
            if property == .overflow {
                let exists = try path.shape.rows(with: .exists, in: path.bytes, of: rowCount)
                rows = rows.union(exists)
            }
            try writer.set(property, rows, breathe: breathe)
        }
        return writer.finish(breathe: breathe)
    }
}

extension PathShape {
    /// The rows of a property.
    ///
    /// - Parameters:
    ///   - property: The property.
    ///   - bytes: The bytes of the path.
    ///   - rowCount: Rows of the catalog.
    /// - Returns: The rows.
    /// - Throws: `.corrupt` when a posting is not there.
    fileprivate func rows(
        with property: PathProperty,
        in bytes: [UInt8],
        of rowCount: Int
    ) throws(OmenError) -> RowSet {
        try bytes.withUnsafeBufferPointer { (bytes) throws(OmenError) in
            let postings = postings(in: UnsafeRawBufferPointer(bytes), of: rowCount)
            let reference = properties[property.rawValue]
            var rows = RowCollector(of: rowCount, expecting: try postings.count(reference))
            try postings.read(reference, into: &rows)
            return rows.finish()
        }
    }
}
