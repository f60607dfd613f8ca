/// Which paths a catalog has when there are more than it may have.
struct PathRank {
    let name: [UInt8]
    let rowCount: Int
    let firstRow: UInt32
    /// Where the path is, for the caller.
    let place: Int

    /// Ranks a path.
    ///
    /// - Parameters:
    ///   - rows: The rows that have it, ascending.
    ///   - name: The path, as `FilterPath` writes it.
    ///   - place: Where the path is, for the caller.
    init(_ rows: [UInt32], _ name: [UInt8], place: Int) {
        self.name = name
        self.place = place
        rowCount = rows.count
        firstRow = rows.first ?? .max
    }

    /// Orders paths by the number of rows that have them, the most first.
    ///
    /// Of paths with equally many rows the one comes first that a document brought first.
    ///
    /// - Parameter ranks: Ranks in any order.
    /// - Returns: The ranks of paths that rows have at all.
    static func sorted(_ ranks: [PathRank]) -> [PathRank] {
        ranks.filter { $0.rowCount > 0 }.sorted { left, right in
            if left.rowCount != right.rowCount { return left.rowCount > right.rowCount }
            if left.firstRow != right.firstRow { return left.firstRow < right.firstRow }
            return left.name.lexicographicallyPrecedes(right.name)
        }
    }
}
