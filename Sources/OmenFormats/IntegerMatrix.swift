package import OmenCore

/// Whole numbers in rows: the true neighbours of queries, or the ids of vectors.
///
/// Borrows the file's bytes: they must outlive the value.
package struct IntegerMatrix {
    package let rowCount: Int
    package let columnCount: Int

    private let bytes: UnsafeRawBufferPointer
    private let source: NpyElement
    private let firstRowOffset: Int
    private let strideByteCount: Int

    /// Reads a `.npy` file of i32, u32, i64, u64, u8 or i8 with one or two dimensions; one
    /// dimension counts as one column.
    package init(npy bytes: UnsafeRawBufferPointer) throws(OmenError) {
        let header = try NpyHeader(bytes)
        guard (1...2).contains(header.shape.count) else {
            throw npyError(
                "\(header.shape.count) dimensions (shape \(header.shape)), expected 1 or 2"
            )
        }
        switch header.element {
        case .u8, .i8, .u32, .i32, .u64, .i64: break
        case .f64, .f32, .f16:
            throw npyError("numbers of \(header.element), expected i32, u32, i64, u64, u8 or i8")
        }
        self.bytes = bytes
        source = header.element
        rowCount = header.shape[0]
        columnCount = header.shape.count == 2 ? header.shape[1] : 1
        firstRowOffset = header.dataOffset
        // Cannot overflow: the header checked the whole against the file's size, or is empty.
        strideByteCount = rowCount == 0 ? 0 : columnCount * header.element.byteCount
    }

    /// Reads an `.ivecs` file: per row an Int32 count, then that many Int32.
    package init(ivecs bytes: UnsafeRawBufferPointer) throws(OmenError) {
        let layout = try VecsLayout(bytes, elementByteCount: 4, format: ".ivecs")
        self.bytes = bytes
        source = .i32
        rowCount = layout.rowCount
        columnCount = layout.columnCount
        firstRowOffset = VecsLayout.headByteCount
        strideByteCount = VecsLayout.headByteCount + columnCount * 4
        for row in 0..<rowCount {
            let head = VecsLayout.head(bytes, at: row * strideByteCount)
            guard head == Int32(columnCount) else {
                throw OmenError(
                    .badRequest,
                    ".ivecs: row \(row) has \(head) numbers, the first row has \(columnCount)"
                )
            }
        }
    }

    /// The number at a place; nil when it is negative.
    ///
    /// - Precondition: The place exists.
    package func value(row: Int, column: Int) -> UInt64? {
        precondition((0..<rowCount).contains(row), "row \(row) of \(rowCount)")
        precondition((0..<columnCount).contains(column), "column \(column) of \(columnCount)")
        let offset = firstRowOffset + row * strideByteCount + column * source.byteCount
        switch source {
        case .u8: return UInt64(bytes[offset])
        case .i8: return UInt64(exactly: Int8(bitPattern: bytes[offset]))
        case .u32: return UInt64(load(offset, UInt32.self))
        case .i32: return UInt64(exactly: load(offset, Int32.self))
        case .u64: return load(offset, UInt64.self)
        case .i64: return UInt64(exactly: load(offset, Int64.self))
        case .f64, .f32, .f16: preconditionFailure("\(source) is no whole number")
        }
    }

    private func load<Value: FixedWidthInteger>(_ offset: Int, _ type: Value.Type) -> Value {
        Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}
