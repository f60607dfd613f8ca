package import OmenCore

/// Makes one catalog of several, without reading metadata again.
package struct CatalogMerge {
    /// One after the other: the rows of each follow those of the one before.
    private let sources: [MetadataCatalog]
    /// The first row of each source, and the rows of all.
    private let offsets: [Int]
    /// The old number of each new row; nil when all are kept.
    private let chosen: [UInt32]?

    /// Makes a merge that keeps all rows in their order.
    ///
    /// - Parameter sources: The catalogs; the rows of each follow those of the one before.
    package init(_ sources: [MetadataCatalog]) {
        self.init(sources, chosen: nil)
    }

    /// Makes a merge that chooses rows, and gives them other numbers.
    ///
    /// - Parameters:
    ///   - sources: The catalogs; the rows of each follow those of the one before.
    ///   - rows: The old number of each row that is kept, each once, in the order of the new ones.
    package init(_ sources: [MetadataCatalog], choosing rows: [UInt32]) {
        self.init(sources, chosen: rows)
    }

    private init(_ sources: [MetadataCatalog], chosen: [UInt32]?) {
        self.sources = sources
        self.chosen = chosen
        var offsets = [0]
        for source in sources { offsets.append(offsets[offsets.count - 1] + source.rowCount) }
        self.offsets = offsets
    }

    /// Makes the catalog.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: The catalog.
    /// - Throws: `.corrupt` when bytes of a source are damaged; `.resourceExhausted` at the limits
    ///   of the format, or without memory.
    package func run(breathe: () -> Void) throws(OmenError) -> CatalogImage {
        let oldCount = offsets[offsets.count - 1]
        guard oldCount <= Limits.shardRowCountMax else {
            throw OmenError(
                .resourceExhausted,
                "\(oldCount) rows in one metadata catalog, at most \(Limits.shardRowCountMax)"
            )
        }
        let numbering = Numbering(chosen, of: oldCount, breathe)
        let names = names
        let paths = names.map { PathMerge(parts($0), numbering) }
        var ranks: [PathRank] = []
        for (place, name) in names.enumerated() {
            let rows = try paths[place].rows(with: .exists, breathe)
            ranks.append(PathRank(rows, name, place: place))
        }
        let order = PathRank.sorted(ranks)
        let left = order.dropFirst(MetadataLimits.pathCountMax)
        let (unindexed, unindexedRows) = try unindexed(
            left.map { ($0.name, paths[$0.place]) },
            numbering,
            breathe
        )
        var assembler = CatalogAssembler(
            rowCount: numbering.newCount,
            unindexed: unindexed,
            unindexedRows: unindexedRows
        )
        for rank in order.prefix(MetadataLimits.pathCountMax) {
            let writer = try paths[rank.place].write(breathe)
            assembler.append(rank.name, firstRow: rank.firstRow, writer, breathe: breathe)
        }
        return try assembler.finish(breathe: breathe)
    }

    /// The paths that the new catalog does not index, and the rows that may have them.
    private func unindexed(
        _ left: [(name: [UInt8], path: PathMerge)],
        _ numbering: Numbering,
        _ breathe: () -> Void
    ) throws(OmenError) -> (UnindexedPaths, RowSet) {
        let parts = sources.indices.map {
            PathMerge.Part(path: sources[$0].unindexed, firstRow: offsets[$0])
        }
        var rows = try PathMerge(parts, numbering).rows(breathe)
        var unindexed = UnindexedPaths()
        // Rows may have gone, and their paths with them.
        if !rows.isEmpty {
            for source in sources { unindexed.formUnion(source.directory.unindexed) }
        }
        for (name, path) in left {
            unindexed.insert(name)
            rows = rows.union(try path.rows(breathe))
        }
        return (unindexed, rows)
    }

    /// The paths of all sources, each once.
    private var names: [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return sources.flatMap { $0.directory.paths.map(\.name) }.filter {
            seen.insert($0).inserted
        }
    }

    /// What the sources know of a path.
    private func parts(_ name: [UInt8]) -> [PathMerge.Part] {
        var parts: [PathMerge.Part] = []
        for (source, firstRow) in zip(sources, offsets) {
            switch source.entry(name) {
            case .indexed(let path): parts.append(PathMerge.Part(path: path, firstRow: firstRow))
            case .absent: continue
            case .unindexed:
                let path = source.unindexed
                parts.append(PathMerge.Part(path: path, firstRow: firstRow, isDoubtful: true))
            }
        }
        return parts
    }
}

/// Which number a row has in the new catalog.
struct Numbering {
    private static let dropped = UInt32.max
    /// Rows that are sorted in a few microseconds.
    private static let quickCountMax = 256

    /// Rows of the new catalog.
    let newCount: Int
    /// The new number of each old row; empty when all keep theirs.
    private var numbers: [UInt32] = []
    /// Whether rows that were ascending still are.
    private var isAscending = true

    /// Numbers rows.
    ///
    /// - Parameters:
    ///   - rows: The old number of each new row; nil when all are kept.
    ///   - oldCount: Rows of the old catalogs.
    ///   - breathe: Called every few microseconds.
    init(_ rows: [UInt32]?, of oldCount: Int, _ breathe: () -> Void) {
        newCount = rows?.count ?? oldCount
        guard let rows else { return }
        numbers = [UInt32](unwritten: oldCount)
        for old in numbers.indices {
            if old % RowSet.rowsPerBreath == 0 { breathe() }
            numbers[old] = Self.dropped
        }
        for (new, old) in rows.enumerated() {
            if new % RowSet.rowsPerBreath == 0 { breathe() }
            precondition(numbers[Int(old)] == Self.dropped, "row \(old) is chosen twice")
            numbers[Int(old)] = UInt32(new)
            isAscending = isAscending && (new == 0 || rows[new - 1] < old)
        }
    }

    /// Replaces old numbers by new ones, ascending.
    ///
    /// - Parameters:
    ///   - rows: Ascending rows of the old catalogs.
    ///   - breathe: Called every few microseconds.
    func renumber(_ rows: inout [UInt32], breathe: () -> Void) {
        guard !numbers.isEmpty || newCount == 0 else { return }
        var kept = 0
        for index in rows.indices {
            if index % RowSet.rowsPerBreath == RowSet.rowsPerBreath - 1 { breathe() }
            let number = numbers[Int(rows[index])]
            rows[kept] = number
            kept += number == Self.dropped ? 0 : 1
        }
        rows.removeLast(rows.count - kept)
        guard !isAscending else { return }
        guard rows.count > Self.quickCountMax else { return rows.sort() }
        guard RowSet.isSparse(rows.count, of: newCount) else {
            var set = RowCollector(of: newCount, expecting: newCount)
            for (index, row) in rows.enumerated() {
                set.set(row)
                if index % RowSet.rowsPerBreath == 0 { breathe() }
            }
            rows = set.finish().rows(breathe: breathe)
            return
        }
        var keys = rows.map { UInt64($0) }
        RadixSort.sort(&keys, &rows, breathe: breathe)
    }
}
