internal import OmenCore

/// Writes what a catalog knows of one path: fixed postings, and tables of keys.
struct PathWriter {
    let rowCount: Int
    var postings = PostingWriter()
    private var shape = PathShape()
    private var tables = [[UInt8]](repeating: [], count: KeyTableKind.allCases.count)

    /// Makes a writer for a path.
    ///
    /// - Parameter rowCount: Rows of the catalog.
    init(rowCount: Int) { self.rowCount = rowCount }

    /// Writes down the rows that have a property at the path.
    ///
    /// - Parameters:
    ///   - property: The property.
    ///   - rows: Ascending, each once.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    mutating func set(
        _ property: PathProperty,
        _ rows: UnsafeBufferPointer<UInt32>,
        breathe: () -> Void
    ) throws(OmenError) {
        shape.properties[property.rawValue] = try postings.add(rows, breathe: breathe)
    }

    /// Writes down the rows that have a property at the path.
    ///
    /// - Parameters:
    ///   - property: The property.
    ///   - rows: The rows.
    ///   - breathe: Called every few microseconds.
    /// - Throws: `.resourceExhausted` at the limits of the format, or without memory.
    mutating func set(
        _ property: PathProperty,
        _ rows: RowSet,
        breathe: () -> Void
    ) throws(OmenError) {
        try rows.rows(breathe: breathe).withUnsafeBufferPointer { (rows) throws(OmenError) in
            try set(property, rows, breathe: breathe)
        }
    }

    mutating func setTable(_ kind: KeyTableKind, _ table: KeyTableShape, _ bytes: [UInt8]) {
        shape.tables[kind.rawValue] = table
        tables[kind.rawValue] = table.keyCount == 0 ? [] : bytes
    }

    /// Reads a posting that was written.
    ///
    /// - Parameters:
    ///   - reference: The posting.
    ///   - rows: What takes the rows.
    /// - Returns: How many rows.
    /// - Throws: `.corrupt`, which would be a bug.
    func read(
        _ reference: PostingReference,
        into rows: inout RowCollector
    ) throws(OmenError) -> Int {
        try postings.table.withUnsafeBufferPointer { (table) throws(OmenError) in
            try postings.heap.withUnsafeBufferPointer { (heap) throws(OmenError) in
                let reader = PostingReader(
                    table: UnsafeRawBufferPointer(table),
                    heap: UnsafeRawBufferPointer(heap),
                    rowCount: rowCount
                )
                try reader.read(reference, into: &rows)
                return try reader.count(reference)
            }
        }
    }

    /// Ends the path.
    ///
    /// - Parameter breathe: Called every few microseconds.
    /// - Returns: Its shape, and the bytes that follow from it.
    consuming func finish(breathe: () -> Void) -> (shape: PathShape, bytes: [UInt8]) {
        shape.postingCount = postings.count
        shape.heapByteCount = postings.heap.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(shape.byteCount)
        bytes.append(contentsOf: postings.table)
        bytes.pad(to: 8)
        bytes.append(postings.heap, breathe: breathe)
        bytes.pad(to: 8)
        for table in tables { bytes.append(table, breathe: breathe) }
        return (shape, bytes)
    }
}
