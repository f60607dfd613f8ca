internal import COmenKernels

/// Distances of many rows to one packed set of columns, a few rows at a time.
final class BulkTile {
    private let source: BulkSource
    private let gram: omen_gram_pair
    private let packed: UnsafeMutableRawPointer
    private let terms: UnsafeMutablePointer<Int32>
    private let factors: UnsafeMutablePointer<Float>
    private let rowFactors: UnsafeMutablePointer<Float>
    /// Distances from `measure`, `[OMEN_GRAM_ROWS][stride]`.
    let distances: UnsafeMutablePointer<Float>
    /// Floats from one row of `distances` to the next.
    let stride: Int
    /// Receives what `nearest` chooses.
    let chosen: UnsafeMutablePointer<UInt32>
    private(set) var columnCount = 0

    /// Rows of one call of `measure`.
    static let rowCountMax = Int(OMEN_GRAM_ROWS)

    init(_ source: BulkSource, columnCountMax: Int) {
        let lanes = Int(OMEN_GRAM_LANES)
        self.source = source
        gram = source.isBytes ? Kernels.best.pointee.gram_u8 : Kernels.best.pointee.gram_f32
        stride = (columnCountMax + lanes - 1) / lanes * lanes
        let byteCount = stride * source.scorer.dim * source.elementByteCount
        packed = .allocate(byteCount: byteCount, alignment: 64)
        terms = .allocate(capacity: stride)
        factors = .allocate(capacity: stride)
        factors.initialize(repeating: 0, count: stride)
        rowFactors = .allocate(capacity: Self.rowCountMax)
        distances = .allocate(capacity: stride * Self.rowCountMax)
        chosen = .allocate(capacity: Int(OMEN_SELECT_MAX))
    }

    deinit {
        packed.deallocate()
        terms.deallocate()
        factors.deallocate()
        rowFactors.deallocate()
        distances.deallocate()
        chosen.deallocate()
    }

    /// Makes `count` rows the columns.
    ///
    /// As queries under ip they get no extra dimension: distances then rank by inner product.
    func setColumns(_ rows: UnsafePointer<UInt32>, count: Int, areQueries: Bool = false) {
        precondition(count <= stride, "\(count) columns of \(stride)")
        let scorer = source.scorer
        columnCount = count
        gram.pack(
            scorer.base,
            scorer.stride,
            scorer.dim,
            rows,
            count,
            scorer.mode == .cosine,
            packed,
            terms
        )
        let hasFactors = !(areQueries && scorer.mode == .lifted)
        for i in 0..<count { factors[i] = hasFactors ? source.factor(rows[i]) : 0 }
    }

    /// Leaves the distances of `count` rows, at most `rowCountMax`, in `distances`.
    func measure(_ rows: UnsafePointer<UInt32>, count: Int) {
        let scorer = source.scorer
        for i in 0..<count { rowFactors[i] = source.factor(rows[i]) }
        let lanes = Int(OMEN_GRAM_LANES)
        var columns = omen_gram_columns(
            packed: packed,
            terms: terms,
            factors: factors,
            dim: scorer.dim,
            groups: (columnCount + lanes - 1) / lanes,
            is_cosine: scorer.mode == .cosine,
            scale: scorer.scale
        )
        gram.gram(
            &columns,
            scorer.base,
            scorer.stride,
            rows,
            rowFactors,
            count,
            distances,
            stride
        )
    }

    /// Chooses the nearest `k` columns of a measured row, ascending, but not the column `itself`.
    ///
    /// Where most of them are copies of each other it looks further, and chooses one of each
    /// distance: copies alone would lead nowhere else.
    /// - Returns: How many are in `chosen`.
    func nearest(_ k: Int, ofRow index: Int, except itself: Int?) -> Int {
        let row = distances + index * stride
        if let itself { row[itself] = .infinity }
        let select = Kernels.best.pointee.select
        let found = select(row, columnCount, k, itself ?? 0, chosen)
        guard itself != nil, found == k, distinctCount(row, found) * 2 <= found else {
            return found
        }
        let more = min(Int(OMEN_SELECT_MAX), 8 * k)
        return keepDistinct(row, select(row, columnCount, more, itself ?? 0, chosen), limit: k)
    }

    /// Distances among the first `count` chosen.
    private func distinctCount(_ row: UnsafePointer<Float>, _ count: Int) -> Int {
        var distinct = 1
        for i in 1..<count where row[Int(chosen[i])] != row[Int(chosen[i &- 1])] { distinct &+= 1 }
        return distinct
    }

    private func keepDistinct(_ row: UnsafePointer<Float>, _ count: Int, limit: Int) -> Int {
        var kept = 1
        for i in 1..<count where kept < limit {
            if row[Int(chosen[i])] == row[Int(chosen[kept &- 1])] { continue }
            chosen[kept] = chosen[i]
            kept &+= 1
        }
        return kept
    }
}
