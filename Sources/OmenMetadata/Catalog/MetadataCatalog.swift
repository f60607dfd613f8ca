package import OmenCore

/// Which rows have which values at which paths of their metadata, for the rows `0..<rowCount`.
///
/// A catalog never changes: rows that come later get one of their own, and `CatalogMerge` makes one
/// of several. Look-ups read its two sections, which are mapped from a file or lie in memory, and
/// build nothing when it is opened. Whatever their bytes are, a look-up ends with an answer or an
/// error.
///
/// `@unchecked`: nothing changes the bytes, and the owner keeps them.
package final class MetadataCatalog: @unchecked Sendable {
    let directory: CatalogDirectory
    private let data: UnsafeRawBufferPointer
    /// Where the bytes of each path begin, and those of the rows that may have others.
    private let offsets: [Int]
    private let owner: any AnyObject & Sendable

    /// Opens the catalog of a file.
    ///
    /// - Parameters:
    ///   - directory: The section `directory`; read now.
    ///   - data: The section `data`; read by look-ups.
    ///   - owner: What keeps the bytes of `data`.
    /// - Throws: `.corrupt` when sections contradict each other; `.unsupportedVersion` for another
    ///   format.
    package init(
        directory: UnsafeRawBufferPointer,
        data: UnsafeRawBufferPointer,
        owner: any AnyObject & Sendable
    ) throws(OmenError) {
        self.directory = try CatalogDirectory(directory, dataByteCount: data.count)
        self.data = data
        self.owner = owner
        var offsets: [Int] = []
        var at = 0
        for path in self.directory.paths {
            offsets.append(at)
            at += path.shape.byteCount
        }
        self.offsets = offsets + [at]
    }

    /// Opens a catalog that was built here.
    ///
    /// - Parameter image: The catalog's bytes.
    /// - Throws: `.corrupt`, which would be a bug.
    package convenience init(_ image: CatalogImage) throws(OmenError) {
        try self.init(directory: image.directory, data: image.data, owner: image)
    }

    /// Rows of the catalog, those without metadata included.
    package var rowCount: Int { directory.rowCount }

    /// The paths that are indexed, as `FilterPath` writes them.
    package var pathNames: [String] {
        directory.paths.map { String(decoding: $0.name, as: UTF8.self) }
    }

    /// Paths that are in metadata and not indexed, as `FilterPath` writes them.
    ///
    /// What is below one of them is not indexed either.
    package var unindexedPathNames: [String] {
        directory.unindexed.names.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether there are more such paths than `unindexedPathNames` has.
    package var hasMoreUnindexedPaths: Bool { directory.unindexed.isPartial }

    /// What the catalog knows of a path.
    package enum PathEntry {
        /// It tells which rows have which values there.
        case indexed(CatalogPath)
        /// No row has it.
        case absent
        /// Those of `unindexedRows` may have it; only their metadata tells.
        case unindexed
    }

    /// Looks a path up.
    ///
    /// - Parameter path: The path.
    /// - Returns: What the catalog knows of it.
    package subscript(path: FilterPath) -> PathEntry { entry(Array(path.description.utf8)) }

    func entry(_ name: [UInt8]) -> PathEntry {
        if let index = directory.paths.firstIndex(where: { $0.name == name }) {
            return .indexed(self.path(index))
        }
        let unindexed = directory.unindexed
        return unindexed.isPartial || unindexed.contains(name) ? .unindexed : .absent
    }

    func path(_ index: Int) -> CatalogPath { path(directory.paths[index].shape, offsets[index]) }

    /// The rows that may have a path that is not indexed, as those where it exists.
    var unindexed: CatalogPath { path(directory.unindexedShape, offsets[offsets.count - 1]) }

    /// Rows that may have a path that is not indexed.
    package var unindexedRows: RowSelection {
        get throws(OmenError) { try unindexed.exists }
    }

    private func path(_ shape: PathShape, _ start: Int) -> CatalogPath {
        CatalogPath(
            shape: shape,
            bytes: UnsafeRawBufferPointer(rebasing: data[start..<start + shape.byteCount]),
            catalog: self
        )
    }
}
