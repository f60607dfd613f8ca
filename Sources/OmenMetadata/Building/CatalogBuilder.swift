package import OmenCore

/// Makes the catalog of rows from the texts of their metadata.
package final class CatalogBuilder {
    private let columns = DocumentColumns()
    private var rowCount = 0

    /// Makes a builder without rows.
    package init() {}

    /// Takes the metadata of a row.
    ///
    /// Rows that are passed over have none.
    /// - Parameters:
    ///   - row: The row's number in the catalog; above those before.
    ///   - metadata: A JSON object in UTF-8.
    /// - Throws: `.corrupt` when it is none, for doors let nothing else in; the builder is useless
    ///   then.
    package func append(_ row: UInt32, metadata: UnsafeRawBufferPointer) throws(OmenError) {
        precondition(Int(row) >= rowCount, "row \(row) after \(rowCount) rows")
        rowCount = Int(row) + 1
        do throws(OmenError) {
            try columns.append(row, metadata)
        } catch {
            throw OmenError(.corrupt, "metadata of row \(row): \(error.message)")
        }
    }

    /// Writes the catalog.
    ///
    /// - Parameters:
    ///   - rowCount: Rows of the catalog, which are at least the rows that were appended.
    ///   - breathe: Called every few microseconds.
    /// - Returns: The catalog. The builder has no rows any more.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    package func finish(
        rowCount: Int,
        breathe: () -> Void
    ) throws(OmenError) -> CatalogImage {
        precondition(rowCount >= self.rowCount, "\(self.rowCount) rows in a catalog of \(rowCount)")
        return try columns.write(rowCount: rowCount, breathe: breathe)
    }
}
