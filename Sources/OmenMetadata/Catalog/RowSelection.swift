package import OmenCore

/// Rows that a look-up found: how many is known at once, which ones when they are asked for.
package struct RowSelection: Sendable {
    /// A part of the answer.
    enum Piece: Sendable {
        case posting(PostingReference)
        case keys(KeyTableKind, Range<Int>)
    }

    /// Rows, at most.
    package let countMax: Int
    /// Whether the number is exact.
    ///
    /// Otherwise a row with several of the values may be counted for each of them.
    package let isExact: Bool
    /// None of them is empty.
    private let pieces: [Piece]
    private let path: CatalogPath

    init(_ pieces: [Piece], of path: CatalogPath) throws(OmenError) {
        self.path = path
        let postings = path.postings
        var kept: [Piece] = []
        var count = 0
        var isExact = true
        for piece in pieces {
            let more: Int
            switch piece {
            case .posting(let posting): more = try postings.count(posting)
            case .keys(let kind, let keys):
                let table = path.table(kind)
                more = try table.rowCount(keys)
                isExact = isExact && (keys.count < 2 || table.shape.isSingle)
            }
            guard more > 0 else { continue }
            count = Int(clamping: Int128(count) + Int128(more))
            kept.append(piece)
        }
        self.pieces = kept
        countMax = count
        self.isExact = isExact && kept.count < 2
    }

    /// The rows.
    ///
    /// - Returns: Rows of the catalog.
    /// - Throws: `.corrupt` when bytes of the catalog are damaged.
    package func rows() throws(OmenError) -> RowSet {
        // Cuts help with single ranges; several are values that were listed, or seldom wide.
        if pieces.count == 1, case .keys(let kind, let keys) = pieces[0] {
            return try path.table(kind).rows(keys)
        }
        let postings = path.postings
        var rows = RowCollector(
            of: path.rowCount,
            expecting: countMax,
            isAscending: pieces.count == 1
        )
        for piece in pieces {
            switch piece {
            case .posting(let posting): try postings.read(posting, into: &rows)
            case .keys(let kind, let keys):
                try path.table(kind).read(keys, into: &rows)
            }
        }
        return rows.finish()
    }
}
