internal import COmenKernels
internal import Glibc
internal import OmenCore

/// What a bulk build reads: rows of an index that nobody uses yet.
///
/// A plain bundle of pointers, valid while the index lives.
struct BulkSource {
    /// Scores rows of the traversed array against each other.
    let scorer: Scorer
    /// Whether the traversed array holds u8 elements.
    let isBytes: Bool

    init(_ index: VectorIndex) {
        scorer = index.rowScorer()
        isBytes = index.schema.element == .u8 || index.traversesCodes
    }

    /// Bytes of one packed element.
    var elementByteCount: Int { isBytes ? 1 : 4 }

    /// What a row contributes to its distances besides its elements; see `omen_gram_columns`.
    @inline(__always)
    func factor(_ row: UInt32) -> Float {
        switch scorer.mode {
        case .plain, .negated: 0
        case .cosine: scorer.aux[Int(row)]
        case .coded, .bits: preconditionFailure("codes of queries are never built on")
        case .lifted: max(0, scorer.limit - scorer.aux[Int(row)]).squareRoot()
        }
    }
}

/// Why a bulk build ends early.
enum BulkEnd: Error {
    case stopped
    case failed(OmenError)
}

/// Memory of a bulk build, zeroed; its pages appear when touched, and go with the last reference.
final class BulkMemory<Value: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Value>
    let count: Int
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
        self.count = count
    }

    @inline(__always)
    subscript(index: Int) -> Value {
        get { base[index] }
        set { base[index] = newValue }
    }
}

extension BulkMemory<UInt32> {
    /// The numbers of `count` things, in order.
    static func numbers(_ count: Int) throws(BulkEnd) -> BulkMemory<UInt32> {
        let memory = try BulkMemory<UInt32>(count: count)
        for i in 0..<count { memory[i] = UInt32(truncatingIfNeeded: i) }
        return memory
    }
}
