internal import OmenSystem
internal import COmenDB
internal import OmenCore
internal import Synchronization

/// Vectors in the memory of a caller, read where they lie; they may change between two readings.
struct GivenVectors {
    private enum GivenKind {
        /// As they are stored or searched for.
        case plain
        case f16
        case i8
    }

    /// What their elements become: `f32` for those that no collection stores.
    let element: ElementType
    let dim: Int
    private let kind: GivenKind
    private let base: UnsafeRawPointer
    /// Bytes from one row to the next.
    private let stride: Int
    private let rowByteCount: Int

    /// Takes `count` rows, which a `stride` of nil puts one behind the other.
    ///
    /// - Throws: `.badRequest` for an unknown type, dimensions out of range, rows that overlap, and
    ///   for more memory than there can be.
    init(
        _ vectors: UnsafeRawPointer?,
        element raw: Int32,
        dim: UInt32,
        stride: UInt64?,
        count: Int
    ) throws(OmenError) {
        var byteCount = 1
        switch raw {
        case Int32(OMENDB_F16): (element, kind, byteCount) = (.f32, .f16, 2)
        case Int32(OMENDB_I8): (element, kind) = (.f32, .i8)
        default:
            element = try Arguments.element(raw)
            kind = .plain
            byteCount = element.byteCount
        }
        guard (1...Limits.dimensionMax).contains(Int(dim)) else {
            throw OmenError(.badRequest, "dim is \(dim), expected 1...\(Limits.dimensionMax)")
        }
        self.dim = Int(dim)
        rowByteCount = self.dim * byteCount
        guard let stride = Int(exactly: stride ?? UInt64(rowByteCount)), stride >= rowByteCount,
            !count.multipliedReportingOverflow(by: stride).overflow
        else {
            throw OmenError(
                .badRequest,
                "rows are \(stride ?? 0) bytes apart, expected at least \(rowByteCount)"
            )
        }
        self.stride = stride
        guard let vectors else { throw OmenError(.badRequest, "vectors is null") }
        base = vectors
    }

    /// Bytes that a row has as it is stored.
    var storedRowByteCount: Int { dim * element.byteCount }

    /// The elements of some rows as they are stored, row after row.
    func copy(_ rows: Range<Int>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: rows.count * storedRowByteCount) { target, filled in
            filled = rows.count * storedRowByteCount
            guard let start = UnsafeMutableRawBufferPointer(target).baseAddress else { return }
            copy(rows, to: start)
        }
    }

    /// Calls `body` with the elements of the first row as they are stored, which lie in memory of
    /// this call: the caller's memory may change after they were checked.
    ///
    /// - Precondition: There is a row.
    func withFirstRow<Found>(
        _ body: (UnsafeRawPointer) throws(OmenError) -> Found
    ) throws(OmenError) -> Found {
        // Does not carry typed throws, so the outcome travels as a value.
        let outcome: Result<Found, OmenError> = withUnsafeTemporaryAllocation(
            byteCount: storedRowByteCount,
            alignment: 16
        ) { row in
            guard let start = row.baseAddress else { preconditionFailure("a row has no bytes") }
            copy(0..<1, to: start)
            do throws(OmenError) {
                return .success(try body(UnsafeRawPointer(start)))
            } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    private func copy(_ rows: Range<Int>, to target: UnsafeMutableRawPointer) {
        if kind == .plain, stride == rowByteCount {
            let source = base + rows.lowerBound * stride
            return target.copyMemory(from: source, byteCount: rows.count * rowByteCount)
        }
        for (place, row) in rows.enumerated() {
            write(row, to: target + place * storedRowByteCount)
        }
    }

    private func failure(
        of values: UnsafeRawBufferPointer,
        _ row: Int,
        against schema: CollectionSchema
    ) -> OmenError? {
        let failure = VectorValidation.failure(
            values,
            number: row,
            element: element,
            dim: dim,
            metric: schema.metric,
            what: "vector"
        )
        guard failure == nil, schema.element == .u8, element == .f32 else { return failure }
        return VectorValidation.wholeFailure(values, number: row, dim: dim)
    }

    /// Bytes that are worth a thread of their own to check: some milliseconds.
    private static let byteCountPerThread = 8 << 20
    private static let threadCountMax = 4
    /// Rows checked between two looks at `Stop.current`: at most some milliseconds.
    private static let rowsPerLook = 1024

    /// Checks all of the first `count` rows as `VectorValidation` does.
    ///
    /// On several threads where there are many: what takes the time is memory, of which one
    /// processor alone gets half.
    /// - Throws: `.badRequest` naming the first wrong row and the element.
    func check(_ count: Int, against schema: CollectionSchema) throws(OmenError) {
        let worthwhileCount = count * rowByteCount / Self.byteCountPerThread
        let threadCount = max(1, min(Self.threadCountMax, worthwhileCount))
        let failures = Mutex([OmenError?](repeating: nil, count: threadCount))
        let shared = Shared(vectors: self)
        BackgroundThread.share(threadCount) { index in
            let rows = index * count / threadCount..<(index + 1) * count / threadCount
            let failure = shared.vectors.failure(in: rows, against: schema)
            failures.withLock { $0[index] = failure }
        }
        if let first = failures.withLock({ $0.lazy.compactMap { $0 }.first }) { throw first }
    }

    /// The caller's memory, which stays where it is during the call.
    private struct Shared: @unchecked Sendable { let vectors: GivenVectors }

    private func failure(in rows: Range<Int>, against schema: CollectionSchema) -> OmenError? {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: storedRowByteCount,
            alignment: MemoryLayout<Float>.alignment
        )
        defer { copy.deallocate() }
        guard let start = copy.baseAddress else { return nil }
        let stop = Stop.current
        for row in rows {
            if row % Self.rowsPerLook == 0, let stop, stop.isDue { return Stop.error }
            var values = UnsafeRawBufferPointer(copy)
            if kind == .plain {
                values = UnsafeRawBufferPointer(start: base + row * stride, count: rowByteCount)
            } else {
                write(row, to: start)
            }
            if let failure = failure(of: values, row, against: schema) { return failure }
        }
        return nil
    }

    private func write(_ row: Int, to target: UnsafeMutableRawPointer) {
        let source = base + row * stride
        let floats = target.assumingMemoryBound(to: Float.self)
        switch kind {
        case .plain: target.copyMemory(from: source, byteCount: rowByteCount)
        case .f16:
            for i in 0..<dim {
                let half = source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)
                floats[i] = Self.float(half)
            }
        case .i8:
            let bytes = source.assumingMemoryBound(to: Int8.self)
            for i in 0..<dim { floats[i] = Float(bytes[i]) }
        }
    }

    /// A number of IEEE 754's binary16, the same in 32 bits.
    ///
    /// In whole registers, where `Float(Float16)` is a call for each: without the instructions that
    /// not every processor has, it takes fifteen times as long.
    @inline(__always)
    private static func float(_ half: UInt16) -> Float {
        let magnitude = UInt32(half & 0x7FFF) << 13
        // Exponents of 32 bits begin 112 lower; subnormal numbers become normal by that, too.
        let scaled = Float(bitPattern: magnitude) * 0x1p112
        let special: UInt32 = magnitude >= 0x7C00 << 13 ? 0x7F80_0000 : 0
        return Float(bitPattern: scaled.bitPattern | special | UInt32(half & 0x8000) << 16)
    }
}
