internal import COmenKernels
internal import Glibc
internal import OmenCore

/// What a bulk build reads: rows that stand still, and nothing of the index that may change.
///
/// A plain bundle of pointers into regions that the job retains.
struct BulkSource: @unchecked Sendable {
    let layout: RowLayout
    let seed: UInt64
    /// Rows below this are built; `Int32.max` and more never occur.
    let rowCount: Int
    /// Scores rows of the traversed array against each other.
    let scorer: Scorer
    /// Whether the traversed array holds u8 elements.
    let isBytes: Bool
    /// Deletion flags as they were at the beginning.
    let deleted: [UInt64]

    /// Bytes of one packed row.
    var elementByteCount: Int { isBytes ? 1 : 4 }

    func isDeleted(_ row: Int) -> Bool { deleted[row >> 6] >> UInt64(row & 63) & 1 != 0 }

    /// What a row contributes to its distances besides its elements; see `omen_gram_columns`.
    @inline(__always)
    func factor(_ row: UInt32) -> Float {
        switch scorer.mode {
        case .plain, .negated: 0
        case .cosine: scorer.aux[Int(row)]
        case .lifted: max(0, scorer.limit - scorer.aux[Int(row)]).squareRoot()
        }
    }
}

/// Why a bulk build ends early.
enum BulkEnd: Error {
    case stopped
    case failed(OmenError)
}

/// Memory of a bulk build, zeroed; its pages appear when touched.
struct BulkMemory<Value: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Value>
    private let region: ReservedRegion

    init(count: Int) throws(BulkEnd) {
        let byteCount = max(1, count) * MemoryLayout<Value>.stride
        do {
            region = try ReservedRegion(byteCountMax: byteCount)
        } catch {
            throw .failed(error)
        }
        // Advice only: without large pages everything still works.
        if byteCount >= 1 << 20 { _ = madvise(region.base, byteCount, MADV_HUGEPAGE) }
        base = region.base.assumingMemoryBound(to: Value.self)
    }
}
