internal import OmenSystem
internal import Glibc
internal import OmenCore

/// The full vectors of an index in the order in which they were appended, their norms, and which
/// rows are deleted.
///
/// A row keeps its number and its vector for ever. The arrays are mapped from a file or reserved;
/// the pointers stay valid while the index lives.
final class RowStore {
    let schema: CollectionSchema
    let layout: RowLayout
    /// Rows, deleted ones included.
    var count = 0
    var deletedCount = 0
    /// Rows that have addresses: all that there may be, unless these are limited.
    var capacity = 0
    /// The vectors, one every `RowLayout.vectorStride` bytes, padded with zeros.
    let vectors: UnsafeMutableRawPointer
    /// One bit for each row, set when it is deleted.
    let deleted: UnsafeMutablePointer<UInt64>
    /// Inverse norms under cosine, squared norms under ip; unused under l2.
    let norms: UnsafeMutablePointer<Float>
    /// Least and largest squared norm of any row, under ip.
    var squaredNormMin = Float.greatestFiniteMagnitude
    var squaredNormMax: Float = 0

    init(
        _ schema: CollectionSchema,
        _ layout: RowLayout,
        vectors: ReservedRegion,
        flags: ReservedRegion,
        norms: ReservedRegion
    ) {
        self.schema = schema
        self.layout = layout
        self.vectors = vectors.base
        deleted = flags.base.assumingMemoryBound(to: UInt64.self)
        self.norms = norms.base.assumingMemoryBound(to: Float.self)
    }

    /// Adds a vector behind the others.
    ///
    /// - Precondition: `count < capacity`.
    /// - Parameter vector: `schema.vectorByteCount` bytes; need not be aligned.
    /// - Throws: `.badRequest` for a zero vector under cosine.
    func append(_ vector: UnsafeRawPointer) throws(OmenError) {
        let row = count
        let target = self.vector(row)
        target.copyMemory(from: vector, byteCount: schema.vectorByteCount)
        switch schema.metric {
        case .l2: break
        case .cosine:
            let norm = schema.element.norm(of: target, dim: schema.dim)
            guard norm > 0 else {
                throw OmenError(.badRequest, "a zero vector has no direction for cosine")
            }
            norms[row] = inverse(norm)
        case .ip:
            let norm = schema.element.norm(of: target, dim: schema.dim)
            noteSquaredNorm(Float(norm * norm), of: row)
        }
        count += 1
    }

    /// Sets the squared norm of a row under ip.
    func noteSquaredNorm(_ value: Float, of row: Int) {
        norms[row] = value
        squaredNormMin = min(squaredNormMin, value)
        squaredNormMax = max(squaredNormMax, value)
    }

    /// Marks a row as deleted; deleting twice changes nothing.
    func markDeleted(_ row: UInt32) {
        guard !isDeleted(row) else { return }
        deleted[Int(row >> 6)] |= 1 << UInt64(row & 63)
        deletedCount += 1
    }

    @inline(__always)
    func isDeleted(_ row: UInt32) -> Bool { UnsafePointer(deleted).bit(row) }

    /// Where the vector of a row lies.
    @inline(__always)
    func vector(_ row: Int) -> UnsafeMutableRawPointer { vectors + row * layout.vectorStride }

    /// The elements of a row, of a schema with f32 elements.
    @inline(__always)
    func floats(_ row: Int) -> UnsafePointer<Float> {
        UnsafePointer(vector(row).assumingMemoryBound(to: Float.self))
    }

    /// The Euclidean norm of a row; only under ip.
    @inline(__always)
    func length(_ row: Int) -> Float { norms[row].squareRoot() }

    /// Whether half of the links are chosen by inner product: under ip, where lengths differ by
    /// more than a fortieth.
    ///
    /// Among rows of one length the nearest have the largest products. Where lengths differ, links
    /// by distance alone lead nobody to the long rows, and links by product alone leave short rows
    /// apart; half of each found most on thirteen sets, from SIFT descriptors to word vectors.
    var areLinkedByProduct: Bool {
        schema.metric == .ip && squaredNormMax > 1.05 * squaredNormMin
    }

    /// Whether two rows have the same vector.
    func areEqual(_ row: UInt32, _ other: UInt32) -> Bool {
        memcmp(vector(Int(row)), vector(Int(other)), schema.vectorByteCount) == 0
    }
}

/// 1 / `norm`, kept finite.
func inverse(_ norm: Double) -> Float {
    min(Float(1 / norm), .greatestFiniteMagnitude)
}

extension ElementType {
    /// Euclidean norm of the `dim` elements at `vector`.
    func norm(of vector: UnsafeRawPointer, dim: Int) -> Double {
        var sum = 0.0
        switch self {
        case .f32:
            let values = vector.assumingMemoryBound(to: Float.self)
            for i in 0..<dim { sum += Double(values[i]) * Double(values[i]) }
        case .u8:
            let values = vector.assumingMemoryBound(to: UInt8.self)
            for i in 0..<dim { sum += Double(values[i]) * Double(values[i]) }
        }
        return sum.squareRoot()
    }
}
