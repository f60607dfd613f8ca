package import OmenCore

extension MetadataCatalog {
    /// Looks at every key and every posting for what a catalog never has.
    ///
    /// Look-ups are safe without it: it finds what would make their answers wrong. Checksums of the
    /// file find damage; this finds what was written wrongly.
    /// - Parameter breathe: Called every few microseconds.
    /// - Throws: `.corrupt` naming the path and what is wrong.
    package func check(breathe: () -> Void) throws(OmenError) {
        let names = directory.unindexed
        guard try unindexedRows.countMax == 0 || !names.names.isEmpty || names.isPartial else {
            throw OmenError(.corrupt, "rows of the metadata catalog have paths without a name")
        }
        try PathCheck(path: unindexed).run(breathe)
        for (index, entry) in directory.paths.enumerated() {
            do throws(OmenError) {
                try PathCheck(path: path(index)).run(breathe)
            } catch {
                let name = String(decoding: entry.name, as: UTF8.self)
                throw OmenError(error.code, "metadata path \(name): \(error.message)")
            }
        }
    }
}

/// Checks what a catalog has of one path.
private struct PathCheck {
    let path: CatalogPath

    func run(_ breathe: () -> Void) throws(OmenError) {
        let postings = path.postings
        for property in PathProperty.allCases {
            try check(path.shape.properties[property.rawValue], postings)
            breathe()
        }
        for kind in KeyTableKind.allCases {
            let table = path.table(kind)
            if kind.isNumeric {
                try checkNumbers(table, breathe)
            } else {
                try checkStrings(table, breathe)
            }
            try checkRows(table, breathe)
        }
    }

    private func check(
        _ reference: PostingReference,
        _ postings: PostingReader
    ) throws(OmenError) {
        let count = try postings.count(reference)
        var rows = RowCollector(of: path.rowCount, expecting: min(count, path.rowCount))
        try postings.read(reference, into: &rows)
        let found = rows.finish().count
        guard found == count else {
            throw OmenError(.corrupt, "a posting of \(count) rows has \(found)")
        }
    }

    private func checkNumbers(_ table: KeyTable, _ breathe: () -> Void) throws(OmenError) {
        for index in 0..<table.keyCount {
            if index % 1024 == 0 { breathe() }
            let key = table.number(index)
            guard index == 0 || table.number(index - 1) < key else {
                throw OmenError(.corrupt, "keys are out of order")
            }
            guard table.kind == .dates || NumberKey.number(key, in: table.kind) != nil else {
                throw OmenError(.corrupt, "a key is no number")
            }
        }
    }

    private func checkStrings(_ table: KeyTable, _ breathe: () -> Void) throws(OmenError) {
        var last: FilterText?
        let blocks = (table.keyCount + StringBlocks.blockCount - 1) / StringBlocks.blockCount
        for block in 0..<blocks {
            breathe()
            var cursor = try table.strings(fromBlock: block)
            let end = min(table.keyCount, (block + 1) * StringBlocks.blockCount)
            while cursor.index < end, try cursor.next() {
                let text = FilterText(cursor.string)
                guard last.map({ $0 < text }) ?? true else {
                    throw OmenError(.corrupt, "keys are out of order")
                }
                last = text
            }
        }
    }

    /// Checks postings, sums, cuts, and whether a row has two keys.
    private func checkRows(_ table: KeyTable, _ breathe: () -> Void) throws(OmenError) {
        var total = 0
        var all = RowCollector(of: path.rowCount, expecting: path.rowCount)
        var cuts = table.cuts[...]
        for index in 0..<table.keyCount {
            if index % 64 == 0 { breathe() }
            if index % KeyTableShape.keysPerSum == 0 {
                guard try table.rowCount(0..<index) == total else {
                    throw OmenError(.corrupt, "sums of rows are wrong")
                }
            }
            let reference = table.reference(index)
            try check(reference, table.postings)
            total += try table.postings.count(reference)
            try table.postings.read(reference, into: &all)
            guard let cut = cuts.first, cut.key == index + 1 else { continue }
            cuts.removeFirst()
            var rows = RowCollector(of: path.rowCount, expecting: path.rowCount)
            try table.postings.read(cut.rows, into: &rows)
            guard rows.finish() == all.finish() else {
                throw OmenError(.corrupt, "a cut has other rows than the keys before it")
            }
        }
        guard cuts.isEmpty else { throw OmenError(.corrupt, "cuts are out of order") }
        guard (total == all.finish().count) == table.shape.isSingle else {
            throw OmenError(.corrupt, "it is wrong whether rows have two keys")
        }
    }
}
