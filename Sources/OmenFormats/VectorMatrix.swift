package import OmenCore

/// The vectors of one file, read in batches of rows and converted to what the cluster takes.
///
/// Borrows the file's bytes: they must outlive the value. Reading touches only the rows asked for,
/// so a mapped file larger than memory can be imported.
package struct VectorMatrix {
    package let rowCount: Int
    package let dim: Int
    /// What `rows(_:)` gives: u8 stays u8, every other type becomes f32.
    package let element: ElementType

    private let bytes: UnsafeRawBufferPointer
    private let source: NpyElement
    private let firstRowOffset: Int
    private let strideByteCount: Int
    /// Whether each row is led by its own dimension, as in `.fvecs` and `.bvecs`.
    private let hasRowHeads: Bool

    /// Reads a two-dimensional `.npy` file of f64, f32, f16, u8 or i8; one row per vector.
    package init(npy bytes: UnsafeRawBufferPointer) throws(OmenError) {
        let header = try NpyHeader(bytes)
        guard header.shape.count == 2 else {
            throw npyError(
                "\(header.shape.count) dimensions (shape \(header.shape)), expected 2: one row per vector"
            )
        }
        switch header.element {
        case .f64, .f32, .f16, .u8, .i8: break
        case .u32, .i32, .u64, .i64:
            throw npyError("vectors of \(header.element), expected f64, f32, f16, u8 or i8")
        }
        try self.init(
            bytes: bytes,
            source: header.element,
            rowCount: header.shape[0],
            dim: header.shape[1],
            firstRowOffset: header.dataOffset,
            hasRowHeads: false
        )
    }

    /// Reads an `.fvecs` file: per row an Int32 dimension, then that many f32.
    package init(fvecs bytes: UnsafeRawBufferPointer) throws(OmenError) {
        try self.init(vecs: bytes, source: .f32, format: ".fvecs")
    }

    /// Reads a `.bvecs` file: per row an Int32 dimension, then that many u8.
    package init(bvecs bytes: UnsafeRawBufferPointer) throws(OmenError) {
        try self.init(vecs: bytes, source: .u8, format: ".bvecs")
    }

    private init(
        vecs bytes: UnsafeRawBufferPointer,
        source: NpyElement,
        format: String
    ) throws(OmenError) {
        let rows = try VecsLayout(bytes, elementByteCount: source.byteCount, format: format)
        try self.init(
            bytes: bytes,
            source: source,
            rowCount: rows.rowCount,
            dim: rows.columnCount,
            firstRowOffset: VecsLayout.headByteCount,
            hasRowHeads: true
        )
    }

    private init(
        bytes: UnsafeRawBufferPointer,
        source: NpyElement,
        rowCount: Int,
        dim: Int,
        firstRowOffset: Int,
        hasRowHeads: Bool
    ) throws(OmenError) {
        guard (1...Limits.dimensionMax).contains(dim) else {
            throw OmenError(
                .badRequest,
                "vectors have \(dim) dimensions, expected 1...\(Limits.dimensionMax)"
            )
        }
        self.bytes = bytes
        self.source = source
        self.rowCount = rowCount
        self.dim = dim
        self.firstRowOffset = firstRowOffset
        self.hasRowHeads = hasRowHeads
        element = source == .u8 ? .u8 : .f32
        strideByteCount = dim * source.byteCount + (hasRowHeads ? VecsLayout.headByteCount : 0)
    }

    /// The rows of `range` as little-endian elements of type `element`; shape `[range.count][dim]`.
    ///
    /// - Throws: `.badRequest` when a row of a `.fvecs` or `.bvecs` file has another dimension.
    /// - Precondition: `range` lies within `0..<rowCount`.
    /// - Complexity: O(range.count * dim); one allocation.
    package func rows(_ range: Range<Int>) throws(OmenError) -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= rowCount, "rows \(range)")
        if hasRowHeads { try checkHeads(range) }
        let rowByteCount = dim * element.byteCount
        let byteCount = range.count * rowByteCount
        return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(buffer)
            let isDense = strideByteCount == dim * source.byteCount
            // Without heads between the rows, the whole batch is one run of elements.
            let runs = isDense ? 0..<min(1, range.count) : 0..<range.count
            let runElementCount = isDense ? range.count * dim : dim
            for run in runs {
                let start = firstRowOffset + (range.lowerBound + run) * strideByteCount
                let end = start + runElementCount * source.byteCount
                source.convert(
                    UnsafeRawBufferPointer(rebasing: bytes[start..<end]),
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: target[
                            run * rowByteCount..<run * rowByteCount
                                + runElementCount * element.byteCount
                        ]
                    )
                )
            }
            count = byteCount
        }
    }

    private func checkHeads(_ range: Range<Int>) throws(OmenError) {
        for row in range {
            let head = VecsLayout.head(bytes, at: row * strideByteCount)
            guard head == Int32(dim) else {
                throw OmenError(
                    .badRequest,
                    "row \(row) has \(head) dimensions, the first row has \(dim)"
                )
            }
        }
    }
}

/// How `.fvecs`, `.bvecs` and `.ivecs` lay their rows out (the format of the TEXMEX corpora).
struct VecsLayout {
    /// Bytes of the dimension that leads each row.
    static let headByteCount = 4
    let rowCount: Int
    let columnCount: Int

    init(
        _ bytes: UnsafeRawBufferPointer,
        elementByteCount: Int,
        format: String
    ) throws(OmenError) {
        guard !bytes.isEmpty else { throw OmenError(.badRequest, "\(format): the file is empty") }
        guard bytes.count >= Self.headByteCount else {
            throw OmenError(.badRequest, "\(format): truncated after \(bytes.count) bytes")
        }
        let head = Self.head(bytes, at: 0)
        guard head > 0 else {
            throw OmenError(.badRequest, "\(format): the first row has \(head) dimensions")
        }
        columnCount = Int(head)
        let rowByteCount = Self.headByteCount + columnCount * elementByteCount
        rowCount = bytes.count / rowByteCount
        let excess = bytes.count % rowByteCount
        guard excess == 0 else {
            throw OmenError(
                .badRequest,
                "\(format): truncated: rows of \(columnCount) dimensions have \(rowByteCount) bytes, \(excess) bytes remain after row \(rowCount)"
            )
        }
    }

    static func head(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int32 {
        Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }
}
