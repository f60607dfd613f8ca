internal import COmenKernels

/// Distances of many rows to one packed set of columns, a few rows at a time.
final class DistanceTile {
    private let source: BuildSource
    private let gram: omen_gram_pair
    private let packed: UnsafeMutableRawPointer
    private let terms: UnsafeMutablePointer<Int32>
    private let factors: UnsafeMutablePointer<Float>
    private let rowFactors: UnsafeMutablePointer<Float>
    /// Squared lengths of the columns, under ip.
    private let squaredLengths: UnsafeMutablePointer<Float>
    /// Distances from `measure`, `[OMEN_GRAM_ROWS][stride]`.
    let distances: UnsafeMutablePointer<Float>
    /// The same by inner product, -2 <x, y>; only under ip.
    let products: UnsafeMutablePointer<Float>
    private let isInner: Bool
    /// Floats from one row of `distances` to the next.
    let stride: Int
    /// Receives what `nearest` chooses.
    let chosen: UnsafeMutablePointer<UInt32>
    private(set) var columnCount = 0

    /// Rows of one call of `measure`.
    static let rowCountMax = Int(OMEN_GRAM_ROWS)

    init(_ source: BuildSource, columnCountMax: Int) {
        isInner = source.isInner
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
        squaredLengths = .allocate(capacity: isInner ? stride : 0)
        if isInner { squaredLengths.initialize(repeating: 0, count: stride) }
        products = .allocate(capacity: isInner ? stride * Self.rowCountMax : 0)
        chosen = .allocate(capacity: 2 * Int(OMEN_SELECT_MAX))
    }

    deinit {
        packed.deallocate()
        terms.deallocate()
        factors.deallocate()
        rowFactors.deallocate()
        distances.deallocate()
        squaredLengths.deallocate()
        products.deallocate()
        chosen.deallocate()
    }

    /// Makes `count` rows the columns.
    func setColumns(_ rows: UnsafePointer<UInt32>, count: Int) {
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
        for i in 0..<count { factors[i] = source.factor(rows[i]) }
        guard isInner else { return }
        for i in 0..<count { squaredLengths[i] = source.squaredLength(rows[i]) }
    }

    /// Leaves the distances of `count` rows, at most `rowCountMax`, in `distances`, and under ip
    /// also those by inner product in `products`.
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
        guard isInner else { return }
        for i in 0..<count {
            finish(distances + i * stride, products + i * stride, source.squaredLength(rows[i]))
        }
    }

    /// Makes squared distances and products of what the kernel wrote for a row of that length.
    private func finish(
        _ row: UnsafeMutablePointer<Float>,
        _ products: UnsafeMutablePointer<Float>,
        _ squaredLength: Float
    ) {
        guard source.isOfUnitCodes else {
            for j in 0..<columnCount {
                products[j] = row[j] - squaredLength - squaredLengths[j]
            }
            return
        }
        let length = squaredLength.squareRoot()
        for j in 0..<columnCount {
            // Each root for itself: the product of two squares may overflow or vanish.
            let product = length * squaredLengths[j].squareRoot() * (row[j] - 2)
            products[j] = product
            row[j] = max(0, squaredLength + squaredLengths[j] + product)
        }
    }

    /// Chooses, in addition to the first `count`, the `k` columns whose inner products with a
    /// measured row are the largest.
    ///
    /// A column is not chosen twice, and `itself` never.
    /// - Returns: How many are in `chosen` now.
    func addLargest(_ k: Int, ofRow index: Int, except itself: Int?, after count: Int) -> Int {
        let row = products + index * stride
        if let itself { row[itself] = .infinity }
        for i in 0..<count { row[Int(chosen[i])] = .infinity }
        return count + Kernels.best.pointee.select(row, columnCount, k, itself ?? 0, chosen + count)
    }

    /// Adds to the first `count` chosen, which are the nearest of a measured row in ascending
    /// order, a few columns that lie beyond them: the nearest of a sample.
    ///
    /// Of different distances, so that copies of one row do not take all places.
    /// - Parameters:
    ///   - k: Most columns that are added.
    ///   - index: The row among those measured.
    ///   - itself: The column that is the row.
    ///   - count: At least 1.
    /// - Returns: How many were added.
    func addBeyond(_ k: Int, ofRow index: Int, except itself: Int, after count: Int) -> Int {
        let row = distances + index * stride
        let added = chosen + count
        let limit = row[Int(chosen[count - 1])]
        guard isCrowd(row, within: limit, around: itself) else { return 0 }
        var found = 0
        // Another sample for each row, and the same one on every machine.
        var column = Int((UInt32(truncatingIfNeeded: itself) &* 0x9E37_79B1) >> 28)
        while column < columnCount {
            let distance = row[column]
            if distance > limit, found < k || distance < row[Int(added[found - 1])],
                distance < .infinity
            {
                insert(column, distance, into: added, &found, atMost: k, row)
            }
            column += Self.sampleStride
        }
        return found
    }

    /// Whether most columns are far beyond the nearest ones, which are a crowd then: seen from four
    /// of them.
    private func isCrowd(
        _ row: UnsafePointer<Float>,
        within limit: Float,
        around itself: Int
    ) -> Bool {
        let step = columnCount / 4
        let edge = limit * Self.crowdRatio
        var far = 0
        for i in 0..<4 {
            let column = (itself &+ step / 2 &+ i &* step) % columnCount
            far &+= row[column] > edge ? 1 : 0
        }
        return far >= 2
    }

    /// Ratio of squared distances beyond which rows are far: few real vectors have so near
    /// neighbours.
    private static let crowdRatio: Float = 9

    /// One column of this many belongs to a sample.
    ///
    /// On groups of near-duplicates 8 stays within the group too often, and 32 misses near groups.
    private static let sampleStride = 16

    /// Inserts a column into an ascending list, unless one of the same distance is there.
    private func insert(
        _ column: Int,
        _ distance: Float,
        into list: UnsafeMutablePointer<UInt32>,
        _ count: inout Int,
        atMost limit: Int,
        _ row: UnsafePointer<Float>
    ) {
        var at = count
        while at > 0, row[Int(list[at - 1])] > distance { at -= 1 }
        if at > 0, row[Int(list[at - 1])] == distance { return }
        if count < limit { count += 1 }
        var place = count - 1
        while place > at {
            list[place] = list[place - 1]
            place -= 1
        }
        list[at] = UInt32(truncatingIfNeeded: column)
    }

    /// Chooses the nearest `k` columns of a measured row, ascending.
    ///
    /// - Parameters:
    ///   - k: Columns wanted, at most `OMEN_SELECT_MAX`.
    ///   - index: The row among those measured.
    ///   - start: Of columns that are equally far, those from the sixteen around this one on are
    ///     preferred. It should differ from row to row.
    /// - Returns: How many are in `chosen`.
    func nearest(_ k: Int, ofRow index: Int, from start: Int) -> Int {
        let row = distances + index * stride
        return Kernels.best.pointee.select(row, columnCount, k, start, chosen)
    }

    /// Chooses the nearest `k` columns of a measured row, ascending, but not the column `itself`.
    ///
    /// Where most of them are copies of each other it looks further, and chooses one of each
    /// distance: copies alone would lead nowhere else.
    /// - Returns: How many are in `chosen`.
    func nearest(_ k: Int, ofRow index: Int, except itself: Int) -> Int {
        let row = distances + index * stride
        row[itself] = .infinity
        let select = Kernels.best.pointee.select
        let found = select(row, columnCount, k, itself, chosen)
        guard found == k, distinctCount(row, found) * 2 <= found else { return found }
        let more = min(Int(OMEN_SELECT_MAX), 8 * k)
        return keepDistinct(row, select(row, columnCount, more, itself, chosen), limit: k)
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
