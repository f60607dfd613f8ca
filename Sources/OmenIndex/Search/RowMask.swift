/// Says which rows a search must not return: deleted rows, and rows that its condition rejects.
///
/// A plain bundle of pointers, valid while the index stands still. Walks lead through hidden rows;
/// no result is one.
struct RowMask {
    private let deleted: UnsafePointer<UInt64>
    /// One bit for each row that the search accepts; nil where it accepts all.
    private let accepted: UnsafePointer<UInt64>?
    /// Whether any row is hidden.
    let hidesSome: Bool
    /// Rows that are not hidden.
    let shownCount: Int

    /// Hides deleted rows.
    init(_ rows: RowStore) {
        deleted = UnsafePointer(rows.deleted)
        accepted = nil
        hidesSome = rows.deletedCount > 0
        shownCount = rows.count - rows.deletedCount
    }

    /// Hides deleted rows and all others that have no bit.
    ///
    /// - Parameters:
    ///   - rows: The rows.
    ///   - accepted: A bit for each row, set when a search accepts it.
    ///   - shownCount: Bits that are set, of rows that are not deleted.
    init(_ rows: RowStore, accepting accepted: UnsafePointer<UInt64>, shownCount: Int) {
        deleted = UnsafePointer(rows.deleted)
        self.accepted = accepted
        hidesSome = shownCount < rows.count
        self.shownCount = shownCount
    }

    @inline(__always)
    func hides(_ row: UInt32) -> Bool {
        if deleted.bit(row) { return true }
        guard let accepted else { return false }
        return !accepted.bit(row)
    }
}
