internal import OmenSystem
internal import COmenKernels
internal import Glibc
internal import OmenCore

/// What a bulk build reads: rows of an index that nobody uses yet.
///
/// A plain bundle of pointers, valid while the index lives.
struct BuildSource {
    /// Scores rows of the traversed array against each other.
    let scorer: Scorer
    /// Scores them by inner product, under ip where lengths differ; there links are chosen by both.
    let products: Scorer?
    /// Whether the traversed array holds u8 elements.
    let isBytes: Bool
    /// Whether queries rank by inner product.
    let isInner: Bool
    /// Whether the traversed array holds codes of vectors that were brought to length 1.
    let isOfUnitCodes: Bool
    /// Squared length of each row, under ip.
    private let squaredLengths: UnsafePointer<Float>

    /// What is built in `index`; with links by inner product if they are wanted and lengths differ.
    init(_ index: VectorIndex, withProducts: Bool = false) {
        scorer = index.codeStore.rowScorer()
        products =
            withProducts && index.rowStore.areLinkedByProduct
            ? index.codeStore.productScorer() : nil
        isBytes = index.schema.element == .u8 || index.codeStore.areTraversed
        isInner = index.schema.metric == .ip
        isOfUnitCodes = isInner && index.codeStore.areTraversed
        squaredLengths = UnsafePointer(index.rowStore.norms)
    }

    /// The full vectors of `index`, to find the nearest rows of queries that codes, made for the
    /// rows, say little about.
    init(vectorsOf index: VectorIndex) {
        scorer =
            index.schema.metric == .cosine
            ? index.rowStore.exactScorer() : index.rowStore.squaredScorer()
        products = nil
        isBytes = index.schema.element == .u8
        isInner = index.schema.metric == .ip
        isOfUnitCodes = false
        squaredLengths = UnsafePointer(index.rowStore.norms)
    }

    /// The squared length of a row; only under ip.
    @inline(__always)
    func squaredLength(_ row: UInt32) -> Float { squaredLengths[Int(row)] }

    /// Bytes of one packed element.
    var elementByteCount: Int { isBytes ? 1 : 4 }

    /// What a row contributes to its distances besides its elements; see `omen_gram_columns`.
    @inline(__always)
    func factor(_ row: UInt32) -> Float {
        switch scorer.mode {
        case .plain, .negated, .lengths, .products: 0
        case .cosine: scorer.aux[Int(row)]
        case .coded, .stretched, .bits: preconditionFailure("codes of queries are never built on")
        }
    }
}

/// Why a bulk build ends early.
enum BuildEnd: Error {
    case stopped
    case failed(OmenError)
}

/// Memory of a bulk build, zeroed; its pages appear when touched, and go with the last reference.
final class BuildMemory<Value: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Value>
    let count: Int
    private let region: ReservedRegion

    init(count: Int) throws(BuildEnd) {
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

extension BuildMemory<UInt32> {
    /// The numbers of `count` things, in order.
    static func numbers(_ count: Int) throws(BuildEnd) -> BuildMemory<UInt32> {
        let memory = try BuildMemory<UInt32>(count: count)
        for i in 0..<count { memory[i] = UInt32(truncatingIfNeeded: i) }
        return memory
    }
}
